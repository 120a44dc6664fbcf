//! Hives among other files, with their logs: one rule for trees, volumes and folders.

use super::Hive;
use crate::error::{Error, Result};

/// Longer hives are not read: COMPONENTS of a long-lived system has a few hundred megabytes.
const MAX_LEN: u64 = 1 << 30;
/// What Windows appends to the name of a hive for its logs.
const LOGS: [&str; 3] = [".LOG", ".LOG1", ".LOG2"];

impl Hive {
    /// Reads the hive at `path`; a dirty one is completed from its logs beside it. `None` if there is no file or an
    /// empty one.
    ///
    /// `read` gives the whole file at a path, `None` if there is none, and fails for one that is longer than its second
    /// argument.
    ///
    /// # Errors
    /// As [`Self::recover`], naming the file.
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

    /// Whether the hive is not as it was in its file: an edit changed it, or a log completed it.
    pub fn is_edited(&self) -> bool {
        self.edited
    }
}
