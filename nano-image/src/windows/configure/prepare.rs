//! Reads and checks everything that a configuration names, before an image is touched.

use std::path::PathBuf;

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

/// A configuration whose files have been read and checked.
pub struct Prepared {
    pub(super) config: MachineConfig,
    pub(super) password: Option<Secret>,
    /// The name to set in the image.
    pub(super) name: Option<NameChoice>,
    pub(super) answer: AnswerFile,
    /// The answer file as it was given.
    pub(super) given: Vec<u8>,
    pub(super) blob: Option<Secret>,
    /// Lines of `SetupComplete.cmd`.
    pub(super) commands: Vec<String>,
    pub(super) copies: Copies,
    pub(super) reg: Vec<RegFile>,
    /// Public keys, one line each.
    pub(super) ssh_keys: Vec<String>,
    /// `InstallationType` and `EditionID` from the WIM, for an image whose registry does not state them.
    pub(super) called: (String, String),
    /// Digests of copied files and registry files.
    identity: Vec<u8>,
    /// Digest of the password, the answer file and the blob.
    secrets: Option<[u8; 32]>,
    pub(super) warnings: Vec<String>,
}

impl MachineConfig {
    /// Reads the files that the configuration names, and checks them for an image of `architecture`, also against each
    /// other.
    ///
    /// # Errors
    /// Those of [`check`](Self::check), and [`Corrupt`](crate::ErrorKind::Corrupt) and
    /// [`NotFound`](crate::ErrorKind::NotFound) for files.
    #[cfg(any(test, feature = "internals"))]
    pub fn prepare(&self, administrator_password: Option<&Secret>, architecture: Architecture) -> Result<Prepared> {
        self.prepare_from(&InputFiles::default(), administrator_password, architecture)
    }

    /// Like `prepare`, with files that may be in memory.
    pub fn prepare_from(
        &self,
        files: &InputFiles,
        administrator_password: Option<&Secret>,
        architecture: Architecture,
    ) -> Result<Prepared> {
        self.check()?;
        administrator_password.map_or(Ok(()), accounts::check)?;
        let mut secrets = self.secrets(administrator_password);
        let mut warnings = Vec::new();
        let (answer, given) = self.answer(files, architecture, &mut secrets, &mut warnings)?;
        let in_file = |error: Error| match &self.unattend {
            Some(path) => error.with_path(path),
            None => error,
        };
        self.check_answer(&answer, administrator_password).map_err(in_file)?;
        let blob = self.blob(files, &mut secrets)?;
        let name = self.decide_name(&answer, &mut warnings).map_err(in_file)?;
        let commands = self.commands()?;
        let mut copy = self.copy.clone();
        if let Some(path) = &self.cloud_init {
            copy.extend(cloud_init::find(files, path)?);
        }
        let copies = Copies::collect(&copy, files)?;
        let mut identity = copies.identity.clone();
        let reg = read_each(files, &self.reg, reg_file::MAX_LEN, "a .reg file", &mut identity, |bytes| {
            RegFile::parse(bytes, self.reg_user)
        })?;
        let ssh_keys = read_each(files, &self.ssh_key, ssh::MAX_LEN, "a public key", &mut identity, ssh::read)?;
        Ok(Prepared {
            config: self.clone(),
            password: administrator_password.cloned(),
            name,
            answer,
            given,
            blob,
            commands,
            copies,
            reg,
            ssh_keys: ssh_keys.concat(),
            called: Default::default(),
            identity,
            secrets: secrets.digest(),
            warnings,
        })
    }

    /// Secrets that were given directly.
    fn secrets(&self, administrator_password: Option<&Secret>) -> Secrets {
        let mut secrets = Secrets::default();
        administrator_password.iter().for_each(|password| secrets.add("admin", password.expose().as_bytes()));
        self.product_key.iter().for_each(|key| secrets.add("product-key", key.as_bytes()));
        for (name, password) in &self.user_passwords {
            secrets.add(&format!("user.{name}"), password.expose().as_bytes());
        }
        secrets
    }

