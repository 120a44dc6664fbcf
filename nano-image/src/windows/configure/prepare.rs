//! Reading and checking everything that a configuration names, before an image is touched.

use sha2::{Digest, Sha256};

use super::computer_name::NameChoice;
use super::files::Copies;
use super::network::Network;
use super::reg_file::{self, RegFile};
use super::secret::Secret;
use super::unattend::OFFLINE;
use super::{MachineConfig, RemoteManagement, accounts, cloud_init, domain, keys, setup_complete, ssh, users};
use crate::content::InputFiles;
use crate::error::{Error, ErrorKind, Result};
use crate::types::Architecture;
use crate::windows::answer::{self, AnswerFile, Remark, SHELL_SETUP, Target, Verdict};

/// A configuration whose files are read and checked.
pub struct Prepared {
    pub(super) config: MachineConfig,
    pub(super) password: Option<Secret>,
    /// The name to write into the image.
    pub(super) name: Option<NameChoice>,
    pub(super) answer: AnswerFile,
    /// The answer file as it was given.
    pub(super) given: Vec<u8>,
    pub(super) blob: Option<Secret>,
    /// Lines of `SetupComplete.cmd`.
    pub(super) commands: Vec<String>,
    pub(super) copies: Copies,
    pub(super) reg: Vec<RegFile>,
    /// Public keys, a line each.
    pub(super) ssh_keys: Vec<String>,
    /// What the WIM calls the image, for one whose registry does not say it: `InstallationType` and `EditionID`.
    pub(super) called: (String, String),
    /// Digests of copied files and registry files.
    identity: Vec<u8>,
    /// Digest of the password, the answer file and the blob.
    secrets: Option<[u8; 32]>,
    pub(super) warnings: Vec<String>,
}

impl MachineConfig {
    /// Reads the files that the configuration names and checks them for an image of `architecture`, and whether they
    /// agree.
    ///
    /// # Errors
    /// Those of [`check`](Self::check), [`Corrupt`](crate::ErrorKind::Corrupt) and
    /// [`NotFound`](crate::ErrorKind::NotFound) for files.
    #[cfg(any(test, feature = "internals"))]
    pub fn prepare(&self, administrator_password: Option<&Secret>, architecture: Architecture) -> Result<Prepared> {
        self.prepare_from(&InputFiles::default(), administrator_password, architecture)
    }

    /// `prepare` with files from elsewhere.
    pub fn prepare_from(
        &self,
        files: &InputFiles,
        administrator_password: Option<&Secret>,
        architecture: Architecture,
    ) -> Result<Prepared> {
        self.check()?;
        administrator_password.map_or(Ok(()), accounts::check)?;
        let mut secrets = Secrets::default();
        administrator_password.iter().for_each(|password| secrets.add("admin", password.expose().as_bytes()));
        self.product_key.iter().for_each(|key| secrets.add("product-key", key.as_bytes()));
        for (name, password) in &self.user_passwords {
            secrets.add(&format!("user.{name}"), password.expose().as_bytes());
        }
        let mut warnings = Vec::new();
        let mut given = Vec::new();
        let mut answer = match &self.unattend {
            Some(path) => {
                given = files.read(path, answer::MAX_LEN, "an answer file")?;
                secrets.add("unattend", &given);
                read_answer(&given, architecture, &mut warnings).map_err(|error| error.with_path(path))?
            }
            None => AnswerFile::empty(),
        };
        answer.is_for(architecture);
        let in_file = |error: Error| match &self.unattend {
            Some(path) => error.with_path(path),
            None => error,
        };
        accounts::check_conflict(&answer, administrator_password).map_err(in_file)?;
        users::check_conflict(&answer, &self.local_user).map_err(in_file)?;
        keys::check_conflict(&answer, self.product_key.as_deref()).map_err(in_file)?;
        users::check_logon(&answer, self.auto_logon.is_some()).map_err(in_file)?;
        let blob = match &self.domain_blob {
            Some(path) => {
                domain::check_conflict(&answer).map_err(in_file)?;
                let bytes = files.read(path, domain::MAX_LEN, "a domain-join blob")?;
                secrets.add("domain-blob", &bytes);
                Some(Secret::new(domain::read_blob(&bytes).map_err(|error| error.with_path(path))?))
            }
            None => None,
        };
        let name = self.decide_name(&answer, &mut warnings).map_err(in_file)?;
        let mut commands = Network::of(self)?.map(|network| network.commands()).unwrap_or_default();
        if self.remote_management == Some(RemoteManagement::Script) {
            commands.extend(setup_complete::REMOTE_MANAGEMENT.map(String::from));
        }
        commands.extend(self.setup_command.iter().cloned());
        self.check_time_zone(&answer).map_err(in_file)?;
        let mut copy = self.copy.clone();
        if let Some(path) = &self.cloud_init {
            copy.extend(cloud_init::find(files, path)?);
            commands.extend(cloud_init::commands());
        }
        let copies = Copies::collect(&copy, files)?;
        let (mut reg, mut identity) = (Vec::new(), copies.identity.clone());
        for path in &self.reg {
            let bytes = files.read(path, reg_file::MAX_LEN, "a .reg file")?;
            identity.extend(Sha256::digest(&bytes));
            reg.push(RegFile::parse(&bytes, self.reg_user).map_err(|error| error.with_path(path))?);
        }
        let mut ssh_keys = Vec::new();
        for path in &self.ssh_key {
            let bytes = files.read(path, ssh::MAX_LEN, "a public key")?;
            identity.extend(Sha256::digest(&bytes));
            ssh_keys.extend(ssh::read(&bytes).map_err(|error| error.with_path(path))?);
        }
        let (config, password) = (self.clone(), administrator_password.cloned());
        let secrets = secrets.digest();
        Ok(Prepared {
            config,
            password,
            name,
            answer,
            given,
            blob,
            commands,
            copies,
            reg,
            ssh_keys,
            called: Default::default(),
            identity,
            secrets,
            warnings,
        })
    }

