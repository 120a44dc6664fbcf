//! Edits the image as prepared.

use std::sync::OnceLock;

use super::computer_name::{self, NameChoice};
use super::unattend::{self, OFFLINE};
use super::{
    Applied, Prepared, RemoteManagement, accounts, domain, firewall, locale, setup_complete, time_zone, users,
};
use crate::error::{Error, Result};
use crate::registry::Value;
use crate::windows::answer::{self, AnswerFile, ImageSetup, Manifests, Remark, SHELL_SETUP, Verdict};
use crate::windows::edit::{HiveFile, ImageEdit, control_sets};

/// The name of images that have not been given one.
const UNNAMED: &str = "MINWINPC";

impl Prepared {
    /// Configures `image`, which must have the architecture for which everything was prepared.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if the image does not have what should be edited,
    /// [`Corrupt`](crate::ErrorKind::Corrupt) for hives, [`Recipe`](crate::ErrorKind::Recipe) if a directory is in the
    /// way of a file.
    pub fn apply(self, image: &mut ImageEdit<'_>) -> Result<Applied> {
        self.apply_with(image, &OnceLock::new())
    }

    /// The same. `manifests`, those of the image, are read if they are needed and were not read before.
    ///
    /// # Errors
    /// Those of [`apply`](Self::apply).
    pub fn apply_with(mut self, image: &mut ImageEdit<'_>, manifests: &OnceLock<Manifests>) -> Result<Applied> {
        let mut applied = Applied { warnings: std::mem::take(&mut self.warnings), ..Applied::default() };
        self.copies.apply(image)?;
        let mut setup = self.read_setup(image)?;
        if let Some(error) = setup.refusal() {
            return Err(error);
        }
        self.judge_given(image, &mut setup, manifests, &mut applied)?;
        self.write_name(image, &mut applied, setup.is_generalized())?;
        self.apply_offline_settings(image)?;
        self.write_time_zone(image, &mut applied)?;
        if let Some(name) = &self.config.locale {
            locale::write(image, locale::find(name)?, &mut applied.warnings)?;
        }
        if self.config.remote_management == Some(RemoteManagement::Offline) {
            firewall::allow_remote_management(image, &mut applied.warnings)?;
        }
        domain::apply(&mut self.answer, self.blob.as_ref().map(|blob| blob.expose()));
        self.prepare_first_boot(image, &setup)?;
        let has_password = accounts::apply(&mut self.answer, self.password.as_ref())?;
        // If there are other accounts, that one is not needed.
        if !has_password && users::named(&self.answer).is_empty() && !setup.is_client() {
            applied.warnings.push(accounts::doubt(&setup).into());
        }
        self.write_answer_file(image, &setup, &mut applied)?;
        setup_complete::add(image, &self.commands, &mut applied.warnings)?;
        // Last, so that these edits take precedence.
        self.reg.iter().try_for_each(|file| file.apply(image))?;
        Ok(applied)
    }

    fn write_name(&mut self, image: &mut ImageEdit<'_>, applied: &mut Applied, is_generalized: bool) -> Result<()> {
        self.answer.remove(OFFLINE, SHELL_SETUP, "ComputerName");
        let in_specialize = self.answer.text("specialize", SHELL_SETUP, &["ComputerName"]);
        match &self.name {
            Some(NameChoice::Given(name)) => {
                computer_name::write(image, name)?;
                applied.computer_name = Some(name.clone());
            }
            Some(NameChoice::AtFirstBoot) => {}
            None => {
                // Nothing else needs the hives, so an unreadable one is not an error here.
                let is_unnamed = computer_name::read(image).ok().flatten().is_some_and(|name| name == UNNAMED);
                if is_unnamed && in_specialize.is_none() && self.blob.is_none() {
                    applied.warnings.push(format!(
                        "no computer name is given: the machine will be called {UNNAMED}, as the image says; give a \
                         name, or `*` to let Windows choose at first boot"
                    ));
                }
            }
        }
        if let Some(name) = &self.name
            && in_specialize.is_none()
            && (self.config.name_in_specialize || is_generalized || *name == NameChoice::AtFirstBoot)
        {
            self.answer.set("specialize", SHELL_SETUP, &["ComputerName"], name.as_str());
        }
        if let Some(name) = &applied.computer_name {
            let places = match self.answer.text("specialize", SHELL_SETUP, &["ComputerName"]) {
                Some(_) if is_generalized => {
                    "in the registry and, as the image is generalized, in the pass specialize of the answer file"
                }
                Some(_) => "in the registry and in the pass specialize of the answer file",
                None => "in the registry alone: the image is not generalized, so the first start keeps it",
            };
            applied.notes.push(format!("the computer name {name} is {places}"));
        }
        Ok(())
    }

