//! Checks the registry hives of Windows.

use super::super::read::files::{FileId, Files};
use crate::error::Result;
use crate::registry::Hive;
use crate::report::{Finding, Findings};

/// The most directories that `*` stands for.
const MAX_DIRECTORIES: usize = 64;

/// Hives that a volume may have; `*` stands for any directory name.
const HIVES: [&str; 15] = [
    r"Windows\System32\config\SYSTEM",
    r"Windows\System32\config\SOFTWARE",
    r"Windows\System32\config\SAM",
    r"Windows\System32\config\SECURITY",
    r"Windows\System32\config\DEFAULT",
    r"Windows\System32\config\COMPONENTS",
    r"Windows\System32\config\DRIVERS",
    r"Windows\System32\config\BBI",
    r"Windows\System32\config\ELAM",
    r"Windows\System32\config\BCD-Template",
    r"Users\*\NTUSER.DAT",
    r"Users\*\AppData\Local\Microsoft\Windows\UsrClass.dat",
    r"Windows\ServiceProfiles\*\NTUSER.DAT",
    r"EFI\Microsoft\Boot\BCD",
    r"Boot\BCD",
];

/// Checks every hive of a volume; returns their number. Damage that keeps a directory from being read is reported by
/// the check of the volume.
pub(super) fn hives(files: &Files<'_>, findings: &mut Findings) -> usize {
    let mut count = 0;
    for pattern in HIVES {
        for path in paths(files, pattern) {
            if !matches!(files.find(&path), Ok(Some(_))) {
                continue;
            }
            match hive(files, &path) {
                Ok(checked) => count += usize::from(checked),
                Err(error) => {
                    let at = error.offset();
                    let finding = Finding::new("hive", "registry hive", error.message()).at(at);
                    findings.add(finding.with_path(format!("\\{path}")));
                }
            }
        }
    }
    count
}

/// The paths that fit a pattern.
fn paths(files: &Files<'_>, pattern: &str) -> Vec<String> {
    let Some((parent, rest)) = pattern.split_once(r"\*\") else { return vec![pattern.to_owned()] };
    let directory = files.find(parent).ok().flatten().filter(FileId::is_directory);
    let entries = directory.and_then(|directory| files.list(directory).ok()).unwrap_or_default();
    let directories = entries.into_iter().filter(|entry| entry.file.is_directory()).take(MAX_DIRECTORIES);
    directories.map(|entry| format!("{parent}\\{}\\{rest}", entry.name)).collect()
}

/// Reads a hive, completed from its logs if its last write did not finish; returns whether there is one.
fn hive(files: &Files<'_>, path: &str) -> Result<bool> {
    Hive::open(path, |name, limit| files.read_file(name, limit)).map(|hive| hive.is_some())
}
