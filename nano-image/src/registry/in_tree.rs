//! Hives among the files of an image, with their logs.

use super::Hive;
use crate::content::{BlobStore, Content};
use crate::error::{Error, Result};
use crate::tree::FileTree;

/// Hives have some tens of megabytes, COMPONENTS of a long-lived system a few hundred.
const MAX_LEN: u64 = 1 << 30;
/// What Windows appends to the name of a hive for its logs.
const LOGS: [&str; 3] = [".LOG", ".LOG1", ".LOG2"];

impl Hive {
    /// Reads the hive at `path` of an image; a dirty one is completed from its logs beside it. `None` if there is no
    /// file or an empty one.
    ///
    /// # Errors
    /// As [`Self::recover`], naming `path`.
    pub fn open(tree: &FileTree, blobs: &dyn BlobStore, path: &str) -> Result<Option<Self>> {
        let Some(bytes) = read(tree, blobs, path)?.filter(|bytes| !bytes.is_empty()) else { return Ok(None) };
        let in_hive = |error: Error| error.with_path(path);
        if let Ok(false) = Self::is_dirty(&bytes) {
            return Self::parse(bytes).map(Some).map_err(in_hive);
        }
        let logs = LOGS.iter().filter_map(|log| read(tree, blobs, &format!("{path}{log}")).transpose());
        let logs: Vec<Vec<u8>> = logs.collect::<Result<_>>()?;
        let logs: Vec<&[u8]> = logs.iter().map(Vec::as_slice).collect();
        Self::recover(bytes, &logs).map(Some).map_err(in_hive)
    }

    /// Writes the hive back to `path`, dated with the time of its edits, and empties its logs. A hive that was not
    /// edited stays as it is in the image.
    pub fn save(self, tree: &mut FileTree, path: &str) -> Result<()> {
        if !self.edited {
            return Ok(());
        }
        let times = crate::tree::Times::all(self.time);
        tree.write_file(path, self.into_bytes(), times)?;
        for log in LOGS {
            let log = format!("{path}{log}");
            if tree.find(&log).is_some_and(|node| tree[node].data.as_ref().is_some_and(|data| !data.is_empty())) {
                tree.write_file(&log, Content::empty(), times)?;
            }
        }
        Ok(())
    }
}

fn read(tree: &FileTree, blobs: &dyn BlobStore, path: &str) -> Result<Option<Vec<u8>>> {
    let Some(data) = tree.find(path).and_then(|node| tree[node].data.as_ref()) else { return Ok(None) };
    if data.len() > MAX_LEN {
        let what = format!("registry hive of {} bytes; {MAX_LEN} at most are handled", data.len());
        return Err(Error::unsupported(what).with_path(path));
    }
    match data {
        Content::Bytes(bytes) => Ok(Some(bytes.to_vec())),
        Content::Blob { id, .. } => blobs.read_blob(*id, MAX_LEN).map(Some).map_err(|error| error.with_path(path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{BlobId, BlobSink};
    use crate::registry::{HiveOptions, Value};
    use crate::tree::{Node, Times};
    use crate::types::FileTime;

    /// The one blob is a hive.
    struct OneHive(Vec<u8>);

    impl BlobStore for OneHive {
        fn read_blobs(&self, _: &[BlobId], _: usize, _: &mut BlobSink<'_>) -> Result<()> {
            unreachable!("hives are read one by one")
        }

        fn read_blob(&self, _: BlobId, _: u64) -> Result<Vec<u8>> {
            Ok(self.0.clone())
        }
    }

    #[test]
    fn a_saved_hive_loses_its_logs_and_an_unchanged_one_stays() {
        let bytes = Hive::new(FileTime(1), &HiveOptions::default()).unwrap().into_bytes();
        let mut tree = FileTree::new(Node::directory(Times::default()));
        let blob = Content::Blob { id: BlobId(0), len: bytes.len() as u64 };
        tree.write_file("config/SYSTEM", blob, Times::default()).unwrap();
        tree.write_file("config/SYSTEM.LOG1", vec![1, 2, 3], Times::default()).unwrap();
        tree.write_file("config/SYSTEM.LOG2", Content::empty(), Times::default()).unwrap();
        let blobs = OneHive(bytes);
        let open = |tree: &FileTree| Hive::open(tree, &blobs, "config/SYSTEM").unwrap().unwrap();
        let data = |tree: &FileTree, path: &str| tree[tree.find(path).unwrap()].data.clone().unwrap();

        open(&tree).save(&mut tree, "config/SYSTEM").unwrap();
        assert!(matches!(data(&tree, "config/SYSTEM"), Content::Blob { .. }));
        assert_eq!(data(&tree, "config/SYSTEM.LOG1").len(), 3);

        let mut hive = open(&tree);
        hive.set_time(FileTime(9));
        hive.set_value(hive.root(), "a", Value::dword(1)).unwrap();
        hive.save(&mut tree, "config/SYSTEM").unwrap();
        assert!(data(&tree, "config/SYSTEM.LOG1").is_empty());
        assert_eq!(tree[tree.find("config/SYSTEM").unwrap()].times.modified, FileTime(9));
        assert_eq!(open(&tree).value(open(&tree).root(), "a").unwrap().as_dword(), Some(1));
        assert!(Hive::open(&tree, &blobs, "config/SYSTEM.LOG2").unwrap().is_none());
    }
}
