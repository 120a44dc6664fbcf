//! Opens hives that lie among other files, with their logs. Trees, volumes and folders all use this.

use super::check;
use super::format::{CHECKSUM_COVERS, checksum};
use super::hive::{Hive, base_block};
use crate::error::{Error, Result};

/// Longer hives are not read. COMPONENTS of an old installation has a few hundred megabytes.
const MAX_LEN: u64 = 1 << 30;
/// The suffixes that Windows gives to the logs of a hive.
const LOGS: [&str; 3] = [".LOG", ".LOG1", ".LOG2"];

impl Hive {
    /// Reads a hive and checks every structure that its keys use.
    ///
    /// A hive whose last write did not finish (a dirty hive) is refused; [`Self::recover`] takes its logs.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) with the byte in the file,
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for other versions.
    pub fn parse(bytes: Vec<u8>) -> Result<Self> {
        let base = base_block(&bytes)?;
        if checksum(&bytes) != base.checksum.get() {
            return Err(Error::corrupt("registry hive: wrong checksum of the base block")
                .at(CHECKSUM_COVERS as u64)
                .with_hint("the hive was damaged, or its last write did not end: supply its .LOG1 and .LOG2"));
        }
        if base.primary_sequence != base.secondary_sequence {
            return Err(Error::corrupt("registry hive is dirty: its last write did not end")
                .at(4)
                .with_hint("supply its .LOG1 and .LOG2 files, or load and unload it on Windows once"));
        }
        check::open(bytes)
    }

    /// Reads the hive at `path`. If it is dirty, it is completed from its logs beside it. `None` if the file is missing
    /// or empty.
    ///
    /// `read` must return the whole file at a path, or `None` if there is none. It must fail for a file that is longer
    /// than its second argument.
    ///
    /// # Errors
    /// As [`Self::recover`], with the name of the file.
    pub fn open(path: &str, mut read: impl FnMut(&str, u64) -> Result<Option<Vec<u8>>>) -> Result<Option<Self>> {
        let Some(bytes) = read(path, MAX_LEN)?.filter(|bytes| !bytes.is_empty()) else { return Ok(None) };
        let in_hive = |error: Error| error.with_path(path);
        if let Ok(false) = Self::is_dirty(&bytes) {
            return Self::parse(bytes).map(Some).map_err(in_hive);
        }
        let mut logs = Vec::new();
        for log in Self::logs(path) {
            logs.extend(read(&log, MAX_LEN)?);
        }
        let logs: Vec<&[u8]> = logs.iter().map(Vec::as_slice).collect();
        Self::recover(bytes, &logs).map(Some).map_err(in_hive)
    }

    /// Paths of the logs of the hive at `path`.
    pub fn logs(path: &str) -> [String; 3] {
        LOGS.map(|ending| format!("{path}{ending}"))
    }

    /// Whether the hive differs from its file, because an edit changed it or a log completed it.
    pub fn is_edited(&self) -> bool {
        self.edited
    }
}
