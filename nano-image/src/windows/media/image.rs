//! Chooses an image of the media.

use std::path::Path;

use super::{Edition, Media, MediaFile};
use crate::error::{Error, ErrorKind, Result};
use crate::source::wim::{ImageInfo, Wim};

/// How an image is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageChoice<'a> {
    /// By index or name, or by an edition or display name that only one image has.
    Named(&'a str),
    /// By the edition of Windows Server.
    Edition(Edition),
    /// The only image.
    Only,
}

/// The images of Technical Preview 2 and 3 have no editions. The first one is the one to install, the second one starts
/// a setup.
const INSTALL_IMAGE: &str = "CORESYSTEMSERVER_INSTALL";

impl Media {
    /// Opens the WIM with the chosen image, and finds the image's index. What the user should know is added to
    /// `warnings`. `scratch` is used as in [`open_wim`](Self::open_wim).
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) lists the images and hints the nearest name;
    /// [`Recipe`](crate::ErrorKind::Recipe) if several are meant; those of [`open_wim`](Self::open_wim).
    pub fn find_image(
        &self,
        choice: ImageChoice<'_>,
        scratch: Option<&Path>,
        warnings: &mut Vec<String>,
    ) -> Result<(Wim, &MediaFile, u32)> {
        let mut missing: Option<Error> = None;
        for file in self.wims() {
            let wim = self.open_wim(file, scratch)?;
            let found = match choice {
                ImageChoice::Named(name) => wim.find_image(name),
                ImageChoice::Edition(edition) => find_edition(wim.images(), edition, warnings),
                ImageChoice::Only => find_only(wim.images()),
            };
            match found {
                Ok(index) => return Ok((wim, file, index)),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    let error = error.with_path(&file.path);
                    missing = Some(match missing {
                        Some(first) => also(&first, &error),
                        None => error,
                    });
                }
                Err(error) => return Err(error.with_path(&file.path)),
            }
        }
        Err(missing.unwrap_or_else(|| Error::not_found("no image").with_path(self.path())))
    }
}

/// Joins two errors about missing images.
fn also(first: &Error, second: &Error) -> Error {
    let error = Error::not_found(format!("{}; {second}", first.message()));
    let error = first.path().into_iter().fold(error, Error::with_path);
    let hint = first.hint().filter(|hint| hint.starts_with("did you mean")).or(second.hint());
    hint.into_iter().fold(error, Error::with_hint)
}

/// The image of `edition`: by the edition or name in the WIM. If the WIM has neither, by the order of images, on which
/// Microsoft's tool relies.
fn find_edition(images: &[ImageInfo], edition: Edition, warnings: &mut Vec<String>) -> Result<u32> {
    if let Some(image) = images.iter().find(|image| image.name.eq_ignore_ascii_case(INSTALL_IMAGE)) {
        warnings.push(format!(
            "the image `{}` is the only one to install: the edition {edition} is not told apart",
            image.name
        ));
        return Ok(image.index);
    }
    let has = |image: &ImageInfo, edition: Edition| {
        let word = edition.to_string().to_lowercase();
        [&image.edition_id, &image.name, &image.display_name].iter().any(|text| text.to_lowercase().contains(&word))
    };
    let all: Vec<&ImageInfo> = images.iter().filter(|image| has(image, edition)).collect();
    // Of several images of an edition, Nano Server is meant if it is there.
    let nano: Vec<&ImageInfo> = all.iter().copied().filter(|image| is_nano(image)).collect();
    match if nano.is_empty() { &all[..] } else { &nano[..] } {
        [image] => return Ok(image.index),
        [] => {}
        several => {
            return Err(Error::recipe(format!(
                "{} images have the edition {edition}: {}",
                several.len(),
                list(several)
            ))
            .with_hint("choose one with --image INDEX or --image NAME"));
        }
    }
    let named = |image: &ImageInfo| has(image, Edition::Standard) || has(image, Edition::Datacenter);
    if images.iter().any(named) {
        let all: Vec<&ImageInfo> = images.iter().collect();
        return Err(Error::not_found(format!("no image has the edition {edition}; there is {}", list(&all)))
            .with_hint("choose an image that is there, with --image or another edition"));
    }
    let index = match (images, edition) {
        ([image], _) | ([image, _], Edition::Standard) | ([_, image], Edition::Datacenter) => image.index,
        _ => {
            let all: Vec<&ImageInfo> = images.iter().collect();
            return Err(Error::not_found(format!("nothing says which image is {edition}: {}", list(&all)))
                .with_hint("choose one with --image INDEX"));
        }
    };
    warnings.push(format!("no image says its edition: number {index} is taken for {edition}"));
    Ok(index)
}