    fn check_time_zone(&self, answer: &AnswerFile) -> Result<()> {
        let Some(zone) = &self.time_zone else { return Ok(()) };
        for pass in [OFFLINE, "specialize", "oobeSystem"] {
            let other = answer.text(pass, SHELL_SETUP, &["TimeZone"]);
            if let Some(other) = other.filter(|other| !other.eq_ignore_ascii_case(zone)) {
                let what = format!(
                    "the time zone `{zone}` contradicts the answer file, which has `{other}` in the pass {pass}"
                );
                return Err(Error::recipe(what).with_hint("remove one of them"));
            }
        }
        Ok(())
    }

    /// The name that recipe and answer file give, if they agree.
    fn decide_name(&self, answer: &AnswerFile, warnings: &mut Vec<String>) -> Result<Option<NameChoice>> {
        let named = self.computer_name.as_deref().map(NameChoice::parse).transpose()?;
        let of = |pass: &str| -> Result<Option<NameChoice>> {
            let Some(text) = answer.text(pass, SHELL_SETUP, &["ComputerName"]) else { return Ok(None) };
            let text = if text.is_empty() { "*" } else { &text };
            let name = NameChoice::parse(text).map_err(|error| {
                let setting = format_args!("bad answer file: {SHELL_SETUP}/ComputerName ({pass})");
                error.within(setting).of_kind(ErrorKind::Corrupt)
            })?;
            Ok(Some(name))
        };
        let (offline, specialize) = (of(OFFLINE)?, of("specialize")?);
        for (pass, other) in [("specialize", &specialize), (OFFLINE, &offline)] {
            let Some(other) = other else { continue };
            let other_text = other.as_str();
            if let Some(named) = named.as_ref().filter(|named| !named.same(other)) {
                let what = format!(
                    "the computer name `{}` contradicts the answer file, which has `{other_text}` in the pass {pass}",
                    named.as_str()
                );
                return Err(Error::recipe(what).with_hint(format!(
                    "remove ComputerName from the pass {pass} of the answer file, or give the same name, or none"
                )));
            }
            if self.domain_blob.is_some() {
                let what =
                    format!("a domain-join blob is given, and the answer file names the computer `{other_text}`");
                return Err(Error::recipe(what).with_hint(format!(
                    "remove ComputerName from the pass {pass}: the blob carries the name of the machine account"
                )));
            }
        }
        if let (Some(offline), Some(specialize)) = (&offline, &specialize)
            && !offline.same(specialize)
        {
            warnings.push(format!(
                "the answer file names the computer `{}` offline and `{}` in specialize, which wins at first boot",
                offline.as_str(),
                specialize.as_str()
            ));
        }
        let name = named.or(offline);
        if self.name_in_specialize && !matches!(name, Some(NameChoice::Given(_))) {
            return Err(Error::recipe("a name for the specialize pass is wanted, but no computer name is given")
                .with_hint("give a computer name; `*` is in the specialize pass anyway"));
        }
        if let Some(NameChoice::Given(name)) = &name {
            warnings.extend(super::computer_name::doubts(name));
        }
        Ok(name)
    }
}

/// Reads and judges an answer file for an image of `architecture`.
fn read_answer(bytes: &[u8], architecture: Architecture, warnings: &mut Vec<String>) -> Result<AnswerFile> {
    let mut file = AnswerFile::parse(bytes)?;
    file.is_for(architecture);
    let remarks = file.judge(bytes, &Target { architecture: Some(architecture), ..Target::default() });
    if let Some(error) = AnswerFile::refusal(&remarks) {
        return Err(error);
    }
    // What the image may know better is judged again when it is read.
    let told = remarks.iter().filter(|remark| remark.verdict == Verdict::Told && !remark.is_of_image());
    warnings.extend(told.map(Remark::warning));
    file.repair()?;
    Ok(file)
}

/// Digests what may hold a password.
#[derive(Default)]
struct Secrets(Option<Sha256>);

impl Secrets {
    fn add(&mut self, name: &str, bytes: &[u8]) {
        let hash = self.0.get_or_insert_default();
        for part in [name.as_bytes(), bytes] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }

    fn digest(self) -> Option<[u8; 32]> {
        self.0.map(|hash| hash.finalize().into())
    }
}

impl Prepared {
    /// Says what the WIM calls the image: `InstallationType` and `EditionID`.
    #[must_use]
    pub fn for_image(self, installation: &str, edition: &str) -> Self {
        Self { called: (installation.to_owned(), edition.to_owned()), ..self }
    }

    /// What decides the bytes of the image beside the configuration itself: digests of copied files and registry
    /// files, in order; empty without any.
    pub fn identity(&self) -> &[u8] {
        &self.identity
    }

    /// Digest of what may hold a password: it decides bytes too, but must not be told, so nothing is derived from it but
    /// by a slow, keyed digest.
    pub fn secrets(&self) -> Option<[u8; 32]> {
        self.secrets
    }
}
