//! Presents an image to the crates that read its file system, and converts their errors.

use std::io;
use std::path::Path;
use std::sync::Arc;

use hadris_fs::{Error as FsError, ErrorKind as FsErrorKind, Location};
use hadris_io::ErrorType;
use hadris_storage::sync::BlockDevice;
use hadris_storage::{BlockIndex, BlockSize};

use crate::content::ReadAt;
use crate::error::{Error, Result};

/// Length of a sector of a disc in bytes.
const SECTOR: u32 = 2048;

/// The sectors of an image.
pub(super) struct Device {
    data: Arc<dyn ReadAt>,
    count: u64,
}

impl Device {
    /// The sectors of `data`, which has `len` bytes.
    pub fn new(data: Arc<dyn ReadAt>, len: u64) -> Self {
        Self { data, count: len / u64::from(SECTOR) }
    }
}

impl ErrorType for Device {
    type Error = io::Error;
}

impl BlockDevice for Device {
    fn block_size(&self) -> BlockSize {
        const { BlockSize::new(SECTOR).expect("not 0") }
    }

    fn block_count(&self) -> u64 {
        self.count
    }

    fn read_blocks(&mut self, first: BlockIndex, buf: &mut [u8]) -> Result<(), FsError<io::Error>> {
        let end = first.get().checked_add(buf.len() as u64 / u64::from(SECTOR));
        if !buf.len().is_multiple_of(SECTOR as usize) || end.is_none_or(|end| end > self.count) {
            return Err(FsError::new(FsErrorKind::InvalidInput, "the image is shorter than its contents"));
        }
        let read = self.data.read_exact_at(buf, first.get() * u64::from(SECTOR));
        read.map_err(|error| FsError::device(error, "the image cannot be read"))
    }
}

/// Converts an error from reading the file system of the image `path`.
pub(super) fn error(error: FsError<io::Error>, path: &Path) -> Error {
    let message = format!("ISO image: {}", error.message());
    let place = error.location();
    let ours = match error.kind() {
        FsErrorKind::Io => match error.into_device_error() {
            Some(error) => return Error::io("read the ISO image", path, error),
            None => Error::corrupt(message),
        },
        FsErrorKind::NotRecognized => Error::unsupported("no ISO image with a UDF or ISO 9660 file system")
            .with_hint("copy the files of the medium to a folder, and name the folder"),
        FsErrorKind::Unsupported | FsErrorKind::LimitExceeded | FsErrorKind::Symlink => Error::unsupported(message),
        _ => Error::corrupt(message),
    };
    let ours = match place {
        Some(Location::Block(block)) => ours.at(block.saturating_mul(SECTOR.into())),
        Some(Location::Byte(byte)) => ours.at(byte),
        _ => ours,
    };
    ours.with_path(path)
}
