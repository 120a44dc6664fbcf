//! Differences between two images.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::error::{Error, Result};

/// A kind of difference. A comparison can leave kinds out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Category {
    /// How the file holds the disk.
    Container,
    /// Position, size, name and type of partitions.
    Partition,
    /// Label, version and cluster size of volumes.
    Volume,
    /// Files and directories that only one image has.
    File,
    /// Contents of files.
    Content,
    /// Named streams.
    Stream,
    /// Attribute bits and extended attributes of files.
    Attributes,
    /// Times of files and registry keys.
    Times,
    /// GUIDs, serial numbers, signatures, and references to them.
    Identifiers,
    /// Security descriptors.
    Security,
    /// Hard links and short names.
    Links,
    /// Links, junctions and other reparse points.
    Reparse,
    /// Registry keys and values.
    Registry,
    /// Boot code and boot entries.
    Boot,
    /// How equal contents are stored: compressed, or their order within a hive.
    Storage,
}

impl Category {
    /// All kinds.
    pub const ALL: [Self; 15] = [
        Self::Container,
        Self::Partition,
        Self::Volume,
        Self::File,
        Self::Content,
        Self::Stream,
        Self::Attributes,
        Self::Times,
        Self::Identifiers,
        Self::Security,
        Self::Links,
        Self::Reparse,
        Self::Registry,
        Self::Boot,
        Self::Storage,
    ];

    /// One lower-case word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Partition => "partition",
            Self::Volume => "volume",
            Self::File => "file",
            Self::Content => "content",
            Self::Stream => "stream",
            Self::Attributes => "attributes",
            Self::Times => "times",
            Self::Identifiers => "identifiers",
            Self::Security => "security",
            Self::Links => "links",
            Self::Reparse => "reparse",
            Self::Registry => "registry",
            Self::Boot => "boot",
            Self::Storage => "storage",
        }
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Category {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|category| category.name().eq_ignore_ascii_case(text));
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::recipe(format!("`{text}` is not a kind of difference")).with_hint(format!("the kinds are {names}"))
        })
    }
}

/// One difference. Without `old` the thing is only in the second image; without `new` it is only in the first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Difference {
    /// Kind.
    pub category: Category,
    /// Number of the partition; `None` if it concerns the whole disk.
    pub partition: Option<u32>,
    /// File, from the root of its volume.
    pub path: Option<String>,
    /// Registry key, or identifier of a boot entry, in that file.
    pub key: Option<String>,
    /// Which part of it.
    pub what: String,
    /// Value in the first image, in words.
    pub old: Option<String>,
    /// Value in the second image, in words.
    pub new: Option<String>,
}

/// The result of a comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compared {
    /// Number of differences.
    pub differences: u64,
    /// What could not be compared, and why, one sentence each.
    pub notes: Vec<String>,
}
