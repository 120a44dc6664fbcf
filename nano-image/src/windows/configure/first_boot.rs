//! What Windows does at first boot: languages, accounts, the questions of its setup, the first logon.
//!
//! All of it is written to the answer file, which Windows reads only in an image that it has not set up yet.

use super::secret::Secret;
use super::{Prepared, cloud_init, keys, locale, ssh, users};
use crate::error::{Error, Result};
use crate::windows::answer::{ImageSetup, SHELL_SETUP};
use crate::windows::edit::ImageEdit;
use crate::windows::remote_desktop;

const OOBE: &str = "oobeSystem";
const SPECIALIZE: &str = "specialize";
const INTERNATIONAL: &str = "Microsoft-Windows-International-Core";
const FIREWALL: &str = "Networking-MPSSVC-Svc";
const SESSIONS: &str = "Microsoft-Windows-TerminalServices-LocalSessionManager";
const LISTENER: &str = "Microsoft-Windows-TerminalServices-RDP-WinStationExtensions";

/// Refuses what Windows would not do at first boot.
fn check(setup: &ImageSetup, what: &str) -> Result<()> {
    let (why, hint) = match (setup.is_nano(), setup.is_complete()) {
        (true, _) => ("is a Nano Server, which has no such setting", "--setup-command runs commands in a Nano Server"),
        (false, true) => (
            "has been set up, so Windows reads no answer file",
            "use an image that `sysprep /generalize /oobe` was run on, or --setup-command",
        ),
        (false, false) => return Ok(()),
    };
    Err(Error::unsupported(format!("{what} cannot be done: the image {why}")).with_hint(hint))
}

impl Prepared {
    /// Writes all settings for the first boot to the answer file, or refuses what the image cannot do.
    pub(super) fn prepare_first_boot(&mut self, image: &mut ImageEdit<'_>, setup: &ImageSetup) -> Result<()> {
        let config = self.config.clone();
        for (is_wanted, what) in [
            (config.skip_oobe, "--skip-oobe"),
            (config.cloud_init.is_some(), "--cloud-init"),
            (config.product_key.is_some(), "--product-key"),
            (config.kms, "--kms"),
            (!config.local_user.is_empty(), "--local-user"),
            (config.auto_logon.is_some(), "--auto-logon"),
            (!config.first_logon_command.is_empty(), "--first-logon-command"),
            (config.ui_language.is_some(), "--ui-language"),
            (config.input_locale.is_some(), "--input-locale"),
        ] {
            if is_wanted {
                check(setup, what)?;
            }
        }
        if config.product_key.is_some() || config.kms {
            keys::check_edition(&setup.edition)?;
            let key = match &config.product_key {
                Some(key) => key.to_uppercase(),
                None => keys::kms(&setup.edition, setup.build)?.into(),
            };
            self.answer.set(SPECIALIZE, SHELL_SETUP, &["ProductKey"], &key);
        }
        for user in &config.local_user {
            let password = self.password_of(&user.name)?.clone();
            users::add(&mut self.answer, user, &password);
        }
        self.write_languages(setup)?;
        if config.skip_oobe {
            self.skip_questions(setup)?;
        }
        if let Some(count) = config.auto_logon {
            let (name, password) = self.first_account(setup)?;
            let (name, password) = (name.to_owned(), password.clone());
            users::log_on(&mut self.answer, &name, &password, count);
        }
        for command in &config.first_logon_command {
            let path = ["FirstLogonCommands"];
            let fields = [("CommandLine", command.as_str())];
            self.answer.add_item(OOBE, SHELL_SETUP, &path, "SynchronousCommand", true, &fields);
        }
        if config.cloud_init.is_some() {
            cloud_init::write_settings(image)?;
        }
        if config.rdp {
            self.allow_remote_desktop(image, setup)?;
        }
        if !self.ssh_keys.is_empty() {
            ssh::allow(image, &self.ssh_keys)?;
        }
        Ok(())
    }

    fn password_of(&self, name: &str) -> Result<&Secret> {
        self.config.user_passwords.get(name).ok_or_else(|| {
            Error::recipe(format!("the account `{name}` gets no password"))
                .with_hint(format!("give it with --secret user.{name}=env:VARIABLE, file:PATH or stdin"))
        })
    }

    /// The account that is logged on: the first one that is created, or the administrator.
    fn first_account(&self, setup: &ImageSetup) -> Result<(&str, &Secret)> {
        if let Some(user) = self.config.local_user.first() {
            return Ok((&user.name, self.password_of(&user.name)?));
        }
        match &self.password {
            Some(password) if !setup.is_client() => Ok(("Administrator", password)),
            _ => Err(Error::recipe("there is no account to log on")
                .with_hint("make an account with --local-user; on servers the password of Administrator does, too")),
        }
    }

