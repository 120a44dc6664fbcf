//! Checks what a recipe says of the machine, without reading anything.

use super::computer_name::NameChoice;
use super::network::Network;
use super::{FileCopy, MachineConfig, locale, setup_complete, time_zone};
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
        self.copy.iter().try_for_each(FileCopy::check)?;
        self.setup_command.iter().try_for_each(|command| setup_complete::check(command))
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
