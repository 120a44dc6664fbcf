//! `SetupComplete.cmd`, which Windows runs once as SYSTEM when its setup is complete.

use crate::error::{Error, Result};
use crate::windows::edit::ImageEdit;

/// Path in the image.
pub(super) const PATH: &str = r"Windows\Setup\Scripts\SetupComplete.cmd";
/// Larger files are no scripts.
const MAX_LEN: u64 = 1 << 20;

/// The commands of remote management, as Microsoft's tool has them.
pub(super) const REMOTE_MANAGEMENT: [&str; 2] = [
    "netsh advfirewall firewall add rule name=\"WinRM 5985\" protocol=TCP dir=in localport=5985 profile=any \
     action=allow",
    "netsh advfirewall firewall set rule group=\"@FirewallAPI.dll,-29252\" new enable=Yes",
];

/// Refuses what a line of a script cannot hold.
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

/// Adds `commands` to the script of the image; nothing without commands.
pub(super) fn add(image: &mut ImageEdit<'_>, commands: &[String], warnings: &mut Vec<String>) -> Result<()> {
    if commands.is_empty() {
        return Ok(());
    }
    let existing = image.read(PATH, MAX_LEN)?.unwrap_or_default();
    if ends_early(&existing) {
        warnings.push(format!("{PATH} of the image has an `exit`: the commands after it may never run"));
    }
    image.write(PATH, append(existing, commands))?;
    Ok(())
}

/// The script `existing` with `commands` at its end.
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
        script.extend(format!("echo Executing '{}' >> %SCLOG%\r\n", shown(command)).bytes());
        script.extend(format!("{command}{log}\r\n").bytes());
    }
    script
}

/// A command as an argument of `echo`: double quotes become single ones, as Microsoft's tool has it, and what would
/// then act on the echo itself is escaped.
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
