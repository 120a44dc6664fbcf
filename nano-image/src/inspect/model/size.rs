//! Types for the sizes of what is in an image.

use std::collections::BTreeMap;

use serde::Serialize;

/// Where the bytes of an image file are. Each byte counts once. A file with several names counts for the first name
/// that is not in the component store, and for the component that has it there.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct SizeReport {
    /// The image file.
    pub path: String,
    /// Its bytes.
    pub file_size: u64,
    /// All bytes by their kind; the sum is the file's size.
    pub totals: Vec<SizeRow>,
    /// Folders of the volumes, largest first. The folders in `\Windows` are listed in its place.
    pub folders: Vec<SizeRow>,
    /// Components of the component store (`\Windows\WinSxS`), largest first.
    pub components: Vec<SizeRow>,
    /// Files, largest first.
    pub files: Vec<SizeRow>,
    /// What could not be read, one sentence each. Its bytes count as free.
    pub notes: Vec<String>,
    #[serde(skip)]
    pub(crate) tree: SizeTree,
}

/// The bytes of one item.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct SizeRow {
    /// What it is.
    pub name: String,
    /// Bytes in the image file, including slack.
    pub bytes: u64,
    /// Bytes of slack: they follow the contents in the last clusters.
    pub slack: u64,
    /// Number of files, including those whose contents are in the MFT.
    pub files: u64,
}

/// Sizes of nested items.
#[derive(Clone, Debug, Default)]
pub(crate) struct SizeTree {
    pub bytes: u64,
    pub children: BTreeMap<String, SizeTree>,
}

impl SizeTree {
    /// Adds bytes to the item at `path`, and to all items that contain it.
    pub fn add(&mut self, path: &[&str], bytes: u64) {
        self.bytes += bytes;
        if let Some((first, rest)) = path.split_first() {
            self.children.entry((*first).to_owned()).or_default().add(rest, bytes);
        }
    }

    /// Children, largest first.
    pub fn sorted(&self) -> Vec<(&str, &Self)> {
        let mut children: Vec<_> = self.children.iter().map(|(name, child)| (name.as_str(), child)).collect();
        children.sort_by(|a, b| b.1.bytes.cmp(&a.1.bytes).then_with(|| a.0.cmp(b.0)));
        children.retain(|(_, child)| child.bytes > 0);
        children
    }
}
