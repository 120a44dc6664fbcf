//! Windows Imaging Format: a WIM image becomes a [`FileTree`](crate::tree::FileTree), its contents a [`WimStore`].
//!
//! libwim opens the file, lists its blobs and decompresses chunks that are not LZX. Three things are our own code,
//! because libwim's interface has no call for them:
//!
//! - handing the data of blobs to the caller ([`WimStore`]);
//! - the directory tree: `wimlib_iterate_dir_tree` leaves out extended attributes, all tagged items but the object
//!   id, the flag for reparse points that were not made relative, and an unnamed stream beside a reparse point; and it
//!   does not refuse duplicate names and `..`. Nothing may be lost silently, so the metadata resource is decoded here
//!   (`metadata`, `tree`);
//! - the XML data: libwim gives only single texts of it.

mod blob_store;
mod codec;
mod compress;
mod ffi;
mod format;
mod metadata;
mod open;
mod read;
mod resource;
mod store;
mod tree;
mod xml;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use crate::types::Architecture;
pub use compress::{WofCompressor, WofDecompressor};
pub use format::Compression;
pub use open::parts_beside;
pub use resource::{Resource, ResourceForm};
pub use store::WimStore;
pub use tree::Image;
pub use xml::{ImageInfo, Version};

use crate::content::{BlobId, BlobStore};
use crate::error::{Error, Result};

/// A metadata resource of more bytes than this is refused; an image of a million files has some 300 MB.
const MAX_METADATA: u64 = 1 << 30;

/// Version of libwim, e.g. `1.14.4`.
///
/// ```
/// assert!(nano_image::libwim_version().starts_with("1."));
/// ```
pub fn libwim_version() -> String {
    let (major, minor, patch) = ffi::version();
    format!("{major}.{minor}.{patch}")
}

/// An open WIM file, with all its parts.
///
/// ```no_run
/// # fn main() -> nano_image::Result<()> {
/// for image in nano_image::Wim::open("install.wim", &[])?.images() {
///     println!("{} {}", image.index, image.name);
/// }
/// # Ok(())
/// # }
/// ```
pub struct Wim {
    path: PathBuf,
    images: Vec<ImageInfo>,
    store: Arc<WimStore>,
    /// Metadata resources in the order of the images.
    metadata: WimStore,
    /// Number in `metadata` of each image's resource.
    metadata_ids: Vec<BlobId>,
    reparse_fixed: bool,
}

impl fmt::Debug for Wim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wim").field("path", &self.path).field("images", &self.images).finish_non_exhaustive()
    }
}

impl Wim {
    /// The images, sorted by index.
    pub fn images(&self) -> &[ImageInfo] {
        &self.images
    }

    /// The files of the WIM, in the order of its parts.
    pub fn files(&self) -> Vec<&Path> {
        self.store.files()
    }

    /// The contents of the files of all images.
    pub fn store(&self) -> &Arc<WimStore> {
        &self.store
    }

    /// Index of the image that `wanted` stands for. That can be an index, a name, or else, in any case, an edition or
    /// display name that only one image has.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) lists the images and hints the nearest name.
    pub fn find_image(&self, wanted: &str) -> Result<u32> {
        xml::find_image(&self.images, wanted).map_err(|error| error.with_path(&self.path))
    }

    /// Reads the directory tree of image `index` (from 1).
    ///
    /// # Errors
    ///
    /// [`Corrupt`](crate::ErrorKind::Corrupt) names the file of the image that is damaged;
    /// [`Unsupported`](crate::ErrorKind::Unsupported) the file and the feature that a tree cannot hold.
    pub fn read_image(&self, index: u32) -> Result<Image> {
        let id = (index as usize).checked_sub(1).and_then(|index| self.metadata_ids.get(index));
        let Some(id) = id else {
            return self.find_image(&index.to_string()).and(Err(Error::corrupt("an image without metadata")));
        };
        let bytes = self.metadata.read_blob(*id, MAX_METADATA)?;
        tree::build(&bytes, &self.store, self.reparse_fixed).map_err(|error| error.with_path(&self.path))
    }

    /// SHA-1 of the metadata of image `index`. The metadata lists the SHA-1 of every file, so images with the same
    /// digest hold the same files, however they are compressed.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such image.
    pub fn image_digest(&self, index: u32) -> Result<[u8; 20]> {
        let id = (index as usize).checked_sub(1).and_then(|index| self.metadata_ids.get(index));
        let missing = || Error::not_found(format!("no image {index}")).with_path(&self.path);
        id.map(|id| self.metadata.digest(*id)).ok_or_else(missing)
    }
}