    /// The answer file for `architecture`, and its bytes as they were given.
    fn answer(
        &self,
        files: &InputFiles,
        architecture: Architecture,
        secrets: &mut Secrets,
        warnings: &mut Vec<String>,
    ) -> Result<(AnswerFile, Vec<u8>)> {
        let mut given = Vec::new();
        let mut answer = match &self.unattend {
            Some(path) => {
                given = files.read(path, answer::MAX_LEN, "an answer file")?;
                secrets.add("unattend", &given);
                read_answer(&given, architecture, warnings).map_err(|error| error.with_path(path))?
            }
            None => AnswerFile::empty(),
        };
        answer.is_for(architecture);
        Ok((answer, given))
    }

    /// Checks that answer file and configuration agree.
    fn check_answer(&self, answer: &AnswerFile, administrator_password: Option<&Secret>) -> Result<()> {
        accounts::check_conflict(answer, administrator_password)?;
        users::check_conflict(answer, &self.local_user)?;
        keys::check_conflict(answer, self.product_key.as_deref())?;
        users::check_logon(answer, self.auto_logon.is_some())?;
        if self.domain_blob.is_some() {
            domain::check_conflict(answer)?;
        }
        self.check_time_zone(answer)
    }

    /// The blob with which the machine joins a domain.
    fn blob(&self, files: &InputFiles, secrets: &mut Secrets) -> Result<Option<Secret>> {
        let Some(path) = &self.domain_blob else { return Ok(None) };
        let bytes = files.read(path, domain::MAX_LEN, "a domain-join blob")?;
        secrets.add("domain-blob", &bytes);
        Ok(Some(Secret::new(domain::read_blob(&bytes).map_err(|error| error.with_path(path))?)))
    }

    /// Lines of `SetupComplete.cmd`, in the order in which they run.
    fn commands(&self) -> Result<Vec<String>> {
        let mut commands = Network::of(self)?.map(|network| network.commands()).unwrap_or_default();
        if self.remote_management == Some(RemoteManagement::Script) {
            commands.extend(setup_complete::REMOTE_MANAGEMENT.map(String::from));
        }
        commands.extend(self.setup_command.iter().cloned());
        if self.cloud_init.is_some() {
            commands.extend(cloud_init::commands());
        }
        Ok(commands)
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

    /// The name from recipe and answer file. They must agree.
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

/// Reads each file of `paths`, which may have at most `max_len` bytes, and adds its digest to `identity`.
fn read_each<T>(
    files: &InputFiles,
    paths: &[PathBuf],
    max_len: u64,
    what: &str,
    identity: &mut Vec<u8>,
    read: impl Fn(&[u8]) -> Result<T>,
) -> Result<Vec<T>> {
    let mut all = Vec::new();
    for path in paths {
        let bytes = files.read(path, max_len, what)?;
        identity.extend(Sha256::digest(&bytes));
        all.push(read(&bytes).map_err(|error| error.with_path(path))?);
    }
    Ok(all)
}

/// Reads and judges an answer file for an image of `architecture`.
fn read_answer(bytes: &[u8], architecture: Architecture, warnings: &mut Vec<String>) -> Result<AnswerFile> {
    let mut file = AnswerFile::parse(bytes)?;
    file.is_for(architecture);
    let remarks = file.judge(bytes, &Target { architecture: Some(architecture), ..Target::default() });
    if let Some(error) = AnswerFile::refusal(&remarks) {
        return Err(error);
    }
    // What the image may know better is judged again when the image is read.
    let told = remarks.iter().filter(|remark| remark.verdict == Verdict::Told && !remark.is_of_image());
    warnings.extend(told.map(Remark::warning));
    file.repair()?;
    Ok(file)
}

/// Digest of everything that may contain a password.
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
    /// Sets `InstallationType` and `EditionID` from the WIM.
    #[must_use]
    pub fn for_image(self, installation: &str, edition: &str) -> Self {
        Self { called: (installation.to_owned(), edition.to_owned()), ..self }
    }

    /// What decides the bytes of the image besides the configuration itself: digests of copied files and registry
    /// files, in order; empty without any.
    pub fn identity(&self) -> &[u8] {
        &self.identity
    }

    /// Digest of everything that may contain a password. It decides bytes too, but must stay secret: only values from a
    /// slow, keyed digest of it may be published.
    pub fn secrets(&self) -> Option<[u8; 32]> {
        self.secrets
    }
}
