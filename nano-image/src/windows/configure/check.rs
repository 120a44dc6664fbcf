//! Checks the description of the machine in a recipe, without reading any file.

use super::computer_name::NameChoice;
use super::network::Network;
use super::{FileCopy, MachineConfig, accounts, keys, locale, setup_complete, time_zone};
use crate::error::{Error, Result};

impl MachineConfig {
    /// Checks everything that needs no file.
    ///
    /// # Errors
    /// [`Recipe`](crate::ErrorKind::Recipe) with a hint.
    pub fn check(&self) -> Result<()> {
        let name = self.computer_name.as_deref().map(NameChoice::parse).transpose()?;
        self.check_domain(name.as_ref())?;
        if self.name_in_specialize && name.is_none() && self.unattend.is_none() {
            return Err(Error::recipe("a name for the specialize pass is wanted, but no computer name is given")
                .with_hint("give a computer name too"));
        }
        Network::of(self)?;
        self.time_zone.as_deref().map_or(Ok(()), time_zone::check)?;
        self.locale.as_deref().map(locale::find).transpose()?;
        self.check_first_boot()?;
        self.copy.iter().try_for_each(FileCopy::check)?;
        self.setup_command.iter().try_for_each(|command| setup_complete::check(command))
    }

    fn check_first_boot(&self) -> Result<()> {
        let refuse = |what: String, hint: &str| Err(Error::recipe(what).with_hint(hint));
        self.product_key.as_deref().map_or(Ok(()), keys::check)?;
        if self.product_key.is_some() && self.kms {
            return refuse("a product key is given, and the one for a key management server, too".into(), "keep one");
        }
        for (index, user) in self.local_user.iter().enumerate() {
            user.check()?;
            if self.local_user[..index].iter().any(|other| other.name.eq_ignore_ascii_case(&user.name)) {
                return refuse(format!("the account `{}` is made twice", user.name), "keep one");
            }
            if self.computer_name.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(&user.name)) {
                let what = format!("the account `{}` has the name of the computer", user.name);
                return refuse(what, "Windows takes no account of that name: choose another one");
            }
        }
        for (name, password) in &self.user_passwords {
            if !self.local_user.iter().any(|user| user.name == *name) {
                return refuse(
                    format!("a password is given for `{name}`, which is not an account"),
                    "make it with --local-user",
                );
            }
            accounts::check(password).map_err(|error| error.within(format_args!("account `{name}`")))?;
        }
        if self.auto_logon == Some(0) {
            return refuse("an automatic logon that happens 0 times".into(), "leave it out");
        }
        if let Some(language) = &self.ui_language {
            locale::find(language)?;
        }
        self.input_locale.as_deref().map_or(Ok(()), check_input)?;
        self.first_logon_command.iter().try_for_each(|command| check_command(command))
    }

    fn check_domain(&self, name: Option<&NameChoice>) -> Result<()> {
        let refuse = |what: &str, hint: &str| Err(Error::recipe(what).with_hint(hint));
        match (&self.domain_name, &self.domain_blob, name) {
            (Some(_), Some(_), _) => {
                refuse("a domain and a domain-join blob are given", "keep the blob: it says which domain")
            }
            (None, Some(_), Some(_)) => refuse(
                "a domain-join blob and a computer name are given",
                "leave the name out: the blob carries the name of the machine account",
            ),
            (Some(_), None, None | Some(NameChoice::AtFirstBoot)) => refuse(
                "a domain is given without a computer name",
                "a machine account needs a name: give a computer name",
            ),
            (None, None, _) if self.reuse_domain_node => refuse(
                "a machine account shall be reused, but no domain is joined",
                "`djoin /Provision … /Reuse` on a machine of the domain takes an account over; give its blob",
            ),
            (Some(domain), None, Some(NameChoice::Given(name))) => {
                let reuse = if self.reuse_domain_node { " /Reuse" } else { "" };
                Err(Error::recipe(format!("an account in the domain `{domain}` can only be made by a machine of it"))
                    .with_hint(format!(
                        "run `djoin /Provision /Domain {domain} /Machine {name} /SaveFile {name}.blob{reuse}` there and \
                         give the file as the domain blob, without domain and computer name"
                    )))
            }
            _ => Ok(()),
        }
    }
}

/// Characters of the longest command.
const MAX_COMMAND: usize = 1024;

/// Refuses what cannot be a command of the answer file.
fn check_command(command: &str) -> Result<()> {
    let refuse = |why: String| {
        let message = format!("the command of the first logon `{}` {why}", command.escape_debug());
        Err(Error::recipe(message).with_hint("copy a script into the image and call that"))
    };
    let len = command.encode_utf16().count();
    if command.trim().is_empty() || command.chars().any(char::is_control) {
        return refuse("is empty or has a control character".into());
    }
    match len > MAX_COMMAND {
        true => refuse(format!("has {len} characters; Windows takes {MAX_COMMAND} at most")),
        false => Ok(()),
    }
}

/// Refuses what is not a list of input locales: `0407:00000407` or `de-DE`, separated by `;`.
fn check_input(list: &str) -> Result<()> {
    let is_hex = |text: &str, len: usize| text.len() == len && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_known = |part: &str| match part.split_once(':') {
        Some((language, keyboard)) => is_hex(language, 4) && is_hex(keyboard, 8),
        None => locale::find(part).is_ok(),
    };
    match list.split(';').find(|part| !is_known(part)) {
        Some(bad) => Err(Error::recipe(format!("`{bad}` is not an input locale")).with_hint(
            "write the language and the keyboard as 0407:00000407, or a locale as de-DE; separate several by `;`",
        )),
        None => Ok(()),
    }
}
