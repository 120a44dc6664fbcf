//! Directory identifiers, and the forms of paths in the places where they are used.
//!
//! Source: "Using Dirids" on learn.microsoft.com.

use super::inf::number;
use crate::error::{Error, Result};

/// Folder of the driver packages.
pub(super) const REPOSITORY: &str = r"Windows\System32\DriverStore\FileRepository";

/// Directories by their identifiers.
const DIRECTORIES: [(u32, &str); 22] = [
    (10, "Windows"),
    (11, r"Windows\System32"),
    (12, r"Windows\System32\drivers"),
    (17, r"Windows\INF"),
    (18, r"Windows\Help"),
    (20, r"Windows\Fonts"),
    (23, r"Windows\System32\spool\drivers\color"),
    (24, ""),
    (25, "Windows"),
    (30, ""),
    (50, r"Windows\System"),
    (51, r"Windows\System32\spool"),
    (52, r"Windows\System32\spool\drivers"),
    (54, ""),
    (16419, "ProgramData"),
    (16420, "Windows"),
    (16421, r"Windows\System32"),
    (16422, "Program Files"),
    (16425, r"Windows\SysWOW64"),
    (16426, "Program Files (x86)"),
    (16427, r"Program Files\Common Files"),
    (16428, r"Program Files (x86)\Common Files"),
];
/// The driver's own package.
const PACKAGE: u32 = 13;

/// The form of a path on the Windows volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// From the root of the volume.
    Image,
    /// For the kernel: `\SystemRoot\…`.
    Kernel,
    /// For the boot loader, relative to the Windows directory.
    Boot,
    /// For text in which environment variables are expanded: `%SystemRoot%\…`.
    Environment,
    /// `C:\…`, the name that Windows gives to its own volume.
    Absolute,
}

/// The path of a directory identifier; `package` is the name of the driver package.
pub(super) fn directory(id: u32, package: &str, style: Style) -> Option<String> {
    let path = match id {
        PACKAGE => format!(r"{REPOSITORY}\{package}"),
        _ => DIRECTORIES.iter().find(|(number, _)| *number == id)?.1.to_owned(),
    };
    let in_windows = path.strip_prefix("Windows").map(str::to_owned);
    Some(match (style, in_windows) {
        (Style::Image, _) => path,
        (Style::Kernel, Some(rest)) => format!(r"\SystemRoot{rest}"),
        (Style::Boot, Some(rest)) => rest.trim_start_matches('\\').to_owned(),
        (Style::Environment, Some(rest)) => format!("%SystemRoot%{rest}"),
        (Style::Kernel | Style::Boot, None) => format!(r"\??\C:\{path}"),
        (Style::Environment, None) => format!(r"%SystemDrive%\{path}"),
        (Style::Absolute, _) => format!(r"C:\{path}"),
    })
}

/// Whether files with this directory identifier stay in the package.
pub(super) fn is_package(id: u32) -> bool {
    id == PACKAGE
}

/// A directory identifier in a DestinationDirs line; `None` for one that only Windows knows, such as those of printers.
pub(super) fn identifier(text: &str) -> Result<Option<u32>> {
    let id =
        number(text).ok_or_else(|| Error::corrupt(format!("bad INF file: `{text}` is not a directory identifier")))?;
    Ok(Some(id).filter(|id| *id == PACKAGE || DIRECTORIES.iter().any(|(number, _)| number == id)))
}

/// `path`, which must be relative, without empty parts.
///
/// # Errors
/// [`Corrupt`](crate::ErrorKind::Corrupt) if it leads out of its directory, or cannot be a name on NTFS.
pub(super) fn relative(path: &str) -> Result<String> {
    let parts: Vec<&str> = path.split(['\\', '/']).filter(|part| !part.is_empty() && *part != ".").collect();
    let is_bad = |part: &&&str| {
        **part == ".."
            || part.encode_utf16().count() > 255
            || part.ends_with([' ', '.'])
            || part.contains(|c: char| c.is_control() || "<>:\"|?*".contains(c))
    };
    match parts.iter().find(is_bad) {
        Some(part) => Err(Error::corrupt(format!("bad INF file: `{part}` in `{path}` cannot be the name of a file"))),
        None => Ok(parts.join("\\")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_written_for_their_readers() {
        let all = |id| {
            [Style::Image, Style::Kernel, Style::Boot, Style::Environment, Style::Absolute]
                .map(|style| directory(id, "p", style).unwrap())
        };
        assert_eq!(
            all(12),
            [
                r"Windows\System32\drivers",
                r"\SystemRoot\System32\drivers",
                r"System32\drivers",
                r"%SystemRoot%\System32\drivers",
                r"C:\Windows\System32\drivers"
            ]
        );
        assert_eq!(all(13)[1], r"\SystemRoot\System32\DriverStore\FileRepository\p");
        assert_eq!(all(16422)[3], r"%SystemDrive%\Program Files");
        assert_eq!(directory(1, "p", Style::Image), None);
        assert!(identifier("99").unwrap().is_none() && identifier("x").is_err());
        assert_eq!(identifier("13").unwrap(), Some(13));
    }

    #[test]
    fn nothing_leaves_its_directory() {
        assert_eq!(relative(r"\a/b\\c.sys").unwrap(), r"a\b\c.sys");
        for path in [r"..\a", r"a\..\..\b", "a:b", "a\nb", "a?", "con .", "a."] {
            assert!(relative(path).is_err(), "{path}");
        }
    }
}
