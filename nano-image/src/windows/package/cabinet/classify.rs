//! Determines the kind of a package file, and the role of each file in it.

use crate::error::Error;
use crate::windows::package::files::{INDEX, PSF_INDEX};

/// The list of cabinets that form one package.
pub(super) const CABINET_LIST: &str = "cabinet.cablist.ini";

/// The kinds of files that hold packages.
#[derive(Debug)]
pub(super) enum Kind {
    /// A package.
    Package,
    /// Cabinets that form one package.
    Pieces,
    /// An update that holds packages.
    Msu,
    /// Something else, with the error that says what.
    Refused(Error),
}

impl Kind {
    /// From paths with `\` between names, in lower case.
    pub fn of<'a>(paths: impl IntoIterator<Item = &'a str>) -> Self {
        let mut kind = None;
        let mut is_express = false;
        for path in paths {
            if let Some(error) = refusal(path) {
                return Self::Refused(error);
            }
            match path {
                "update.mum" | INDEX => kind = Some(Self::Package),
                CABINET_LIST if !matches!(kind, Some(Self::Package)) => kind = Some(Self::Pieces),
                "dman.ddsm.xml" | "man.dsm.xml" => {
                    return Self::Refused(Error::unsupported("a package for phones, not for Windows Server"));
                }
                _ if path.contains('\\') => {}
                _ if [".cab", ".msu", ".wim"].iter().any(|ending| path.ends_with(ending)) => {
                    kind.get_or_insert(Self::Msu);
                }
                _ => is_express |= path.ends_with(".psf") || path.ends_with(PSF_INDEX),
            }
        }
        match kind {
            Some(kind) => kind,
            None if is_express => Self::Refused(express()),
            None => Self::Refused(
                Error::unsupported("it is not a package: it has no update.mum")
                    .with_hint("give a package as it is on the install media, or an .msu file"),
            ),
        }
    }
}

/// The error for a file whose name says that it is only for clients of the update service or for running machines.
pub(super) fn refusal(path: &str) -> Option<Error> {
    let name = path.rsplit(['\\', '/']).next().unwrap_or(path).to_ascii_lowercase();
    let is_package = [".cab", ".msu", ".psf", ".wim", ".esd"].iter().any(|ending| name.ends_with(ending));
    let has = |word: &str| name.contains(word);
    if has("hotpatchcompdb") || (is_package && has("kb") && has("hotpatch")) {
        let what = format!("`{name}` is of a hotpatch, which changes a running Windows only");
        return Some(Error::unsupported(what).with_hint("fetch the cumulative update of the same month"));
    }
    if has(".mumx.esd") || (is_package && has("kb") && (has("express") || has("baseless"))) {
        return Some(express_named(&name));
    }
    None
}

fn express() -> Error {
    Error::unsupported("express files of an update, without its descriptions").with_hint(WHOLE)
}

fn express_named(name: &str) -> Error {
    Error::unsupported(format!("`{name}` is for express clients of the update service only")).with_hint(WHOLE)
}

/// Which file to fetch instead.
const WHOLE: &str = "fetch the .msu of the update from the update catalog: the file without `express` and `baseless` \
                     in its name";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn refusal(names: &[&str]) -> String {
        let Kind::Refused(error) = Kind::of(names.iter().copied()) else { panic!("{names:?} is taken") };
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        format!("{error}; {}", error.hint().unwrap_or_default())
    }

    #[test]
    fn kinds() {
        let kind = |names: &[&'static str]| Kind::of(names.iter().copied());
        assert!(matches!(kind(&["update.mum", "a\\b.dll"]), Kind::Package));
        assert!(matches!(kind(&["_manifest_.cix.xml", "0"]), Kind::Package));
        assert!(matches!(kind(&["update.mum", "amd64_a\\f\\a.dll"]), Kind::Package));
        assert!(matches!(kind(&["kb1.cab", "kb1.xml"]), Kind::Msu));
        assert!(matches!(kind(&["windows11.0-kb1.wim", "windows11.0-kb1.psf"]), Kind::Msu));
        assert!(matches!(kind(&["cab_1_for_kb1_psfx.cab", "cabinet.cablist.ini"]), Kind::Pieces));
        assert!(refusal(&["kb1.psf"]).contains("update catalog"));
        assert!(refusal(&["man.dsm.xml"]).contains("phones"));
        assert!(refusal(&["readme.txt"]).contains("update.mum"));
        for name in ["windows10.0-kb1-x64_express.cab", "windows10.0-kb1-x64-baseless.psf", "update.mumx.esd"] {
            let text = refusal(&["update.mum", name]);
            assert!(text.contains(name) && text.contains("update catalog"), "{text}");
        }
        assert!(refusal(&["hotpatchcompdb.xml.cab"]).contains("cumulative update"));
    }
}
