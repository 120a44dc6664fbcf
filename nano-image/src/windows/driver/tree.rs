//! Folders of drivers for many versions of Windows: chooses those for the image.
//!
//! virtio-win has `viostor/2k16/amd64` and `amd64/2k16`, other vendors have `Win10/amd64` and the like. The folders of
//! one version are used and all others are not, because two builds of one driver would conflict.

use std::path::{Path, PathBuf};

use super::target::Target;
use crate::error::{Error, Result};
use crate::types::Architecture;

/// Folders for servers and for others: the build for which each is, newest first, and its names.
const SERVERS: [(u32, &[&str]); 8] = [
    (26_100, &["2k25"]),
    (20_348, &["2k22"]),
    (17_763, &["2k19"]),
    (14_393, &["2k16"]),
    (9_600, &["2k12r2"]),
    (9_200, &["2k12"]),
    (7_600, &["2k8r2"]),
    (6_001, &["2k8"]),
];
const CLIENTS: [(u32, &[&str]); 6] = [
    (22_000, &["w11", "win11"]),
    (10_240, &["w10", "win10"]),
    (9_600, &["w8.1", "win8.1"]),
    (9_200, &["w8", "win8"]),
    (7_600, &["w7", "win7"]),
    (6_000, &["vista", "winvista"]),
];
/// Folders for versions that are older than any image of today.
const OLDER: [&str; 4] = ["2k3", "2k", "xp", "winxp"];
/// Folders for processors.
const PROCESSORS: [(&str, Architecture); 8] = [
    ("amd64", Architecture::Amd64),
    ("x64", Architecture::Amd64),
    ("x86", Architecture::X86),
    ("i386", Architecture::X86),
    ("arm64", Architecture::Arm64),
    ("aarch64", Architecture::Arm64),
    ("arm", Architecture::Arm),
    ("ia64", Architecture::Ia64),
];

/// The version and processor folders that contain a file.
struct InfFolders {
    /// Index among the versions, newest server first.
    version: Option<usize>,
    name: String,
    processor: Architecture,
    /// Whether the processor's folder is the outer one.
    processor_first: bool,
}

/// Those of the INF files `found` below `root` that are for `target`, and those that are not in a version folder.
///
/// # Errors
/// [`NotFound`](crate::ErrorKind::NotFound) if there are version folders, but none for `target`.
pub(super) fn choose(
    root: &Path,
    found: Vec<PathBuf>,
    target: &Target,
    warnings: &mut Vec<String>,
) -> Result<Vec<PathBuf>> {
    let places: Vec<Option<InfFolders>> =
        found.iter().map(|path| place(path.strip_prefix(root).unwrap_or(path))).collect();
    if places.iter().all(Option::is_none) {
        return Ok(found);
    }
    let of_processor = || places.iter().flatten().filter(|place| place.processor == target.architecture());
    let wanted = wanted(target);
    let chosen = wanted.iter().copied().find(|version| of_processor().any(|place| place.version == Some(*version)));
    let is_chosen = |place: &&InfFolders| place.version == chosen;
    let some_by_driver = of_processor().filter(is_chosen).any(|place| !place.processor_first);
    let is_taken = |place: &Option<InfFolders>| match place {
        None => true,
        Some(place) => {
            let is_it = chosen.is_some() && place.version == chosen && place.processor == target.architecture();
            // virtio-win contains its storage drivers a second time, for Windows' own setup.
            is_it && !(place.processor_first && some_by_driver)
        }
    };
    let left = places.iter().filter(|place| !is_taken(place)).count();
    let taken: Vec<PathBuf> =
        found.into_iter().zip(&places).filter(|(_, place)| is_taken(place)).map(|(path, _)| path).collect();
    let Some(folder) = of_processor().find(is_chosen).filter(|_| chosen.is_some()) else {
        let mut names: Vec<String> =
            places.iter().flatten().map(|place| format!("{}/{}", place.name, place.processor)).collect();
        names.sort();
        names.dedup();
        let what = format!("none of the {left} INF files is in a folder for {target}");
        return match taken.is_empty() {
            true => Err(Error::not_found(what)
                .with_path(root)
                .with_hint(format!("there are {}: name the folder that shall be taken", names.join(", ")))),
            false => {
                warnings.push(format!("{}: {what}: they are left", root.display()));
                Ok(taken)
            }
        };
    };
    let shown = root.display();
    if chosen != wanted.first().copied() {
        warnings.push(format!(
            "{shown} has no folder for {target}: the drivers of {}/{}, the nearest older one, are taken",
            folder.name, folder.processor
        ));
    }
    Ok(taken)
}

/// Versions whose drivers `target` can use, best first.
fn wanted(target: &Target) -> Vec<usize> {
    let servers = SERVERS.iter().enumerate().filter(|(_, (build, _))| *build <= target.build());
    let servers = servers.map(|(at, _)| at);
    let clients = CLIENTS.iter().enumerate().filter(|(_, (build, _))| *build <= target.build());
    let clients = clients.map(|(at, _)| SERVERS.len() + at);
    match target.is_client() {
        true => clients.chain(servers).collect(),
        false => servers.chain(clients).collect(),
    }
}

