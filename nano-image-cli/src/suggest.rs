//! Suggestions for words that this program does not know: words of other tools, habits, typing mistakes.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};
use nano_image::Error;

/// PowerShell commands that make such images.
const CMDLETS: [&str; 3] = ["New-NanoServerImage", "Edit-NanoServerImage", "Convert-WindowsImage"];
/// Where all [`PARAMETERS`] are explained.
const GUIDE: &str = "docs/new-nanoserverimage.md";

/// Parameters of [`CMDLETS`], and what to write here instead.
const PARAMETERS: [(&str, &str); 45] = [
    ("AdministratorPassword", "--secret admin=env:VARIABLE"),
    ("BasePath", "--scratch FOLDER"),
    ("BCDinVHD", "--bcd-device locate"),
    ("Clustering", "--clustering"),
    ("Compute", "--compute"),
    ("ComputerName", "--computer-name NAME"),
    ("Containers", "--containers"),
    ("CopyFiles", "--copy SOURCE:DESTINATION"),
    ("CopyPath", "--copy SOURCE:DESTINATION"),
    ("DebugMethod", "--debug serial:1"),
    ("Defender", "--defender"),
    ("DeploymentType", "--deployment guest"),
    ("Development", "--test-signing"),
    ("DiskLayout", "--firmware uefi"),
    ("DomainBlobPath", "--domain-blob FILE"),
    ("DomainName", "--domain-blob FILE"),
    ("Driver", "--driver PATH"),
    ("DriverPath", "--driver PATH"),
    ("DriversPath", "--driver PATH"),
    ("Edition", "--edition datacenter"),
    ("EMSBaudRate", "--ems=PORT,BAUD"),
    ("EMSPort", "--ems=PORT,BAUD"),
    ("EnableDebugger", "--debug serial:1"),
    ("EnableEMS", "--ems"),
    ("EnableRemoteManagementPort", "--remote-management"),
    ("Feature", "--feature NAME"),
    ("InterfaceNameOrIndex", "--interface NAME"),
    ("Ipv4Address", "--ipv4-address ADDRESS/BITS"),
    ("Ipv4Dns", "--ipv4-dns ADDRESS"),
    ("Ipv4Gateway", "--ipv4-gateway ADDRESS"),
    ("Ipv4SubnetMask", "--ipv4-mask MASK"),
    ("Ipv6Address", "--ipv6-address ADDRESS/BITS"),
    ("Ipv6Dns", "--ipv6-dns ADDRESS"),
    ("MaxSize", "--size 8G"),
    ("MediaPath", "--media PATH"),
    ("MergeFolderPath", "--copy FOLDER"),
    ("OEMDrivers", "--oem-drivers"),
    ("Package", "--package NAME"),
    ("ServicingPackagePath", "--servicing-package FILE"),
    ("SetupCompleteCommand", "--setup-command COMMAND"),
    ("SizeBytes", "--size 8G"),
    ("SourcePath", "--wim FILE"),
    ("Storage", "--storage"),
    ("TargetPath", "-o FILE"),
    ("UnattendPath", "--unattend FILE"),
];

/// Commands under the names that other programs give them.
const COMMANDS: [(&[&str], &str); 7] = [
    (&["ls", "dir", "list", "files"], "inspect --files IMAGE"),
    (&["info", "show", "describe", "stat"], "inspect IMAGE"),
    (&["create", "make", "new", "convert", "apply"], "build --media PATH -o nano.vhdx"),
    (&["check", "fsck", "validate"], "verify IMAGE"),
    (&["compare", "cmp"], "diff A B"),
    (&["cp", "copy", "get", "copy-out", "unpack"], "extract IMAGE PATH -C FOLDER"),
    (&["run", "boot", "start"], "run-hint IMAGE"),
];

/// Flags under the names that other programs give them, if they are too different from ours to be found as typing
/// mistakes.
const FLAGS: [(&[&str], &str); 10] = [
    (&["password", "admin-password", "administrator-password"], "--secret admin=env:VARIABLE"),
    (&["iso", "source", "path"], "--media PATH"),
    (&["out", "target", "destination", "file"], "-o FILE"),
    (&["compress", "compressed", "compact-os"], "--compact"),
    (&["name", "hostname", "host-name"], "--computer-name NAME"),
    (&["disk-size", "capacity", "max-size"], "--size 8G"),
    (&["update", "updates", "msu", "kb"], "--servicing-package FILE"),
    (&["threads", "parallel"], "--jobs N"),
    (&["overwrite", "replace", "yes"], "--force"),
    (&["role", "roles"], "--package NAME"),
];

