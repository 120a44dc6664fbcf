//! The file system of an image: UDF or ISO 9660.

use std::io;
use std::sync::Arc;

use hadris_fs::sync::FileSystem;
use hadris_fs::{DirCursor, DirEntry, Error, ErrorKind, Extent, Metadata, MountOptions, NodeId};
use hadris_iso::sync::IsoFs;
use hadris_udf::sync::UdfFs;

use super::device::Device;
use crate::content::ReadAt;

type Result<T> = std::result::Result<T, Error<io::Error>>;

/// Longest name of a volume, bytes.
const MAX_LABEL: usize = 1024;

/// A file system that is read.
pub(super) enum Volume {
    Udf(Box<UdfFs<Device>>),
    /// ISO 9660, with the names of Rock Ridge or Joliet if it has them.
    Iso(Box<IsoFs<Device>>),
}

impl Volume {
    /// Opens the file system in `data`, which has `len` bytes: UDF if there is one, because it holds what ISO 9660
    /// cannot.
    pub fn mount(data: &Arc<dyn ReadAt>, len: u64) -> Result<Self> {
        let device = || Device::new(data.clone(), len);
        match UdfFs::mount(device(), MountOptions::new()) {
            Ok(volume) => Ok(Self::Udf(Box::new(volume))),
            Err(error) if error.kind() == ErrorKind::NotRecognized && has_iso_9660(&**data) => {
                IsoFs::mount(device(), MountOptions::new())
                    .map(|volume| Self::Iso(Box::new(volume)))
                    .map_err(|error| error.into_error())
            }
            Err(error) => Err(error.into_error()),
        }
    }

    pub fn label(&mut self) -> Result<String> {
        let mut buffer = [0; MAX_LABEL];
        let label = match self {
            Self::Udf(volume) => volume.label(&mut buffer),
            Self::Iso(volume) => volume.label(&mut buffer),
        };
        label.map(|label| label.unwrap_or_default().to_owned())
    }

    pub fn root(&self) -> NodeId {
        match self {
            Self::Udf(volume) => volume.root(),
            Self::Iso(volume) => volume.root(),
        }
    }

    pub fn stat(&mut self, node: NodeId) -> Result<Metadata> {
        match self {
            Self::Udf(volume) => volume.stat(node),
            Self::Iso(volume) => volume.stat(node),
        }
    }

    pub fn extents(&mut self, node: NodeId, into: &mut [Extent]) -> Result<usize> {
        match self {
            Self::Udf(volume) => volume.extents(node, 0, into),
            Self::Iso(volume) => volume.extents(node, 0, into),
        }
    }

    pub fn readdir(&mut self, folder: NodeId, from: DirCursor) -> Result<Option<DirEntry>> {
        match self {
            Self::Udf(volume) => volume.readdir(folder, from),
            Self::Iso(volume) => volume.readdir(folder, from),
        }
    }
}

/// Whether the first volume descriptor is that of ISO 9660 (ECMA-119, 8.1).
fn has_iso_9660(data: &dyn ReadAt) -> bool {
    const PLACE: u64 = 16 * 2048 + 1;
    let mut identifier = [0; 5];
    data.read_exact_at(&mut identifier, PLACE).is_ok() && identifier == *b"CD001"
}
