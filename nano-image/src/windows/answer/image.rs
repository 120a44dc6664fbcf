//! Facts about an image and its first start: which Windows it has, how far its setup is, which answer files it has,
//! which components it knows.
//!
//! Sources: "Windows Setup States" and "Methods for Running Windows Setup" on learn.microsoft.com.

use std::cmp::Ordering;

use lcid::LanguageId;
use serde::Serialize;

use super::components::{Components, Manifests};
use super::{AnswerFile, MAX_LEN, Target, Verdict};
use crate::error::{Error, Result};
use crate::registry::Hive;
use crate::types::Architecture;
use crate::windows::edit::{ImageFiles, control_set};

/// Where Windows looks for an answer file at first boot, after the file that `SYSTEM\Setup` names. For each pass it
/// uses the first file that has settings for it.
pub const PLACES: [&str; 7] = [
    r"Windows\Panther\Unattend\Unattend.xml",
    r"Windows\Panther\Unattend\Autounattend.xml",
    PLACE,
    r"Windows\System32\Sysprep\Unattend.xml",
    r"Windows\System32\Sysprep\Autounattend.xml",
    "Unattend.xml",
    "Autounattend.xml",
];
/// The path of the answer file that a build writes.
pub const PLACE: &str = r"Windows\Panther\Unattend.xml";

const VERSION: &str = r"Microsoft\Windows NT\CurrentVersion";
const STATE: &str = r"Microsoft\Windows\CurrentVersion\Setup\State";
const ZONES: &str = r"Microsoft\Windows NT\CurrentVersion\Time Zones";
const ENVIRONMENT: &str = r"Control\Session Manager\Environment";
const LANGUAGES: &str = r"Control\MUI\UILanguages";
const LANGUAGE: &str = r"Control\Nls\Language";
/// State of an image whose setup is complete, and of one in which setup failed.
const COMPLETE: &str = "IMAGE_STATE_COMPLETE";
const UNDEPLOYABLE: &str = "IMAGE_STATE_UNDEPLOYABLE";

/// Facts about an image and its first start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageSetup {
    /// `InstallationType`: `Client`, `Server`, `Server Core`, `Nano Server`; empty if it is not there.
    pub installation: String,
    /// `EditionID`, e.g. `ServerDatacenter`.
    pub edition: String,
    /// Build number; 0 if it is not there.
    pub build: u32,
    /// `ImageState`, e.g. `IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE`.
    pub state: Option<String>,
    /// `SetupType`: whether a program runs in place of Windows' logon.
    pub setup_type: Option<u32>,
    /// `CmdLine`: that program.
    pub command: Option<String>,
    /// `UnattendFile`: the answer file that Windows prefers to all others.
    pub named_file: Option<String>,
    /// The answer files in the image, in the order in which Windows looks for them, and their passes.
    pub files: Vec<FoundFile>,
    /// Its architecture, if it is known.
    pub architecture: Option<Architecture>,
    /// Installed display languages of Windows, if they are listed.
    pub languages: Vec<String>,
    /// Its original language, if it is known.
    pub language: Option<String>,
    /// Names of its time zones, if they are listed.
    pub time_zones: Vec<String>,
    /// What its manifests say about the components that the answer file names.
    pub components: Components,
}

/// An answer file in an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundFile {
    /// Its path.
    pub path: String,
    /// Passes for which it has settings; empty if it cannot be read.
    pub passes: Vec<String>,
    /// Those of the passes that are marked as run.
    pub processed: Vec<String>,
}

/// A remark about an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ImageRemark {
    /// What becomes of the answer file because of it.
    pub verdict: Verdict,
    /// Kind of remark, the same in every version: `image-complete` …
    pub code: &'static str,
    /// What was found, and what follows from it.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl ImageRemark {
    /// A remark that does not stop the build.
    fn told(code: &'static str, message: String, hint: &str) -> Self {
        let hint = (!hint.is_empty()).then(|| hint.to_owned());
        Self { verdict: Verdict::Told, code, message, hint }
    }
}

