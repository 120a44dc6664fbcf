//! OpenSSH: public keys of administrators, and the server that accepts them.
//!
//! Source: "Key-based authentication in OpenSSH for Windows" on learn.microsoft.com.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::error::{Error, Result};
use crate::registry::Value;
use crate::security::{ObjectClass, constant};
use crate::windows::edit::{HiveFile, ImageEdit, control_sets};

/// Larger files are not public keys.
pub(super) const MAX_LEN: u64 = 1 << 20;
const FOLDER: &str = r"ProgramData\ssh";
/// The keys of all members of Administrators.
const KEYS: &str = r"ProgramData\ssh\administrators_authorized_keys";
/// The server creates its folder with this descriptor. It ignores keys that others could have written.
const FOLDER_SECURITY: &str = "O:BAG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;0x1200a9;;;AU)";
const SERVER: &str = r"Windows\System32\OpenSSH\sshd.exe";
const RULES: &str = r"Services\SharedAccess\Parameters\FirewallPolicy\FirewallRules";
/// Rules have the form of \[MS-FASP\] 2.2.19.
const RULE: &str = r"v2.10|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=22|App=%SystemRoot%\system32\OpenSSH\sshd.exe|Name=OpenSSH SSH Server (sshd)|";
const RULE_ID: &str = "OpenSSH-Server-22-In-TCP";
const AUTOMATIC: u32 = 2;
/// Types of keys; the suffixes are for security keys.
const KINDS: [&str; 7] = [
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// The keys in a file, one line each, checked.
///
/// # Errors
/// [`Corrupt`](crate::ErrorKind::Corrupt) with the malformed line.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<String>> {
    const HINT: &str = "give the public key, e.g. ~/.ssh/id_ed25519.pub";
    let text =
        std::str::from_utf8(bytes).map_err(|_| Error::corrupt("not the text of a public key").with_hint(HINT))?;
    if text.contains("PRIVATE KEY-----") {
        return Err(Error::corrupt("this is a private key, which nobody else should have").with_hint(HINT));
    }
    let mut keys = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if !is_key(line) {
            return Err(Error::corrupt(format!("line {} is not a public key of OpenSSH", index + 1)).with_hint(HINT));
        }
        keys.push(line.to_owned());
    }
    match keys.is_empty() {
        true => Err(Error::corrupt("there is no public key in the file").with_hint(HINT)),
        false => Ok(keys),
    }
}

/// Whether a line has a type of key followed by a key of that type. Options may precede them.
fn is_key(line: &str) -> bool {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    words.windows(2).any(|pair| {
        let bytes = STANDARD.decode(pair[1]).unwrap_or_default();
        let len = bytes.first_chunk().map_or(0, |len| u32::from_be_bytes(*len) as usize);
        KINDS.contains(&pair[0])
            && bytes.get(4..4 + len.min(bytes.len())).is_some_and(|kind| kind == pair[0].as_bytes())
    })
}

/// Lets administrators log on with `keys`, and starts the server with Windows.
///
/// # Errors
/// [`Unsupported`](crate::ErrorKind::Unsupported) if the image has no server.
pub(super) fn allow(image: &mut ImageEdit<'_>, keys: &[String]) -> Result<()> {
    let missing = || {
        Error::unsupported("SSH keys are given, but the image has no OpenSSH server").with_path(SERVER).with_hint(
            "Windows Server 2025 has it; for others install its capability from the Features on Demand media",
        )
    };
    if image.tree.find(SERVER).is_none() {
        return Err(missing());
    }
    let hive = image.edit(HiveFile::System)?;
    for set in control_sets(hive)? {
        let service = hive.find_from(set, r"Services\sshd").ok_or_else(missing)?;
        hive.set_value(service, "Start", Value::dword(AUTOMATIC))?;
        let rules = hive.create_key(set, RULES)?;
        hive.set_value(rules, RULE_ID, Value::sz(RULE))?;
    }
    if image.tree.find(FOLDER).is_none() {
        let folder = image.create_directories(FOLDER)?;
        let descriptor = constant(FOLDER_SECURITY, ObjectClass::File);
        image.tree[folder].security = Some(image.tree.add_descriptor(&descriptor));
    }
    let before = image.read(KEYS, MAX_LEN)?.unwrap_or_default();
    let mut text = String::from_utf8_lossy(&before).into_owned();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push_str("\r\n");
    }
    keys.iter().for_each(|key| text += &format!("{key}\r\n"));
    image.write_private(KEYS, text.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_keys_are_told_from_everything_else() {
        let key = |kind: &str| {
            let bytes = [&(kind.len() as u32).to_be_bytes()[..], kind.as_bytes(), &[7; 40]].concat();
            format!("{kind} {} me@here", STANDARD.encode(bytes))
        };
        let text = format!("# mine\r\n{}\n\n{}\n", key("ssh-ed25519"), key("ecdsa-sha2-nistp256"));
        assert_eq!(read(text.as_bytes()).unwrap().len(), 2);
        assert_eq!(read(format!("from=\"10.0.0.1\" {}", key("ssh-rsa")).as_bytes()).unwrap().len(), 1);
        let swapped = key("ssh-rsa").replace("ssh-rsa", "ssh-ed25519");
        let private = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n";
        for bad in ["", "# none\n", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-dss AAAAB3Nz", private, &swapped] {
            assert!(read(bad.as_bytes()).unwrap_err().hint().is_some(), "{bad}");
        }
        assert!(read(&[0xFF, 0xFE]).is_err());
    }
}