    /// Applies settings of the offlineServicing pass that are values in the registry.
    fn apply_offline_settings(&mut self, image: &mut ImageEdit<'_>) -> Result<()> {
        for (setting, number) in unattend::take_registry_settings(&mut self.answer)? {
            let file = if setting.in_system { HiveFile::System } else { HiveFile::Software };
            let hive = image.edit(file)?;
            let parents = if setting.in_system { control_sets(hive)? } else { vec![hive.root()] };
            for parent in parents {
                let key = hive.create_key(parent, setting.key)?;
                hive.set_value(key, setting.value, Value::dword(number))?;
            }
        }
        Ok(())
    }

    /// Sets the time zone of the recipe or the offlineServicing pass: in the hive, and in the answer file, because
    /// Windows sets the zone at first boot.
    fn write_time_zone(&mut self, image: &mut ImageEdit<'_>, applied: &mut Applied) -> Result<()> {
        let offline = self.answer.text(OFFLINE, SHELL_SETUP, &["TimeZone"]);
        self.answer.remove(OFFLINE, SHELL_SETUP, "TimeZone");
        let Some(zone) = self.config.time_zone.clone().or(offline) else { return Ok(()) };
        let zone = match time_zone::write(image, &zone)? {
            Some(zone) => zone,
            None => {
                applied.warnings.push(format!(
                    "the image has no list of time zones: `{zone}` is not checked, and left to Windows at first boot"
                ));
                zone
            }
        };
        let is_set = |pass| self.answer.text(pass, SHELL_SETUP, &["TimeZone"]).is_some();
        if !is_set("specialize") && !is_set("oobeSystem") {
            self.answer.set("oobeSystem", SHELL_SETUP, &["TimeZone"], &zone);
        }
        Ok(())
    }

    /// Reads facts about the image's first start. A hive that cannot be read is an error only when it is edited.
    fn read_setup(&self, image: &mut ImageEdit<'_>) -> Result<ImageSetup> {
        let mut setup = ImageSetup::default();
        if let Ok(Some(hive)) = image.hive(HiveFile::Software) {
            setup.read_software(hive);
        }
        if let Ok(Some(hive)) = image.hive(HiveFile::System) {
            setup.read_system(hive);
        }
        setup.read_files(|path, limit| image.read(path, limit))?;
        setup.architecture = self.answer.architecture();
        for (said, called) in [(&mut setup.installation, &self.called.0), (&mut setup.edition, &self.called.1)] {
            if said.is_empty() {
                said.clone_from(called);
            }
        }
        Ok(setup)
    }

    /// Judges the answer file, as it was given, by what the image has.
    fn judge_given(
        &self,
        image: &ImageEdit<'_>,
        setup: &mut ImageSetup,
        manifests: &OnceLock<Manifests>,
        applied: &mut Applied,
    ) -> Result<()> {
        let Some(path) = self.config.unattend.as_ref() else { return Ok(()) };
        if manifests.get().is_none() {
            let _ = manifests.set(Manifests::new(image)?);
        }
        let mut given = AnswerFile::parse(&self.given)?;
        self.answer.architecture().into_iter().for_each(|architecture| given.is_for(architecture));
        manifests.get().iter().for_each(|manifests| setup.read_components(&given, manifests, image));
        let remarks = given.judge(&self.given, &setup.target());
        if let Some(error) = AnswerFile::refusal(&remarks) {
            return Err(error.with_path(path));
        }
        let told = remarks.iter().filter(|remark| remark.verdict == Verdict::Told && remark.is_of_image());
        applied.warnings.extend(told.map(Remark::warning));
        Ok(())
    }

    fn write_answer_file(&self, image: &mut ImageEdit<'_>, setup: &ImageSetup, applied: &mut Applied) -> Result<()> {
        for package in &self.answer.packages {
            let (action, name) = (package.action.name(), &package.identity.name);
            applied.warnings.push(format!("the answer file wants to {action} the package {name}: this is not done"));
        }
        let has_answer = !self.answer.is_empty();
        for remark in setup.remarks(has_answer) {
            let hint = remark.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
            applied.warnings.push(remark.message + &hint);
        }
        if !has_answer {
            return Ok(());
        }
        if self.copies.wrote(answer::PLACE) {
            return Err(Error::recipe(format!("a copied file is in the way of the answer file: {}", answer::PLACE))
                .with_hint("give it as the answer file instead of copying it, so that both are merged"));
        }
        let bytes = self.answer.to_bytes();
        check_written(&bytes, setup).map_err(|error| match &self.config.unattend {
            Some(path) => error.with_path(path),
            None => error,
        })?;
        image.write_private(answer::PLACE, bytes)
    }
}

/// Reads the file that goes into the image again, and judges it by what the image has.
fn check_written(bytes: &[u8], setup: &ImageSetup) -> Result<()> {
    const WHICH: &str = "the answer file as it would go into the image";
    let remarks = AnswerFile::parse(bytes).map_err(|error| error.within(WHICH))?.judge(bytes, &setup.target());
    AnswerFile::refusal(&remarks).map_or(Ok(()), |error| Err(error.within(WHICH)))
}
