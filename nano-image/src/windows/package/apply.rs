//! Puts components into an image: files, directories, registry, services, and the store's copies of it all.
//!
//! Everything is checked before the image is touched. What cannot be done is recorded for the report.

mod events;
mod files;
mod past;
mod registry;
mod services;
mod target;

use sha2::{Digest as _, Sha256};

use super::installed::STORE;
use super::macros::Macros;
use super::manifest::Manifest;
use super::options::InstallOptions;
use super::payload::{Payload, PayloadFile};
use super::resolve::{Resolution, ResolvedComponent, ResolvedPackage};
use super::store::PACKAGES;
use crate::content::{Content, Overlay};
use crate::error::{Error, ErrorKind, Result};
use crate::progress::Observer;
use crate::report::{InstallReport, InstalledPackage, NotApplied};
use crate::security::{ObjectClass, compile};
use crate::windows::edit::ImageEdit;
use target::Target;

/// Folder of the catalogs that vouch for files. Its name is that of the subsystem that asks for them
/// (DRIVER_ACTION_VERIFY).
const CATALOGS: &str = r"Windows\System32\CatRoot\{F750E6C3-38EE-11D1-85E5-00C04FC295EE}";

/// Applies `resolution` to `image`. The files of `payload` are in the image's store.
///
/// # Errors
/// [`NotFound`](crate::ErrorKind::NotFound) for a file that is missing in its cabinet,
/// [`Corrupt`](crate::ErrorKind::Corrupt) for a wrong digest or an unknown macro, naming cabinet, component and file;
/// errors of [`Hive::open`]; with [`strict`](InstallOptions::strict) [`Unsupported`](crate::ErrorKind::Unsupported)
/// lists everything that is not applied.
///
/// [`Hive::open`]: crate::registry::Hive::open
pub fn apply(
    image: &mut ImageEdit<'_>,
    payload: &Payload,
    resolution: &Resolution,
    options: &InstallOptions<'_>,
    observer: &dyn Observer,
) -> Result<InstallReport> {
    let mut checked = Vec::new();
    for package in &resolution.packages {
        let parts = package.components.iter().map(|component| Part::check(component, payload, &image.blobs, options));
        checked.push(parts.collect::<Result<Vec<_>>>()?);
    }
    let mut target = Target::new(image);
    let mut report = InstallReport::default();
    // What now belongs to another component is written again afterwards.
    resolution.past.iter().try_for_each(|past| past::remove(past, &mut target))?;
    for (package, parts) in resolution.packages.iter().zip(&checked) {
        let mut done = InstalledPackage { id: package.identity().package_id(), ..Default::default() };
        for part in parts.iter().filter(|part| !part.component.is_present) {
            if observer.cancelled() {
                return Err(Error::cancelled());
            }
            part.apply_files(&mut target, &mut done).map_err(|error| part.explain(error))?;
        }
        for part in parts.iter().filter(|part| part.component.is_in_use()) {
            part.apply_settings(&mut target, &mut done).map_err(|error| part.explain(error))?;
        }
        add_package_files(&mut target, package, &mut done)?;
        report.packages.push(done);
    }
    report.warnings.extend(target.warnings);
    if options.strict {
        refuse_gaps(&report)?;
    }
    Ok(report)
}

/// An element of a manifest, and what distinguishes it from its neighbours.
#[derive(Clone, Copy)]
struct Spot<'a> {
    element: &'a str,
    name: &'a str,
}

/// A component whose files were found and checked.
struct Part<'a> {
    component: &'a ResolvedComponent,
    manifest: &'a Manifest,
    key_form: String,
    /// The contents of its files, in their order; `None` for files that the store has already.
    files: Vec<Option<&'a PayloadFile>>,
    macros: Macros<'a>,
    /// Whether it is for programs that the image cannot run.
    is_foreign: bool,
    cabinet: &'a std::path::Path,
}

impl<'a> Part<'a> {
    fn check(
        component: &'a ResolvedComponent,
        payload: &'a Payload,
        blobs: &Overlay,
        options: &InstallOptions<'_>,
    ) -> Result<Self> {
        let manifest = &component.manifest.manifest;
        let mut part = Self {
            component,
            manifest,
            key_form: manifest.identity.key_form(),
            files: Vec::new(),
            macros: Macros::new(&manifest.strings),
            is_foreign: manifest.identity.architecture.is_foreign_to(options.architecture),
            cabinet: payload.path(component.cabinet),
        };
        if component.in_store {
            part.files = vec![None; manifest.files.len()];
            return Ok(part);
        }
        for file in &manifest.files {
            let Some(found) = payload.find(component.cabinet, &component.manifest.stem, file) else {
                let error = Error::not_found(format!("the file `{}` is missing", file.name));
                return Err(part.explain(error).with_hint("the cabinet is not complete: copy it again"));
            };
            if let Some(digest) = &file.digest
                && !payload.verify(found, digest, blobs)?
            {
                let error =
                    Error::corrupt(format!("the file `{}` has another digest than its manifest says", file.name));
                return Err(part.explain(error).with_hint("the cabinet is damaged or was changed: copy it again"));
            }
            part.files.push(Some(found));
        }
        Ok(part)
    }

