//! Which kind of cabinet it is, and what its files are.

use crate::error::Error;
use crate::source::cab::CabFile;

/// What a cabinet is.
#[derive(Debug)]
pub(super) enum Kind {
    /// A package, as this library installs it.
    Package,
    /// An update that holds package cabinets.
    Msu,
    /// Something else, which this says.
    Refused(Error),
}

/// What a file in a package is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// `.mum` at the top.
    Description,
    /// `.cat` at the top.
    Catalog,
    /// `.manifest` at the top.
    Manifest,
    /// In a folder.
    Payload,
    /// Anything else at the top.
    Other,
}

/// Path of a file with `\` between names and none at the start.
pub(super) fn path(file: &CabFile) -> String {
    let path = file.name.replace('/', "\\");
    path.trim_start_matches(".\\").trim_start_matches('\\').to_owned()
}

impl Part {
    pub fn of(file: &CabFile) -> Self {
        let path = path(file);
        if path.contains('\\') {
            return Self::Payload;
        }
        match path.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).as_deref() {
            Some("mum") => Self::Description,
            Some("cat") => Self::Catalog,
            Some("manifest") => Self::Manifest,
            _ => Self::Other,
        }
    }
}

impl Kind {
    pub fn of(files: &[CabFile]) -> Self {
        let mut is_msu = false;
        let mut is_package = false;
        for file in files {
            let path = path(file).to_ascii_lowercase();
            match path.as_str() {
                "update.mum" => is_package = true,
                "_manifest_.cix.xml" => {
                    return Self::Refused(refuse("its files are deltas against each other (`_manifest_.cix.xml`)"));
                }
                "dman.ddsm.xml" | "man.dsm.xml" => {
                    return Self::Refused(Error::unsupported("a package for phones, not for Windows Server"));
                }
                _ if path.ends_with(".psf") => {
                    return Self::Refused(refuse(&format!("its files are deltas in `{path}`")));
                }
                _ if !path.contains('\\') && (path.ends_with(".cab") || path.ends_with(".msu")) => is_msu = true,
                _ => {}
            }
            // `<key form>\f\name`: forward, reverse and null deltas.
            let mut names = path.split('\\').skip(1);
            if let (Some("f" | "r" | "n"), Some(_)) = (names.next(), names.next()) {
                return Self::Refused(refuse(&format!("its files are deltas (`{path}`)")));
            }
        }
        match (is_package, is_msu) {
            (true, _) => Self::Package,
            (false, true) => Self::Msu,
            (false, false) => Self::Refused(
                Error::unsupported("the cabinet is not a package: it has no update.mum")
                    .with_hint("give a package as it is on the install media, or an .msu file"),
            ),
        }
    }
}

/// The error for a package that needs other files than its own.
pub(super) fn refuse(why: &str) -> Error {
    Error::unsupported(format!("a package that cannot be installed alone: {why}"))
        .with_hint("use the package with whole files, e.g. the .msu of the update catalog for this version of Windows")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::error::ErrorKind;
    use crate::source::cab::Cabinet;
    use fixtures::cab::Method;

    fn file(name: &str) -> CabFile {
        let bytes = fixtures::CabBuilder::new().folder(Method::Stored, [(name, vec![1])]).to_bytes();
        Cabinet::open(Arc::new(bytes), "a.cab").unwrap().files()[0].clone()
    }

    fn refusal(names: &[&str]) -> String {
        let files: Vec<CabFile> = names.iter().map(|name| file(name)).collect();
        let Kind::Refused(error) = Kind::of(&files) else { panic!("{names:?} is taken") };
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        error.to_string()
    }

    #[test]
    fn kinds() {
        assert!(matches!(Kind::of(&[file("update.mum"), file("a\\b.dll")]), Kind::Package));
        assert!(matches!(Kind::of(&[file("KB1.cab"), file("KB1.xml")]), Kind::Msu));
        assert!(refusal(&["update.mum", "_manifest_.cix.xml", "0"]).contains("cix.xml"));
        assert!(refusal(&["update.mum", "amd64_a\\f\\a.dll"]).contains("deltas (`amd64_a\\f\\a.dll`)"));
        assert!(refusal(&["KB1.cab", "KB1.psf"]).contains("`kb1.psf`"));
        assert!(refusal(&["man.dsm.xml"]).contains("phones"));
        assert!(refusal(&["readme.txt"]).contains("update.mum"));
    }

    #[test]
    fn parts() {
        let part = |name| Part::of(&file(name));
        assert_eq!(
            [part("A~b~~.MUM"), part(".\\a.cat"), part("/a.manifest")],
            [Part::Description, Part::Catalog, Part::Manifest]
        );
        assert_eq!(
            [part("amd64_a\\a.manifest"), part("amd64_a/b.dll"), part("x.txt")],
            [Part::Payload, Part::Payload, Part::Other]
        );
    }
}
