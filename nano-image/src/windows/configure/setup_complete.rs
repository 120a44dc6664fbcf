//! `SetupComplete.cmd`, which Windows runs once as SYSTEM when its setup is complete.

use crate::error::{Error, Result};
use crate::types::text::{Text, Unmarked};
use crate::windows::edit::ImageEdit;

/// Path in the image.
pub(super) const PATH: &str = r"Windows\Setup\Scripts\SetupComplete.cmd";
/// Larger files are not scripts.
const MAX_LEN: u64 = 1 << 20;

/// The commands for remote management, the same as in Microsoft's tool.
pub(super) const REMOTE_MANAGEMENT: [&str; 2] = [
    "netsh advfirewall firewall add rule name=\"WinRM 5985\" protocol=TCP dir=in localport=5985 profile=any \
     action=allow",
    "netsh advfirewall firewall set rule group=\"@FirewallAPI.dll,-29252\" new enable=Yes",
];

/// Refuses what cannot be a line of a script.
pub(super) fn check(command: &str) -> Result<()> {
    let refuse = |why: &str, hint: &str| {
        Err(Error::recipe(format!("the first-boot command `{}` {why}", command.escape_debug())).with_hint(hint))
    };
    if command.trim().is_empty() {
        return refuse("is empty", "leave it out");
    }
    if command.contains(['\n', '\r']) {
        return refuse("has several lines", "give each line as a command of its own");
    }
    if !command.chars().all(|c| c == '\t' || (' '..='~').contains(&c)) {
        return refuse(
            "contains a character that is not ASCII",
            "the script is read in the code page of the machine: copy a PowerShell script into the image and call that",
        );
    }
    Ok(())
}

/// Adds `commands` to the script of the image, which is converted if Windows cannot read its encoding.
///
/// # Errors
/// [`Unsupported`](crate::ErrorKind::Unsupported) for a script that Windows cannot read.
pub(super) fn add(image: &mut ImageEdit<'_>, commands: &[String], warnings: &mut Vec<String>) -> Result<()> {
    let existing = image.read(PATH, MAX_LEN).map_err(|error| error.within("the first-boot script of the image"))?;
    let Some(existing) = existing else {
        return match commands.is_empty() {
            true => Ok(()),
            false => write(image, Vec::new(), commands, warnings),
        };
    };
    let (script, word) = readable(existing).map_err(|error| error.with_path(PATH))?;
    let is_changed = word.is_some();
    warnings.extend(word);
    match (commands.is_empty(), is_changed) {
        (true, false) => Ok(()),
        _ => write(image, script, commands, warnings),
    }
}

fn write(image: &mut ImageEdit<'_>, script: Vec<u8>, commands: &[String], warnings: &mut Vec<String>) -> Result<()> {
    if commands.is_empty() {
        image.write(PATH, script)?;
        return Ok(());
    }
    if ends_early(&script) {
        warnings.push(format!("{PATH} of the image has an `exit`: the commands after it may never run"));
    }
    let before_last = &commands[..commands.len() - 1];
    if let Some(command) = before_last.iter().find(|command| ends_early(command.as_bytes())) {
        warnings.push(format!("the first-boot command `{command}` ends the script: the commands after it never run"));
    }
    image.write(PATH, append(script, commands))?;
    Ok(())
}

/// The script in the form that the command processor reads: bytes without a byte order mark. Also a warning if it had
/// another form.
fn readable(script: Vec<u8>) -> Result<(Vec<u8>, Option<String>)> {
    const UTF8: [u8; 3] = [0xEF, 0xBB, 0xBF];
    let is_utf16 = matches!(script.get(..2), Some([0xFF, 0xFE] | [0xFE, 0xFF])) || script.get(1) == Some(&0);
    let what = match (is_utf16, script.strip_prefix(&UTF8)) {
        (false, None) => return Ok((script, None)),
        (true, _) => "is UTF-16, which the command processor does not read",
        (false, Some(rest)) => {
            let word =
                format!("{PATH} began with a byte order mark, by which its first line would fail: it is removed");
            return Ok((rest.to_vec(), Some(word)));
        }
    };
    let text = Text::decode(&script, "script", Unmarked::Ansi)?.text;
    if !text.is_ascii() {
        return Err(Error::unsupported(format!("the first-boot script {what}, and not all of it is ASCII"))
            .with_hint("save it as ASCII, or in the code page of the machine"));
    }
    Ok((text.as_bytes().to_vec(), Some(format!("{PATH} {what}: it is converted to ASCII"))))
}