    /// Adds to `error` where it happened.
    fn explain(&self, error: Error) -> Error {
        error.within(format_args!("component `{}`", self.key_form)).with_path(self.cabinet)
    }

    /// Records that something is not applied.
    fn skip(&self, done: &mut InstalledPackage, spot: Spot<'_>, why: impl Into<String>) {
        let name = Some(spot.name.to_owned()).filter(|name| !name.is_empty());
        let (component, element) = (self.key_form.clone(), spot.element.to_owned());
        done.not_applied.push(NotApplied { component, element, name, why: why.into() });
    }

    /// The descriptor called `name` for an object of `class` in a parent with the descriptor `parent`; `None` if it is
    /// inherited. A descriptor that cannot be handled is recorded.
    fn descriptor(
        &self,
        name: Option<&str>,
        class: ObjectClass,
        parent: Option<&[u8]>,
        spot: Spot<'_>,
        done: &mut InstalledPackage,
    ) -> Result<Option<Vec<u8>>> {
        let Some(name) = name else { return Ok(None) };
        let security = &self.manifest.security;
        let same = || security.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, sddl)| sddl);
        let Some(sddl) = security.get(name).or_else(same) else {
            self.skip(done, spot, format!("the manifest does not define the security descriptor `{name}`"));
            return Ok(None);
        };
        if sddl.trim().eq_ignore_ascii_case("(inherit)") {
            return Ok(None);
        }
        match compile(sddl, class, parent) {
            Ok(descriptor) => Ok(Some(descriptor)),
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                self.skip(done, spot, error.message());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Puts the files into the store and, if the component is installed, to the places where they are used.
    fn apply_files(&self, target: &mut Target<'_, '_>, done: &mut InstalledPackage) -> Result<()> {
        done.components += 1;
        let manifest = format!(r"{STORE}\Manifests\{}.manifest", self.key_form);
        done.bytes_added += target.add(&manifest, Content::Bytes(self.component.manifest.stored.clone()))?;
        let is_installed = self.component.is_in_use() && !self.is_foreign;
        if is_installed {
            self.make_directories(target, done)?;
        }
        for (file, payload) in self.manifest.files.iter().zip(&self.files) {
            self.install_file(target, file, *payload, is_installed, done)?;
        }
        Ok(())
    }

    /// Applies everything except files.
    fn apply_settings(&self, target: &mut Target<'_, '_>, done: &mut InstalledPackage) -> Result<()> {
        if self.is_foreign {
            let why = format!("it is for {}, which the image does not run", self.manifest.identity.architecture);
            self.skip(done, Spot { element: "assembly", name: "" }, why);
            return Ok(());
        }
        for item in &self.manifest.not_applied {
            let spot = Spot { element: &item.element, name: item.name.as_deref().unwrap_or_default() };
            self.skip(done, spot, &item.why);
        }
        self.write_registry(target, done)?;
        self.write_services(target, done)?;
        self.write_firewall_rules(target, done)?;
        self.write_events(target, done)
    }
}

/// Puts the description and catalog of a package where Windows looks for them.
fn add_package_files(
    target: &mut Target<'_, '_>,
    package: &ResolvedPackage,
    done: &mut InstalledPackage,
) -> Result<()> {
    if package.in_image {
        return Ok(());
    }
    let id = &done.id;
    let mut added = target.add(&format!(r"{PACKAGES}\{id}.mum"), Content::Bytes(package.mum.bytes.clone()))?;
    match &package.mum.catalog {
        Some(catalog) => {
            let digest = hex::encode(Sha256::digest(catalog));
            let paths = [
                format!(r"{PACKAGES}\{id}.cat"),
                format!(r"{CATALOGS}\{id}.cat"),
                format!(r"{STORE}\Catalogs\{digest}.cat"),
            ];
            for path in paths {
                added += target.add(&path, Content::Bytes(catalog.clone()))?;
            }
        }
        None => {
            target.warnings.push(format!("`{id}` has no catalog: Windows cannot check the signatures of its files"))
        }
    }
    done.bytes_added += added;
    Ok(())
}

/// Fails if anything is not applied.
fn refuse_gaps(report: &InstallReport) -> Result<()> {
    let gaps = report.packages.iter().flat_map(|package| &package.not_applied);
    let describe = |gap: &NotApplied| {
        let name = gap.name.as_ref().map(|name| format!(" `{name}`")).unwrap_or_default();
        format!("{}{name} of `{}`: {}", gap.element, gap.component, gap.why)
    };
    let gaps: Vec<String> = gaps.map(describe).collect();
    if gaps.is_empty() {
        return Ok(());
    }
    let what = match gaps.len() {
        1 => "one thing that the packages ask for is not done".into(),
        count => format!("{count} things that the packages ask for are not done"),
    };
    Err(Error::unsupported(format!("{what}: {}", gaps.join("; ")))
        .with_hint("without the strict mode they are listed in the report"))
}

#[cfg(all(test, feature = "internals"))]
mod tests;