fn find_only(images: &[ImageInfo]) -> Result<u32> {
    match images {
        [image] => Ok(image.index),
        _ => {
            let all: Vec<&ImageInfo> = images.iter().collect();
            let sizes: Vec<String> =
                all.iter().map(|image| format!("{}: {} ({})", image.index, image.name, image.total_bytes)).collect();
            Err(Error::recipe(format!("the WIM has {} images: {}", images.len(), sizes.join(", ")))
                .with_hint("choose one with --image INDEX, --image NAME or --edition"))
        }
    }
}

fn is_nano(image: &ImageInfo) -> bool {
    image.installation_type.eq_ignore_ascii_case("Nano Server") || image.edition_id.to_lowercase().ends_with("nano")
}

fn list(images: &[&ImageInfo]) -> String {
    let names: Vec<String> = images.iter().map(|image| format!("{}: {}", image.index, image.name)).collect();
    super::list(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(names: &[(&str, &str, &str)]) -> Vec<ImageInfo> {
        let info = |(index, (name, edition, kind)): (u32, &(&str, &str, &str))| {
            let (name, edition_id, installation_type) = ((*name).into(), (*edition).into(), (*kind).into());
            ImageInfo { index, name, edition_id, installation_type, ..ImageInfo::default() }
        };
        (1..).zip(names).map(info).collect()
    }

    fn both(images: &[ImageInfo]) -> [Result<u32, ErrorKind>; 2] {
        [Edition::Standard, Edition::Datacenter]
            .map(|edition| find_edition(images, edition, &mut Vec::new()).map_err(|error| error.kind()))
    }

    #[test]
    fn editions_are_told_by_name_or_else_by_order() {
        let rtm = images(&[
            ("Windows Server 2016 SERVERSTANDARDNANO", "ServerStandardNano", "Nano Server"),
            ("Windows Server 2016 SERVERDATACENTERNANO", "ServerDatacenterNano", "Nano Server"),
        ]);
        assert_eq!(both(&rtm), [Ok(1), Ok(2)]);
        let swapped = images(&[("Datacenter", "", ""), ("Standard", "", "")]);
        assert_eq!(both(&swapped), [Ok(2), Ok(1)]);
        assert_eq!(both(&images(&[("a", "", ""), ("b", "", "")])), [Ok(1), Ok(2)]);
        assert_eq!(both(&images(&[("a", "", ""), ("b", "", ""), ("c", "", "")])), [Err(ErrorKind::NotFound); 2]);
        assert_eq!(both(&images(&[("NanoServer", "", "")])), [Ok(1), Ok(1)]);
        assert_eq!(both(&images(&[("x", "ServerStandardNano", "")])), [Ok(1), Err(ErrorKind::NotFound)]);
        let preview = images(&[
            ("CORESYSTEMSERVER_INSTALL", "ServerDatacenterNano", ""),
            ("CORESYSTEMSERVER_BOOT", "ServerDatacenterNano", ""),
        ]);
        let mut warnings = Vec::new();
        assert_eq!(find_edition(&preview, Edition::Datacenter, &mut warnings).unwrap(), 1);
        assert!(warnings[0].contains("not told apart"), "{warnings:?}");
    }

    #[test]
    fn several_images_of_an_edition_are_listed() {
        let install = images(&[
            ("Windows Server 2016 SERVERSTANDARDCORE", "ServerStandard", "Server Core"),
            ("Windows Server 2016 SERVERSTANDARD", "ServerStandard", "Server"),
            ("Windows Server 2016 SERVERDATACENTERCORE", "ServerDatacenter", "Server Core"),
        ]);
        let error = find_edition(&install, Edition::Standard, &mut Vec::new()).unwrap_err();
        assert!(error.kind() == ErrorKind::Recipe && error.message().contains("2: "), "{error}");
        assert_eq!(find_edition(&install, Edition::Datacenter, &mut Vec::new()).unwrap(), 3);
        let error = find_only(&install).unwrap_err();
        assert!(error.hint().unwrap().contains("--edition"), "{error}");
    }
}