impl FoundFile {
    /// What Windows does with it, if a build writes an answer file, or none.
    fn remark(&self, has_answer: bool) -> ImageRemark {
        let order = |path: &str| PLACES.iter().position(|place| *place == path).unwrap_or_default();
        let path = &self.path;
        let passes = match &self.passes[..] {
            [] => "no settings that can be read".to_owned(),
            passes => passes.join(", "),
        };
        let done = match &self.processed[..] {
            [] => String::new(),
            processed => format!("; marked as done, so that Windows skips them: {}", processed.join(", ")),
        };
        let message = match (has_answer, order(path).cmp(&order(PLACE))) {
            (false, _) => format!(
                "the image has an answer file, {path} ({passes}{done}): Windows uses it, and prefers it to those of other \
                 disks, such as a hypervisor's"
            ),
            (true, Ordering::Less) => format!(
                "the image has {path}, which Windows prefers: the answer file will not be used for {passes}{done}"
            ),
            (true, Ordering::Equal) => format!("the answer file replaces that of the image, {path} ({passes}{done})"),
            (true, Ordering::Greater) => format!(
                "the image has {path} ({passes}{done}), which Windows uses for the passes that the answer file has no \
                 settings for"
            ),
        };
        ImageRemark::told("image-has-answer-file", message, "")
    }
}

