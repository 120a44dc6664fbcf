//! The administrator's password in answer files.
//!
//! Base64 does not protect a password. Therefore only SYSTEM and Administrators can read the answer file, and Windows
//! deletes passwords from it after using them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::secret::Secret;
use super::unattend::OFFLINE;
use crate::error::{Error, Result};
use crate::types::text;
use crate::windows::answer::{AnswerFile, ImageSetup, SHELL_SETUP};

/// The longest password that Windows accepts here.
const MAX_LEN: usize = 127;
const ACCOUNT: [&str; 2] = ["UserAccounts", "AdministratorPassword"];
const OFFLINE_ACCOUNT: [&str; 2] = ["OfflineUserAccounts", "OfflineAdministratorPassword"];
/// The pass in which Windows sets the password.
const PASS: &str = "oobeSystem";

/// Refuses what cannot be a password.
pub(super) fn check(password: &Secret) -> Result<()> {
    let text = password.expose();
    if text.is_empty() {
        return Err(Error::recipe("the administrator password is empty")
            .with_hint("leave it out to keep the image's account as it is, or give a password"));
    }
    if text.encode_utf16().count() > MAX_LEN {
        return Err(Error::recipe(format!("the administrator password has more than {MAX_LEN} characters"))
            .with_hint("Windows accepts no longer one here"));
    }
    if text.chars().any(char::is_control) {
        return Err(Error::recipe("the administrator password contains a control character, such as a line break")
            .with_hint("check the file or variable that it comes from"));
    }
    Ok(())
}

/// The password in the form for the element `element`: Base64 of the UTF-16LE form of password and element name.
pub(super) fn encode(password: &str, element: &str) -> String {
    let bytes: Vec<u8> = password.encode_utf16().chain(element.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    STANDARD.encode(bytes)
}

/// The password that [`encode`] encoded; `None` for other text.
fn decode(text: &str, element: &str) -> Option<Secret> {
    let text: String = text.split_whitespace().collect();
    let bytes = STANDARD.decode(text).ok()?;
    text::utf16(&bytes)?.strip_suffix(element).map(Secret::new)
}

fn path<'a>(account: &[&'a str; 2], leaf: &'a str) -> [&'a str; 3] {
    [account[0], account[1], leaf]
}

/// The password that the answer file contains itself.
fn named(file: &AnswerFile) -> Option<String> {
    let has = |pass, account: &[&str; 2]| file.text(pass, SHELL_SETUP, account).is_some();
    let found = [(PASS, &ACCOUNT), (OFFLINE, &OFFLINE_ACCOUNT)].into_iter().find(|(pass, account)| has(pass, account));
    found.map(|(pass, account)| format!("{SHELL_SETUP}/{} ({pass})", account.join("/")))
}

/// Checks that not both recipe and answer file give a password.
pub(super) fn check_conflict(file: &AnswerFile, password: Option<&Secret>) -> Result<()> {
    match (password, named(file)) {
        (Some(_), Some(place)) => {
            Err(Error::recipe(format!("an administrator password is given, and the answer file has one too: {place}"))
                .with_hint("remove one of them"))
        }
        _ => Ok(()),
    }
}

/// Writes the password to the answer file. Without one, the file's own offlineServicing password, which would have to
/// be written to the SAM hive, is moved to where Windows sets it at first boot. Returns whether there is any password.
pub(super) fn apply(file: &mut AnswerFile, password: Option<&Secret>) -> Result<bool> {
    let offline = offline_password(file)?;
    let wanted = password.or(offline.as_ref());
    if let Some(password) = wanted {
        let value = encode(password.expose(), ACCOUNT[1]);
        file.set(PASS, SHELL_SETUP, &path(&ACCOUNT, "Value"), &value);
        file.set(PASS, SHELL_SETUP, &path(&ACCOUNT, "PlainText"), "false");
    }
    if offline.is_some() {
        file.remove(OFFLINE, SHELL_SETUP, OFFLINE_ACCOUNT[0]);
    }
    Ok(named(file).is_some())
}

