//! Containers of updates: files that are stored as deltas of each other or of files of an image.
//!
//! An [`Index`] lists the files of a container by name: intra-package deltas (IPD, `_manifest_.cix.xml`) are members of
//! a cabinet, those of a `.psf` file ranges of it. [`hydrate`] makes the contents of one file, and of nothing that it
//! does not need; what reads members and applies deltas comes from the caller. Members of express packages for images
//! (PSFX) need no index: [`member`] knows their names and their frame.
//!
//! The formats are not published; what is read here is what updates of Windows 6.0 to 10.0 hold.

mod hash;
mod hydrate;
mod index;
pub mod member;
mod psf;

pub use hash::Hash;
pub use hydrate::{Parts, hydrate};
pub use index::{FileId, Index, IndexedFile, Source, SourceKind, StoredAt};
pub use psf::embedded_index;