impl ImageSetup {
    /// What an answer file for this image is judged by.
    pub fn target(&self) -> Target<'_> {
        let Self { architecture, languages, time_zones, components, .. } = self;
        Target { architecture: *architecture, languages, time_zones, components: Some(components) }
    }

    /// Reads facts from the hive SOFTWARE.
    pub fn read_software(&mut self, hive: &Hive) {
        let text = |key: &str, name: &str| hive.find(key).and_then(|key| hive.value(key, name)?.text());
        self.installation = text(VERSION, "InstallationType").unwrap_or_default();
        self.edition = text(VERSION, "EditionID").unwrap_or_default();
        self.build = text(VERSION, "CurrentBuildNumber").and_then(|build| build.parse().ok()).unwrap_or(0);
        self.state = text(STATE, "ImageState").map(|state| state.trim().to_uppercase());
        let zones = hive.find(ZONES).map(|key| hive.subkeys(key)).unwrap_or_default();
        self.time_zones = zones.into_iter().map(|key| hive.name(key).to_string()).collect();
    }

    /// Reads facts from the hive SYSTEM.
    pub fn read_system(&mut self, hive: &Hive) {
        if let Some(key) = hive.find("Setup") {
            let text = |name| hive.value(key, name)?.text().filter(|text: &String| !text.trim().is_empty());
            self.setup_type = hive.value(key, "SetupType").and_then(|value| value.as_dword());
            (self.command, self.named_file) = (text("CmdLine"), text("UnattendFile"));
        }
        let Some(set) = hive.find(&control_set(hive)) else { return };
        let key = hive.find_from(set, ENVIRONMENT);
        let architecture = key.and_then(|key| hive.value(key, "PROCESSOR_ARCHITECTURE")?.text());
        self.architecture = architecture.and_then(|name| Architecture::named(&name));
        let languages = hive.find_from(set, LANGUAGES).map(|key| hive.subkeys(key)).unwrap_or_default();
        self.languages = languages.into_iter().map(|key| hive.name(key).to_string()).collect();
        let number = hive.find_from(set, LANGUAGE).and_then(|key| hive.value(key, "InstallLanguage")?.text());
        let number = number.and_then(|number| u32::from_str_radix(&number, 16).ok());
        let known: Option<&LanguageId> = number.and_then(|number| number.try_into().ok());
        self.language = known.map(|language| language.name.to_owned());
    }

    /// Reads the answer files in the image. `read` must return a file, which may have at most the given number of
    /// bytes.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn read_files(&mut self, mut read: impl FnMut(&str, u64) -> Result<Option<Vec<u8>>>) -> Result<()> {
        for path in PLACES {
            let Some(bytes) = read(path, MAX_LEN)? else { continue };
            let (passes, processed) = AnswerFile::parse(&bytes).map(|file| file.passes()).unwrap_or_default();
            self.files.push(FoundFile { path: path.into(), passes, processed });
        }
        Ok(())
    }

    /// Reads from `manifests`, those of `image`, the components that `answer` names.
    pub fn read_components(&mut self, answer: &AnswerFile, manifests: &Manifests, image: &dyn ImageFiles) {
        self.components = manifests.look_up(answer.component_names(), image);
    }

    /// Whether its setup is complete, so that Windows reads no answer file.
    pub fn is_complete(&self) -> bool {
        match self.state.as_deref() {
            Some(state) => state == COMPLETE,
            None => self.setup_type == Some(0) && self.command.is_none(),
        }
    }

    /// Whether sysprep has generalized it, so that the first start sets new names. For Nano Server this is not known.
    pub fn is_generalized(&self) -> bool {
        let is_resealed = |state: &str| state.starts_with("IMAGE_STATE_GENERALIZE_RESEAL");
        self.state.as_deref().is_some_and(is_resealed) && !self.is_nano()
    }

    /// Whether it is a Nano Server.
    pub fn is_nano(&self) -> bool {
        self.installation.eq_ignore_ascii_case("Nano Server") || self.edition.to_lowercase().ends_with("nano")
    }

    /// Whether it is not a server.
    pub fn is_client(&self) -> bool {
        self.installation.eq_ignore_ascii_case("Client")
    }

    /// Remarks about the image. `has_answer` says whether there is an answer file for it.
    pub fn remarks(&self, has_answer: bool) -> Vec<ImageRemark> {
        let mut remarks = Vec::new();
        remarks.extend(self.state_remark(has_answer));
        let state = self.state.as_deref().unwrap_or_default();
        if has_answer && state.starts_with("IMAGE_STATE_SPECIALIZE_RESEAL") {
            let message = format!("the image is {state}: Windows has run the pass specialize, and will not again");
            let hint = "use an image that `sysprep /generalize` was run on";
            remarks.push(ImageRemark::told("image-specialized", message, hint));
        }
        if let Some(file) = &self.named_file {
            let message = format!(
                r"the image's SYSTEM\Setup names the answer file `{file}` (UnattendFile), which Windows prefers to all others"
            );
            let hint = "delete the value, with --reg, if that file is not meant";
            remarks.push(ImageRemark::told("image-names-answer-file", message, hint));
        }
        remarks.extend(self.files.iter().map(|file| file.remark(has_answer)));
        remarks
    }

    /// What follows for an answer file from how far the image's setup is.
    fn state_remark(&self, has_answer: bool) -> Option<ImageRemark> {
        if self.state.as_deref() == Some(UNDEPLOYABLE) {
            let message =
                format!("the image is {UNDEPLOYABLE}: a phase of its setup did not end, and it can never be deployed");
            let hint = "capture the image anew, after `sysprep /generalize` has ended without an error";
            let remark = ImageRemark::told("image-undeployable", message, hint);
            return Some(ImageRemark { verdict: Verdict::Refused, ..remark });
        }
        let hint = "use an image that `sysprep /generalize /oobe` was run on";
        if self.is_complete() && has_answer {
            let why = match &self.state {
                Some(state) => format!("the image is {state}"),
                None => "the image has no setup pending (SetupType 0, no CmdLine)".into(),
            };
            let message = format!(
                "{why}: Windows has been set up in it, and will ignore the answer file, with name and password in it"
            );
            return Some(ImageRemark::told("image-complete", message, hint));
        }
        if self.setup_type == Some(0) && self.command.is_none() && has_answer {
            let message = format!(
                "the image is {}, but no setup is pending in its SYSTEM hive (SetupType 0, no CmdLine): Windows will ignore the \
                 answer file",
                self.state.as_deref().unwrap_or_default()
            );
            return Some(ImageRemark::told("image-no-setup", message, hint));
        }
        None
    }

    /// The error for an image that cannot be deployed.
    pub fn refusal(&self) -> Option<Error> {
        let remarks = self.remarks(false);
        let remark = remarks.into_iter().find(|remark| remark.verdict == Verdict::Refused)?;
        Some(Error::unsupported(remark.message).with_hint(remark.hint.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{HiveOptions, Value};
    use crate::types::FileTime;

    fn setup(state: &str, setup_type: Option<u32>, command: &str) -> ImageSetup {
        let mut software = Hive::new(FileTime(1), &HiveOptions::default()).unwrap();
        let key = software.create_key(software.root(), STATE).unwrap();
        if !state.is_empty() {
            software.set_value(key, "ImageState", Value::sz(state)).unwrap();
        }
        software.create_key(software.root(), &format!(r"{ZONES}\UTC")).unwrap();
        let mut system = Hive::new(FileTime(1), &HiveOptions::default()).unwrap();
        let key = system.create_key(system.root(), "Setup").unwrap();
        if let Some(setup_type) = setup_type {
            system.set_value(key, "SetupType", Value::dword(setup_type)).unwrap();
        }
        system.set_value(key, "CmdLine", Value::sz(command)).unwrap();
        let mut setup = ImageSetup::default();
        setup.read_software(&software);
        setup.read_system(&system);
        setup
    }

    fn codes(setup: &ImageSetup, has_answer: bool) -> Vec<&'static str> {
        setup.remarks(has_answer).iter().map(|remark| remark.code).collect()
    }

    #[test]
    fn the_state_of_an_image_decides_whether_an_answer_file_is_read() {
        let resealed = setup("IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE", Some(1), r"oobe\windeploy.exe");
        assert!(resealed.is_generalized() && resealed.time_zones == ["UTC"]);
        let nano = ImageSetup { installation: "Nano Server".into(), ..resealed.clone() };
        assert!(!nano.is_generalized() && nano.is_nano() && !nano.is_client());
        assert_eq!(codes(&resealed, true), Vec::<&str>::new());
        assert_eq!(codes(&setup("", None, ""), true), Vec::<&str>::new());
        let complete = setup("IMAGE_STATE_COMPLETE", Some(0), "");
        assert_eq!((codes(&complete, true), codes(&complete, false)), (vec!["image-complete"], vec![]));
        assert_eq!(codes(&setup("", Some(0), ""), true), ["image-complete"]);
        assert_eq!(codes(&setup("IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE", Some(0), ""), true), ["image-no-setup"]);
        assert_eq!(codes(&setup("image_state_specialize_reseal_to_oobe", Some(1), "a"), true), ["image-specialized"]);
        assert!(resealed.refusal().is_none() && complete.refusal().is_none());
        let error = setup(UNDEPLOYABLE, Some(1), "a").refusal().unwrap();
        assert!(error.message().contains(UNDEPLOYABLE) && error.hint().is_some());
    }

    #[test]
    fn files_are_told_in_the_order_in_which_windows_looks() {
        let text = "<unattend xmlns='urn:schemas-microsoft-com:unattend'><settings pass='specialize' \
            wasPassProcessed='true'/><settings pass='oobeSystem'/></unattend>";
        let told = |at: &[&str], has_answer| {
            let mut setup = ImageSetup::default();
            setup.read_files(|path, _| Ok(at.contains(&path).then(|| text.as_bytes().to_vec()))).unwrap();
            setup.remarks(has_answer).into_iter().map(|remark| remark.message).collect::<Vec<_>>()
        };
        let all = told(&[PLACE, PLACES[1], PLACES[5]], true);
        assert!(all[0].contains("prefers") && all[0].contains("specialize, oobeSystem"), "{all:?}");
        assert!(all[1].contains("replaces") && all[2].contains("has no settings for"), "{all:?}");
        let alone = told(&[PLACE], false);
        assert!(alone[0].contains("other") && alone[0].contains("skips them: specialize"), "{alone:?}");
        let mut setup = ImageSetup::default();
        setup.read_files(|path, _| Ok((path == PLACE).then(|| b"x".to_vec()))).unwrap();
        assert!(setup.files[0].passes.is_empty() && setup.remarks(true)[0].message.contains("no settings"));
    }
}