/// The script `existing`, followed by `commands`.
fn append(existing: Vec<u8>, commands: &[String]) -> Vec<u8> {
    let mut script = existing;
    if script.is_empty() {
        script.extend(b"@ECHO OFF\r\n");
    } else if !script.ends_with(b"\n") {
        script.extend(b"\r\n");
    }
    script.extend(b"set SCLOG=%SystemRoot%\\setup\\scripts\\setupcomplete.log\r\n");
    for command in commands {
        let log = if command.contains('>') { "" } else { " >> %SCLOG%" };
        // Without `call`, a script would not return to this one.
        let call = if is_script(command) { "call " } else { "" };
        script.extend(format!("echo Executing '{}' >> %SCLOG%\r\n", shown(command)).bytes());
        script.extend(format!("{call}{command}{log}\r\n").bytes());
    }
    script
}

/// Whether the first word of a command is a batch file.
fn is_script(command: &str) -> bool {
    let command = command.trim_start_matches([' ', '\t', '@', '(']);
    let program = match command.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => command.split([' ', '\t', ',', ';', '=', '&', '|', '<', '>', '/']).next(),
    };
    let program = program.unwrap_or_default().to_ascii_lowercase();
    [".cmd", ".bat"].iter().any(|extension| program.ends_with(extension))
}

/// A command as an argument of `echo`. Double quotes become single ones, like in Microsoft's tool; characters that
/// would then act on the echo itself are escaped.
fn shown(command: &str) -> String {
    let mut shown = String::new();
    for c in command.replace('"', "'").chars() {
        if matches!(c, '^' | '&' | '|' | '<' | '>') {
            shown.push('^');
        }
        shown.push(c);
    }
    shown
}

fn ends_early(script: &[u8]) -> bool {
    script.split(|b| *b == b'\n').any(|line| {
        let line = String::from_utf8_lossy(line).trim_start_matches([' ', '\t', '@']).to_ascii_lowercase();
        line.strip_prefix("exit").is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_logged_unless_they_log_themselves() {
        let commands = ["echo \"a\" & ver".to_owned(), "ver > c:\\v.txt".into()];
        let script = String::from_utf8(append(Vec::new(), &commands)).unwrap();
        let lines: Vec<&str> = script.split_terminator("\r\n").collect();
        assert_eq!(
            lines,
            [
                "@ECHO OFF",
                r"set SCLOG=%SystemRoot%\setup\scripts\setupcomplete.log",
                "echo Executing 'echo 'a' ^& ver' >> %SCLOG%",
                "echo \"a\" & ver >> %SCLOG%",
                r"echo Executing 'ver ^> c:\v.txt' >> %SCLOG%",
                r"ver > c:\v.txt",
            ]
        );
    }

    #[test]
    fn batch_files_are_called_so_that_they_come_back() {
        for (command, is_one) in [
            (r"C:\a\first.cmd /x", true),
            (r#""C:\a b\first.BAT" x"#, true),
            ("first.cmd>nul", true),
            ("@first.cmd", true),
            ("call first.cmd", false),
            ("cmd /c first.cmd", false),
            ("copy a.cmd b.bat", false),
            (r"powershell -File a.ps1", false),
        ] {
            let script = String::from_utf8(append(Vec::new(), &[command.to_owned()])).unwrap();
            assert_eq!(script.contains(&format!("\r\ncall {command}")), is_one, "{script}");
        }
    }

    #[test]
    fn scripts_in_other_encodings_are_converted_or_refused() {
        let utf16 = |text: &str, mark: &[u8]| [mark, &crate::types::text::to_utf16(text)].concat();
        for bytes in [utf16("ver\r\n", &[0xFF, 0xFE]), utf16("ver\r\n", &[]), b"\xEF\xBB\xBFver\r\n".to_vec()] {
            let (script, word) = readable(bytes).unwrap();
            assert!(script == b"ver\r\n" && word.is_some());
        }
        assert_eq!(readable(b"ver \xFC".to_vec()).unwrap(), (b"ver \xFC".to_vec(), None));
        assert!(readable(utf16("ü", &[0xFF, 0xFE])).unwrap_err().hint().is_some());
    }

    #[test]
    fn an_existing_script_is_kept() {
        let script = append(b"rem mine".to_vec(), &["ver".into()]);
        assert!(script.starts_with(b"rem mine\r\nset SCLOG="));
        assert!(ends_early(b"rem\r\n@EXIT /b 0\r\n") && ends_early(b"exit") && !ends_early(b"rem exit\r\nexitcode"));
    }

    #[test]
    fn what_a_script_cannot_hold_is_refused_with_a_hint() {
        for command in ["", " ", "a\nb", "größe", "a\0b"] {
            assert!(check(command).unwrap_err().hint().is_some(), "{command}");
        }
        check("netsh \"x\"\t> y").unwrap();
    }
}
