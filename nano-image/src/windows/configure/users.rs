//! Local accounts, and automatic logon.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::accounts;
use super::secret::Secret;
use crate::error::{Error, Result};
use crate::types::form;
use crate::windows::answer::{AnswerFile, SHELL_SETUP};

/// The pass in which Windows creates accounts.
const PASS: &str = "oobeSystem";
const ACCOUNTS: [&str; 2] = ["UserAccounts", "LocalAccounts"];
/// The group of accounts for which no group is given.
const ADMINISTRATORS: &str = "Administrators";
/// The longest name of an account, in characters.
const MAX_LEN: usize = 20;
const FORBIDDEN: &str = r#"/\[]:;|=,+*?<>"%@"#;
/// Names that Windows uses itself.
const RESERVED: [&str; 9] = [
    "administrator",
    "guest",
    "defaultaccount",
    "system",
    "network service",
    "local service",
    "none",
    "wdagutilityaccount",
    "administrators",
];

/// A local account, which Windows creates at first boot. Its text is `NAME[:GROUP]`. Groups are separated by `;` and
/// have their names in the image's language; without a group it is Administrators.
///
/// ```
/// # fn main() -> nano_image::Result<()> {
/// use nano_image::{LocalUser, MachineConfig, Recipe, Secret};
///
/// let user: LocalUser = "deploy:Remote Desktop Users".parse()?;
/// assert_eq!((user.name.as_str(), user.group.as_deref()), ("deploy", Some("Remote Desktop Users")));
/// let machine = MachineConfig { local_user: vec![user], ..MachineConfig::default() };
/// let recipe = Recipe::image("1").machine(machine).user_password("deploy", Secret::new("Hunter2!")).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LocalUser {
    /// Its name: 1 to 20 characters.
    pub name: String,
    /// Its groups.
    pub group: Option<String>,
}

impl LocalUser {
    /// Refuses what Windows would refuse at first boot.
    pub(super) fn check(&self) -> Result<()> {
        let name = &self.name;
        let refuse = |why: &str, hint: &str| Err(Error::recipe(format!("the account `{name}` {why}")).with_hint(hint));
        if name.is_empty() || name.encode_utf16().count() > MAX_LEN {
            return refuse("has no name of 1 to 20 characters", "Windows has no others");
        }
        if name.chars().any(|c| FORBIDDEN.contains(c) || c.is_control()) || name.ends_with('.') || name.trim() != name {
            return refuse("has characters in its name that Windows refuses", "use letters, digits, `-`, `_` and `.`");
        }
        if RESERVED.contains(&name.to_lowercase().as_str()) {
            return refuse(
                "is there already",
                "--secret admin=… sets the password of Administrator; choose another name",
            );
        }
        if self.group.as_ref().is_some_and(|group| group.trim().is_empty() || group.chars().any(char::is_control)) {
            return refuse("has a group without a name", "write NAME:GROUP, e.g. deploy:Administrators");
        }
        Ok(())
    }
}

impl FromStr for LocalUser {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, group) = text.split_once(':').map_or((text, None), |(name, group)| (name, Some(group.to_owned())));
        let user = Self { name: name.into(), group };
        user.check()?;
        Ok(user)
    }
}

impl fmt::Display for LocalUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.group.iter().try_for_each(|group| write!(f, ":{group}"))
    }
}

form::as_text!(LocalUser);

/// Names of the accounts that the answer file creates.
pub(super) fn named(file: &AnswerFile) -> Vec<String> {
    file.items(PASS, SHELL_SETUP, &ACCOUNTS, "LocalAccount", "Name")
}

/// Refuses accounts that the answer file creates too.
pub(super) fn check_conflict(file: &AnswerFile, users: &[LocalUser]) -> Result<()> {
    let others = named(file);
    match users.iter().find(|user| others.iter().any(|other| other.eq_ignore_ascii_case(&user.name))) {
        Some(user) => Err(Error::recipe(format!("the answer file makes the account `{}` too", user.name))
            .with_hint("remove one of them")),
        None => Ok(()),
    }
}

/// Refuses an automatic logon if the answer file has one.
pub(super) fn check_logon(file: &AnswerFile, is_wanted: bool) -> Result<()> {
    match is_wanted && file.text(PASS, SHELL_SETUP, &["AutoLogon", "Username"]).is_some() {
        true => Err(Error::recipe("a logon is asked for, and the answer file has AutoLogon too")
            .with_hint("remove one of them")),
        false => Ok(()),
    }
}

/// Writes an account with its password to the answer file.
pub(super) fn add(file: &mut AnswerFile, user: &LocalUser, password: &Secret) {
    let group = user.group.as_deref().unwrap_or(ADMINISTRATORS);
    let value = accounts::encode(password.expose(), "Password");
    let fields = [
        ("Password/Value", value.as_str()),
        ("Password/PlainText", "false"),
        ("DisplayName", &user.name),
        ("Group", group),
        ("Name", &user.name),
    ];
    file.add_item(PASS, SHELL_SETUP, &ACCOUNTS, "LocalAccount", false, &fields);
}

/// Logs on `name` automatically this number of times.
pub(super) fn log_on(file: &mut AnswerFile, name: &str, password: &Secret, count: u32) {
    let value = accounts::encode(password.expose(), "Password");
    for (path, text) in [
        (&["AutoLogon", "Password", "Value"][..], value.as_str()),
        (&["AutoLogon", "Password", "PlainText"], "false"),
        (&["AutoLogon", "Enabled"], "true"),
        (&["AutoLogon", "LogonCount"], &count.to_string()),
        (&["AutoLogon", "Username"], name),
    ] {
        file.set(PASS, SHELL_SETUP, path, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_read_written_and_checked() {
        for text in ["deploy", "deploy:Users", "a b:Administrators;Remote Desktop Users", "größe"] {
            assert_eq!(text.parse::<LocalUser>().unwrap().to_string(), text);
        }
        for text in
            ["", "Administrator", "GUEST", "a.", " a", "a/b", "a@b", "a\tb", "a-name-of-21-charact", "a:", "a:  "]
        {
            let is_long = text.len() == 20;
            match text.parse::<LocalUser>() {
                Ok(_) => assert!(is_long, "{text}"),
                Err(error) => assert!(error.hint().is_some(), "{text}"),
            }
        }
        assert!("a-name-of-21-characte".parse::<LocalUser>().is_err());
    }
}