/// What a missing password means for the image.
pub(super) fn doubt(image: &ImageSetup) -> &'static str {
    match (image.is_nano(), image.is_complete(), &*image.installation.to_ascii_lowercase()) {
        (true, ..) => {
            "no administrator password is given: the account stays as the image has it. Nano Server asks for a new \
             password at the first logon at its console, previews let anyone in with a blank one, and no remote \
             logon works until then"
        }
        (false, true, _) => "no administrator password is given: the account stays as the image has it",
        (false, false, "server core") => {
            "no administrator password is given: the account stays as the image has it. Server Core asks for a new \
             password at its console at first boot, and no remote logon works until then"
        }
        (false, false, "server") => {
            "no administrator password is given: the account stays as the image has it. Windows Server asks for a \
             new password at its console at first boot, and no remote logon works until then"
        }
        _ => {
            "no administrator password is given: the account stays as the image has it. Windows asks for a new \
             password at its console at first boot, and no remote logon works until then"
        }
    }
}

fn offline_password(file: &AnswerFile) -> Result<Option<Secret>> {
    let Some(value) = file.text(OFFLINE, SHELL_SETUP, &path(&OFFLINE_ACCOUNT, "Value")) else { return Ok(None) };
    let is_plain = file.text(OFFLINE, SHELL_SETUP, &path(&OFFLINE_ACCOUNT, "PlainText"));
    if is_plain.is_none_or(|plain| plain.eq_ignore_ascii_case("true") || plain == "1") {
        return Ok(Some(Secret::new(value)));
    }
    let bad = || {
        let what = format!("bad answer file: {}/Value is not encoded as Windows does it", OFFLINE_ACCOUNT[1]);
        Error::corrupt(what).with_hint("it is Base64 of the UTF-16LE form of the password and the element's name")
    };
    decode(&value, OFFLINE_ACCOUNT[1]).map(Some).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_as_windows_does_it() {
        // The example of Windows System Image Manager, with the password `pw`.
        assert_eq!(encode("pw", "Password"), "cAB3AFAAYQBzAHMAdwBvAHIAZAA=");
        assert_eq!(decode("cAB3AFAAYQBz\n AHMAdwBvAHIAZAA=", "Password").unwrap().expose(), "pw");
        assert!(decode("cAB3AFAAYQBzAHMAdwBvAHIAZAA=", "Other").is_none());
    }

    #[test]
    fn unusable_passwords_are_refused_without_showing_them() {
        for text in ["", "secret\n", &"secret".repeat(30)] {
            let error = check(&Secret::new(text)).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("secret"));
        }
    }

    #[test]
    fn an_offline_password_moves_to_first_boot() {
        for (value, plain) in [("hunter2".to_owned(), "true"), (encode("hunter2", OFFLINE_ACCOUNT[1]), "false")] {
            let mut file = AnswerFile::empty();
            file.set(OFFLINE, SHELL_SETUP, &path(&OFFLINE_ACCOUNT, "Value"), &value);
            file.set(OFFLINE, SHELL_SETUP, &path(&OFFLINE_ACCOUNT, "PlainText"), plain);
            assert!(check_conflict(&file, Some(&Secret::new("x"))).unwrap_err().hint().is_some());
            assert!(apply(&mut file, None).unwrap());
            let set = file.text(PASS, SHELL_SETUP, &path(&ACCOUNT, "Value")).unwrap();
            assert_eq!(set, encode("hunter2", ACCOUNT[1]));
            assert!(!String::from_utf8(file.to_bytes()).unwrap().contains(OFFLINE));
        }
    }

    #[test]
    fn without_a_password_each_windows_is_called_what_it_is() {
        assert!(!apply(&mut AnswerFile::empty(), None).unwrap());
        let image = |installation: &str| ImageSetup { installation: installation.into(), ..ImageSetup::default() };
        for installation in ["Nano Server", "Server Core"] {
            assert!(doubt(&image(installation)).contains(installation));
        }
        assert!(doubt(&image("Server")).contains("Windows Server asks"));
        assert!(!doubt(&image("")).contains("Server"));
        let complete = ImageSetup { setup_type: Some(0), ..image("Server") };
        assert!(!doubt(&complete).contains("asks"));
    }
}