/// Flags for what is not supported, with the reason and what to do instead.
const NOT_DONE: [(&[&str], &str, &str); 2] = [
    (
        &["remove-package", "remove-packages", "removepackage"],
        "removing packages from an image is not supported",
        "start from an image without it, or let Windows remove it when it runs: dism /online /remove-package",
    ),
    (
        &["disable-feature", "disable-features", "disablefeature"],
        "turning off features of an image is not supported",
        "start from an image in which it is off (`nano-image packages --wim FILE --image N` tells), or let Windows turn it \
         off when it runs: dism /online /disable-feature",
    ),
];

/// A better message for `error` of the arguments `given`, if this knows more than clap.
pub fn better(error: &clap::Error, command: &Command, given: &[OsString]) -> Option<Error> {
    let words: Vec<&str> = given.iter().skip(1).filter_map(|word| word.to_str()).collect();
    let wrong = match error.get(ContextKind::InvalidSubcommand).or_else(|| error.get(ContextKind::InvalidArg)) {
        Some(ContextValue::String(wrong)) => wrong.as_str(),
        _ => "",
    };
    let unknown = matches!(error.kind(), ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand);
    let of_cmdlets: Vec<String> = words.iter().filter_map(|word| parameter(word)).collect();
    if unknown && (!of_cmdlets.is_empty() || CMDLETS.iter().any(|name| name.eq_ignore_ascii_case(wrong))) {
        let hint = match of_cmdlets.is_empty() {
            true => format!("here it is `nano-image build`; {GUIDE} has the parameters"),
            false => format!("{}; {GUIDE} has all of them", of_cmdlets.join(", ")),
        };
        let message = "these are words of PowerShell's New-NanoServerImage and Convert-WindowsImage";
        return Some(Error::recipe(message).with_hint(hint));
    }
    let subcommand = words.first().and_then(|name| command.find_subcommand(name));
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let (_, ours) = COMMANDS.iter().find(|(names, _)| names.contains(&wrong))?;
            Some(Error::recipe(format!("there is no command `{wrong}`")).with_hint(format!("write nano-image {ours}")))
        }
        ErrorKind::UnknownArgument => {
            if let Some(flag) = value_apart(subcommand?, &words, wrong) {
                let message = format!("the value of `{flag}` may be left out, so write `=` before it");
                return Some(Error::recipe(message).with_hint(format!("write {flag}={wrong}")));
            }
            let name = wrong.strip_prefix("--").or_else(|| wrong.strip_prefix('/'))?.to_ascii_lowercase();
            let name = name.as_str();
            if let Some((_, why, hint)) = NOT_DONE.iter().find(|(names, ..)| names.contains(&name)) {
                return Some(Error::recipe(*why).with_hint(*hint));
            }
            let (_, ours) = FLAGS.iter().find(|(names, _)| names.contains(&name))?;
            let long = ours.trim_start_matches('-').split([' ', '=']).next()?;
            let is_known =
                |arg: &Arg| arg.get_long() == Some(long) || arg.get_short().map(String::from).as_deref() == Some(long);
            subcommand?.get_arguments().any(is_known).then_some(())?;
            Some(Error::recipe(format!("there is no flag `{wrong}`")).with_hint(format!("write {ours}")))
        }
        ErrorKind::MissingRequiredArgument if words.first() == Some(&"build") => {
            let missing = match error.get(ContextKind::InvalidArg)? {
                ContextValue::Strings(missing) => missing.iter().any(|arg| arg.starts_with("--output")),
                _ => false,
            };
            missing.then(|| next_step(&words))
        }
        _ => None,
    }
}

/// What to write instead of a parameter of PowerShell. Its value may follow a colon.
fn parameter(word: &str) -> Option<String> {
    let name = word.strip_prefix('-').filter(|name| name.len() > 1 && !name.starts_with('-'))?;
    let name = name.split(':').next()?;
    let (theirs, ours) = PARAMETERS.iter().find(|(theirs, _)| theirs.eq_ignore_ascii_case(name))?;
    Some(format!("-{theirs} is {ours}"))
}

