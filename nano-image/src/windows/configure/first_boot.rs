//! What Windows does by itself at first boot: languages, accounts, the questions of its setup, the first logon.
//!
//! All of it is said in the answer file, and only images that Windows has not set up yet read one.

use lcid::LanguageId;

use super::secret::Secret;
use super::{Prepared, cloud_init, keys, locale, ssh, users};
use crate::error::{Error, Result};
use crate::windows::answer::SHELL_SETUP;
use crate::windows::edit::{HiveFile, ImageEdit, control_set};
use crate::windows::remote_desktop;

const OOBE: &str = "oobeSystem";
const SPECIALIZE: &str = "specialize";
const INTERNATIONAL: &str = "Microsoft-Windows-International-Core";
const FIREWALL: &str = "Networking-MPSSVC-Svc";
const SESSIONS: &str = "Microsoft-Windows-TerminalServices-LocalSessionManager";
const LISTENER: &str = "Microsoft-Windows-TerminalServices-RDP-WinStationExtensions";
/// State of an image that Windows has been set up in.
const COMPLETE: &str = "IMAGE_STATE_COMPLETE";

/// What an image says of itself.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// `InstallationType`: `Client`, `Server`, `Server Core`, `Nano Server`.
    installation: String,
    edition: String,
    build: u32,
    /// `ImageState`.
    state: String,
    /// Languages of its own texts, if they are listed.
    languages: Vec<String>,
    /// The one that it was made in, if it says so.
    language: Option<String>,
}

impl Facts {
    /// A hive that cannot be read says nothing here: who needs it, is told.
    pub fn read(image: &mut ImageEdit<'_>) -> Self {
        let mut facts = Self::default();
        if let Some(hive) = image.hive(HiveFile::Software).ok().flatten() {
            let text = |key: &str, name: &str| {
                hive.find(key).and_then(|key| hive.value(key, name)?.text()).unwrap_or_default()
            };
            const VERSION: &str = r"Microsoft\Windows NT\CurrentVersion";
            facts.installation = text(VERSION, "InstallationType");
            facts.edition = text(VERSION, "EditionID");
            facts.build = text(VERSION, "CurrentBuildNumber").parse().unwrap_or(0);
            facts.state = text(r"Microsoft\Windows\CurrentVersion\Setup\State", "ImageState").to_uppercase();
        }
        if let Some(hive) = image.hive(HiveFile::System).ok().flatten() {
            let key = hive.find(&format!(r"{}\Control\MUI\UILanguages", control_set(hive)));
            let languages = key.map(|key| hive.subkeys(key)).unwrap_or_default();
            facts.languages = languages.into_iter().map(|key| hive.name(key).to_string()).collect();
            let key = hive.find(&format!(r"{}\Control\Nls\Language", control_set(hive)));
            let number = key.and_then(|key| hive.value(key, "InstallLanguage")?.text());
            let number = number.and_then(|number| u32::from_str_radix(&number, 16).ok());
            let known: Option<&LanguageId> = number.and_then(|number| number.try_into().ok());
            facts.language = known.map(|language| language.name.to_owned());
        }
        facts
    }

    /// Whether the first start names the machine anew. What Nano Server does is not known.
    pub fn is_generalized(&self) -> bool {
        self.state.starts_with("IMAGE_STATE_GENERALIZE_RESEAL") && !self.is_nano()
    }

    fn is_nano(&self) -> bool {
        self.installation.eq_ignore_ascii_case("Nano Server") || self.edition.to_lowercase().ends_with("nano")
    }

    pub fn is_client(&self) -> bool {
        self.installation.eq_ignore_ascii_case("Client")
    }

    /// Refuses what Windows would not do at first boot.
    fn check(&self, what: &str) -> Result<()> {
        let why = match (self.is_nano(), self.state == COMPLETE) {
            (true, _) => "is a Nano Server, which has no such setting",
            (false, true) => "has been set up (IMAGE_STATE_COMPLETE), so Windows reads no answer file",
            (false, false) => return Ok(()),
        };
        let hint = "--setup-command runs commands in a Nano Server; other images need `sysprep /generalize /oobe`";
        Err(Error::unsupported(format!("{what} cannot be done: the image {why}")).with_hint(hint))
    }
}

