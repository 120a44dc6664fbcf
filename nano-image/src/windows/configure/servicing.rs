//! What an answer file wants for packages and drivers. It is done before the image becomes one machine.

use std::path::{Path, PathBuf};

use super::Prepared;
use super::unattend::OFFLINE;
use crate::windows::answer::{DRIVERS, ServicingPackage};

/// A folder with which paths in answer files may begin: that of the answer file.
const CONFIGURATION_SET: &str = "%configsetroot%/";

/// What an answer file wants for packages and drivers.
#[derive(Clone, Debug, Default)]
pub struct Servicing {
    /// The answer file; empty if there is none.
    pub answer_file: PathBuf,
    /// What should be done with packages, in the order of the file.
    pub packages: Vec<ServicingPackage>,
    /// Paths of drivers, as given in the file.
    pub drivers: Vec<String>,
}

impl Servicing {
    /// Whether `other` wants the same.
    pub fn is_like(&self, other: &Self) -> bool {
        let is_nothing = self.packages.is_empty() && self.drivers.is_empty();
        let same_folder = self.answer_file.parent() == other.answer_file.parent();
        self.packages == other.packages && self.drivers == other.drivers && (is_nothing || same_folder)
    }

    /// Where `path` from the file is on the host: Windows paths are relative to the configuration set.
    pub fn place(&self, path: &str) -> PathBuf {
        let path = path.replace('\\', "/");
        let is_in_set =
            path.get(..CONFIGURATION_SET.len()).is_some_and(|start| start.eq_ignore_ascii_case(CONFIGURATION_SET));
        let path = if is_in_set { &path[CONFIGURATION_SET.len()..] } else { &path };
        self.answer_file.parent().unwrap_or(Path::new("")).join(path)
    }
}

impl Prepared {
    /// Takes what the answer file wants for packages and drivers, so that it can be done. [`apply`](Self::apply) warns
    /// about what is not taken.
    pub fn take_servicing(&mut self) -> Servicing {
        let drivers = self.answer.items(OFFLINE, DRIVERS, &["DriverPaths"], "PathAndCredentials", "Path");
        let drivers = drivers.iter().map(|path| path.trim().to_owned()).filter(|path| !path.is_empty()).collect();
        self.answer.remove(OFFLINE, DRIVERS, "DriverPaths");
        let packages = std::mem::take(&mut self.answer.packages);
        Servicing { answer_file: self.config.unattend.clone().unwrap_or_default(), packages, drivers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_to_the_answer_file() {
        let servicing = Servicing { answer_file: "set/unattend.xml".into(), ..Servicing::default() };
        for (path, place) in [
            (r"%ConfigSetRoot%\packages\a.cab", "set/packages/a.cab"),
            (r"packages\a.cab", "set/packages/a.cab"),
            (r"%systemroot%\a", "set/%systemroot%/a"),
        ] {
            assert_eq!(servicing.place(path), Path::new(place));
        }
    }
}