/// The flag before `wrong`, if its value must follow `=`.
fn value_apart<'a>(command: &Command, words: &[&'a str], wrong: &str) -> Option<&'a str> {
    let may_stand_alone = |flag: &str| {
        let name = flag.strip_prefix("--");
        name.is_some() && command.get_arguments().any(|arg| arg.get_long() == name && arg.is_require_equals_set())
    };
    words.windows(2).find(|pair| pair[1] == wrong && may_stand_alone(pair[0])).map(|pair| pair[0])
}

/// For a build without an output: the same command with one.
fn next_step(words: &[&str]) -> Error {
    let mut words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    let has_source = ["--media", "--wim", "--recipe"].iter().any(|flag| {
        words.iter().any(|word| word.strip_prefix(flag).is_some_and(|rest| rest.is_empty() || rest.starts_with('=')))
    });
    if !has_source {
        words.extend(["--media".into(), "WS2016.iso".into()]);
    }
    let hint = format!(
        "write nano-image {} -o nano.vhdx (for Hyper-V; nano.vhd, nano.qcow2, nano.raw for others)",
        words.join(" ")
    );
    Error::recipe("no output is named").with_hint(hint)
}

/// A word as the host's shells take it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=,\\+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else if cfg!(windows) {
        // Single quotes are none for cmd.exe. A backslash before the last quote would be taken for its own.
        let last = if word.ends_with('\\') { "\\" } else { "" };
        format!("\"{word}{last}\"")
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tip(words: &[&str]) -> String {
        let given: Vec<OsString> = std::iter::once(&"nano-image").chain(words).map(OsString::from).collect();
        let mut command = crate::args::command();
        let error = command.try_get_matches_from_mut(&given).unwrap_err();
        better(&error, &command, &given)
            .map(|error| format!("{error}; {}", error.hint().unwrap_or_default()))
            .unwrap_or_default()
    }

    #[test]
    fn words_of_others_are_answered_with_ours() {
        for (words, part) in [
            (&["ls", "a.vhdx"][..], "inspect --files"),
            (&["info", "a.vhdx"], "inspect IMAGE"),
            (&["build", "--password", "x"], "--secret admin=env:VARIABLE"),
            (&["build", "--wim", "a", "-o", "b.vhdx", "--ems", "1"], "write --ems=1"),
            (&["build", "--wim", "a", "--image", "1", "-o", "b.vhdx", "--ems", "1"], "write --ems=1"),
            (
                &["build", "-MediaPath", "D:\\", "-deploymenttype:guest"],
                "-MediaPath is --media PATH, -DeploymentType is",
            ),
            (&["New-NanoServerImage", "-MaxSize", "8GB"], "-MaxSize is --size 8G"),
            (&["new-nanoserverimage"], "nano-image build"),
            (
                &["build", "--media", "a b.iso"],
                if cfg!(windows) { "--media \"a b.iso\" -o" } else { "--media 'a b.iso' -o" },
            ),
            (&["build"], "write nano-image build --media WS2016.iso -o nano.vhdx"),
            (&["build", "--remove-package", "x"], "removing packages from an image is not supported; "),
            (&["plan", "--Disable-Feature=x"], "dism /online /disable-feature"),
        ] {
            assert!(tip(words).contains(part), "{words:?}: {}", tip(words));
        }
        // Here the nearest of our flags is a better guess.
        for words in [&["build", "--wmi", "a"][..], &["extract", "a.vhdx", "--iso", "x"]] {
            assert_eq!(tip(words), "", "{words:?}");
        }
    }

    #[test]
    fn what_is_written_instead_exists() {
        let command = crate::args::command();
        let build = command.find_subcommand("build").unwrap();
        for (_, ours) in PARAMETERS {
            let flag = ours.split([' ', '=']).next().unwrap();
            let is_it = |arg: &Arg| arg.get_long().is_some_and(|name| flag == format!("--{name}")) || flag == "-o";
            assert!(build.get_arguments().any(is_it), "{ours}");
        }
        for (names, ours) in COMMANDS {
            let own = ours.split(' ').next().unwrap();
            assert!(command.find_subcommand(own).is_some(), "{own}");
            assert!(names.iter().all(|name| command.find_subcommand(name).is_none()), "{names:?}");
        }
    }
}