/// The version and processor folders in `path`, one inside the other.
fn place(path: &Path) -> Option<InfFolders> {
    let mut names: Vec<String> =
        path.components().map(|part| part.as_os_str().to_string_lossy().to_lowercase()).collect();
    names.pop();
    names.windows(2).find_map(|pair| {
        let (outer, inner) = (&*pair[0], &*pair[1]);
        let (version, processor, processor_first) = match (version(outer), processor(inner)) {
            (Some(version), Some(processor)) => (version, processor, false),
            _ => (version(inner)?, processor(outer)?, true),
        };
        let name = if processor_first { inner } else { outer };
        Some(InfFolders { version, name: name.to_owned(), processor, processor_first })
    })
}

/// The version for which a folder is: one of those above, or an older one.
fn version(name: &str) -> Option<Option<usize>> {
    let versions = SERVERS.iter().chain(&CLIENTS);
    let at = versions.into_iter().position(|(_, names)| names.contains(&name));
    match at {
        Some(at) => Some(Some(at)),
        None => OLDER.contains(&name).then_some(None),
    }
}

fn processor(name: &str) -> Option<Architecture> {
    PROCESSORS.iter().find(|(folder, _)| *folder == name).map(|(_, processor)| *processor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(architecture: Architecture, build: u32, is_client: bool, files: &[&str]) -> (Result<Vec<String>>, usize) {
        let target = Target::new(architecture, Some((10, 0, build))).unwrap().client(is_client);
        let found = files.iter().map(|file| Path::new("kit").join(file)).collect();
        let mut warnings = Vec::new();
        let taken = choose(Path::new("kit"), found, &target, &mut warnings);
        let names = |paths: Vec<PathBuf>| paths.iter().map(|p| p.to_string_lossy()[4..].to_owned()).collect();
        (taken.map(names), warnings.len())
    }

    const VIRTIO: [&str; 10] = [
        "amd64/2k16/viostor.inf",
        "amd64/2k22/viostor.inf",
        "NetKVM/2k16/amd64/netkvm.inf",
        "NetKVM/2k22/amd64/netkvm.inf",
        "NetKVM/w10/ARM64/netkvm.inf",
        "NetKVM/w11/amd64/netkvm.inf",
        "NetKVM/xp/x86/netkvm.inf",
        "viostor/2k16/amd64/viostor.inf",
        "viostor/2k22/amd64/viostor.inf",
        "viostor/w11/amd64/viostor.inf",
    ];

    #[test]
    fn the_folders_of_one_version_are_taken() {
        for (architecture, build, is_client, folder, warnings) in [
            (Architecture::Amd64, 14_393, false, "2k16/amd64", 0),
            (Architecture::Amd64, 17_763, false, "2k16/amd64", 1),
            (Architecture::Amd64, 20_348, false, "2k22/amd64", 0),
            (Architecture::Amd64, 26_100, false, "2k22/amd64", 1),
            (Architecture::Amd64, 26_100, true, "w11/amd64", 0),
        ] {
            let (taken, told) = choice(architecture, build, is_client, &VIRTIO);
            let expected = [format!("NetKVM/{folder}/netkvm.inf"), format!("viostor/{folder}/viostor.inf")];
            assert_eq!((taken.unwrap(), told), (expected.into(), warnings), "{build}");
        }
        let (taken, told) = choice(Architecture::Arm64, 22_000, true, &VIRTIO);
        assert_eq!((taken.unwrap(), told), (vec!["NetKVM/w10/ARM64/netkvm.inf".into()], 1));
        assert_eq!(choice(Architecture::Amd64, 14_393, false, &VIRTIO[..2]).0.unwrap(), [VIRTIO[0]]);
    }

    #[test]
    fn other_folders_are_no_versions() {
        let plain = ["a/b.inf", "amd64/c.inf", "2k16/d.inf"];
        assert_eq!(choice(Architecture::Amd64, 14_393, false, &plain).0.unwrap(), plain);
        let mixed = ["own/a.inf", "Win10/amd64/b.inf", "Win7/amd64/b.inf", "Win10/i386/b.inf"];
        assert_eq!(choice(Architecture::Amd64, 19_045, true, &mixed).0.unwrap(), mixed[..2]);
        let error = choice(Architecture::Arm64, 14_393, false, &VIRTIO[..2]).0.unwrap_err();
        assert!(error.hint().unwrap().contains("2k22/amd64"), "{error:?}");
        let (taken, told) = choice(Architecture::X86, 14_393, false, &mixed[..3]);
        assert_eq!((taken.unwrap(), told), (vec!["own/a.inf".into()], 1));
    }
}