impl Prepared {
    /// Puts all that is for the first boot into the answer file, or refuses what the image cannot do.
    pub(super) fn prepare_first_boot(&mut self, image: &mut ImageEdit<'_>, facts: &Facts) -> Result<()> {
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
                facts.check(what)?;
            }
        }
        if config.product_key.is_some() || config.kms {
            keys::check_edition(&facts.edition)?;
            let key = match &config.product_key {
                Some(key) => key.to_uppercase(),
                None => keys::kms(&facts.edition, facts.build)?.into(),
            };
            self.answer.set(SPECIALIZE, SHELL_SETUP, &["ProductKey"], &key);
        }
        for user in &config.local_user {
            let password = self.password_of(&user.name)?.clone();
            users::add(&mut self.answer, user, &password);
        }
        self.write_languages(facts)?;
        if config.skip_oobe {
            self.skip_questions(facts)?;
        }
        if let Some(count) = config.auto_logon {
            let (name, password) = self.first_account(facts)?;
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
            self.allow_remote_desktop(image, facts)?;
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

    /// The account that logs on: the first that is made, or the administrator.
    fn first_account(&self, facts: &Facts) -> Result<(&str, &Secret)> {
        if let Some(user) = self.config.local_user.first() {
            return Ok((&user.name, self.password_of(&user.name)?));
        }
        match &self.password {
            Some(password) if !facts.is_client() => Ok(("Administrator", password)),
            _ => Err(Error::recipe("nobody is there to be logged on")
                .with_hint("make an account with --local-user; on servers the password of Administrator does, too")),
        }
    }

    /// Languages and locales, for an image that asks for them at first boot.
    fn write_languages(&mut self, facts: &Facts) -> Result<()> {
        let config = self.config.clone();
        let is_asked = config.ui_language.is_some() || config.input_locale.is_some() || config.skip_oobe;
        let locale = config.locale.as_deref().map(locale::find).transpose()?.map(|locale| locale.name);
        if !(is_asked || locale.is_some() && facts.is_generalized()) {
            return Ok(());
        }
        let has_english = facts.languages.is_empty() || facts.languages.iter().any(|language| language == "en-US");
        let usual = || match facts.languages.first().filter(|_| !has_english) {
            Some(first) => first.clone(),
            None => "en-US".into(),
        };
        let language = match &config.ui_language {
            None => facts.language.clone().unwrap_or_else(usual),
            Some(wanted) => {
                let known = facts.languages.iter().find(|language| language.eq_ignore_ascii_case(wanted));
                if known.is_none() && !facts.languages.is_empty() {
                    return Err(Error::not_found(format!("the image has no texts in the language {wanted}"))
                        .with_hint(format!(
                            "it has {}; others are packages of the media",
                            facts.languages.join(", ")
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
            // What the answer file says stays, unless the recipe says it, too.
            if given || self.answer.text(OOBE, INTERNATIONAL, &[name]).is_none() {
                self.answer.set(OOBE, INTERNATIONAL, &[name], value);
            }
        }
        Ok(())
    }

    /// Answers all that Windows asks at first boot.
    fn skip_questions(&mut self, facts: &Facts) -> Result<()> {
        let has_account = !users::named(&self.answer).is_empty();
        let administrator = ["UserAccounts", "AdministratorPassword", "Value"];
        let has_password = self.password.is_some() || self.answer.text(OOBE, SHELL_SETUP, &administrator).is_some();
        if !has_account && (facts.is_client() || !has_password) {
            let hint = match facts.is_client() {
                true => "make one with --local-user NAME and --secret user.NAME=…",
                false => "give the password of Administrator with --secret admin=…",
            };
            return Err(Error::recipe("Windows would ask for an account at first boot").with_hint(hint));
        }
        let client = facts.is_client().then_some(("HideOnlineAccountScreens", "true"));
        let server = (!facts.is_client()).then_some(("HideLocalAccountScreen", "true"));
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

    /// In the registry, and, as the first start may set it back, in the answer file.
    fn allow_remote_desktop(&mut self, image: &mut ImageEdit<'_>, facts: &Facts) -> Result<()> {
        if !remote_desktop::enable(image)? {
            return Err(Error::unsupported("the image has no Remote Desktop: there is no service TermService")
                .with_hint("--remote-management opens PowerShell's remoting, which Nano Server has"));
        }
        if !facts.is_generalized() {
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