    /// Sets languages and locales, for an image that asks for them at first boot.
    fn write_languages(&mut self, setup: &ImageSetup) -> Result<()> {
        let config = self.config.clone();
        let is_asked = config.ui_language.is_some() || config.input_locale.is_some() || config.skip_oobe;
        let locale = config.locale.as_deref().map(locale::find).transpose()?.map(|locale| locale.name);
        if !(is_asked || locale.is_some() && setup.is_generalized()) {
            return Ok(());
        }
        let has_english = setup.languages.is_empty() || setup.languages.iter().any(|language| language == "en-US");
        let usual = || match setup.languages.first().filter(|_| !has_english) {
            Some(first) => first.clone(),
            None => "en-US".into(),
        };
        let language = match &config.ui_language {
            None => setup.language.clone().unwrap_or_else(usual),
            Some(wanted) => {
                let known = setup.languages.iter().find(|language| language.eq_ignore_ascii_case(wanted));
                if known.is_none() && !setup.languages.is_empty() {
                    return Err(Error::not_found(format!("the image has no texts in the language {wanted}"))
                        .with_hint(format!(
                            "it has {}; others are packages of the media",
                            setup.languages.join(", ")
                        )));
                }
                known.unwrap_or(wanted).clone()
            }
        };
        let region = locale.map_or_else(|| language.clone(), str::to_owned);
        for (name, given, value) in [
            ("InputLocale", config.input_locale.is_some(), config.input_locale.as_ref().unwrap_or(&region)),
            ("SystemLocale", locale.is_some(), &region),
            ("UILanguage", config.ui_language.is_some(), &language),
            ("UserLocale", locale.is_some(), &region),
        ] {
            // What is in the answer file stays, unless the recipe sets it too.
            if given || self.answer.text(OOBE, INTERNATIONAL, &[name]).is_none() {
                self.answer.set(OOBE, INTERNATIONAL, &[name], value);
            }
        }
        Ok(())
    }

    /// Answers everything that Windows asks at first boot.
    fn skip_questions(&mut self, setup: &ImageSetup) -> Result<()> {
        let has_account = !users::named(&self.answer).is_empty();
        let administrator = ["UserAccounts", "AdministratorPassword", "Value"];
        let has_password = self.password.is_some() || self.answer.text(OOBE, SHELL_SETUP, &administrator).is_some();
        if !has_account && (setup.is_client() || !has_password) {
            let hint = match setup.is_client() {
                true => "make one with --local-user NAME and --secret user.NAME=…",
                false => "give the password of Administrator with --secret admin=…",
            };
            return Err(Error::recipe("Windows would ask for an account at first boot").with_hint(hint));
        }
        let client = setup.is_client().then_some(("HideOnlineAccountScreens", "true"));
        let server = (!setup.is_client()).then_some(("HideLocalAccountScreen", "true"));
        let always = [
            ("HideEULAPage", "true"),
            ("HideOEMRegistrationScreen", "true"),
            ("HideWirelessSetupInOOBE", "true"),
            ("ProtectYourPC", "3"),
        ];
        for (name, text) in always.into_iter().chain(client).chain(server) {
            if self.answer.text(OOBE, SHELL_SETUP, &["OOBE", name]).is_none() {
                self.answer.set(OOBE, SHELL_SETUP, &["OOBE", name], text);
            }
        }
        Ok(())
    }

    /// In the registry, and also in the answer file, because the first start may reset it.
    fn allow_remote_desktop(&mut self, image: &mut ImageEdit<'_>, setup: &ImageSetup) -> Result<()> {
        if !remote_desktop::enable(image)? {
            return Err(Error::unsupported("the image has no Remote Desktop: there is no service TermService")
                .with_hint("--remote-management opens PowerShell's remoting instead"));
        }
        if !setup.is_generalized() {
            return Ok(());
        }
        self.answer.set(SPECIALIZE, SESSIONS, &["fDenyTSConnections"], "false");
        self.answer.set(SPECIALIZE, LISTENER, &["UserAuthentication"], "1");
        let groups = self.answer.items(SPECIALIZE, FIREWALL, &["FirewallGroups"], "FirewallGroup", "Group");
        if !groups.iter().any(|group| group == remote_desktop::FIREWALL_GROUP) {
            let fields = [
                ("@keyValue", "RemoteDesktop"),
                ("Active", "true"),
                ("Group", remote_desktop::FIREWALL_GROUP),
                ("Profile", "all"),
            ];
            self.answer.add_item(SPECIALIZE, FIREWALL, &["FirewallGroups"], "FirewallGroup", false, &fields);
        }
        Ok(())
    }
}
