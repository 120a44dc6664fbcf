//! Containers of updates: files that are stored as deltas of each other or of files of an image.
//!
//! An [`Index`] lists the files of a container by name. Intra-package deltas (IPD, `_manifest_.cix.xml`) are members of
//! a cabinet; the deltas of a `.psf` file are ranges of it. [`hydrate`] makes the contents of one file, and of nothing
//! that it does not need; the caller reads the members and applies the deltas. Members of express packages for images
//! (PSFX) need no index: [`member`] knows their names and headers.
//!
//! The formats are not published; what is read here is what updates of Windows 6.0 to 10.0 contain.

mod hash;
mod hydrate;
mod index;
pub mod member;
mod psf;

pub use hash::Hash;
pub use hydrate::{Parts, hydrate};
pub use index::{FileId, Index, IndexedFile, Source, SourceKind, StoredAt};
pub use psf::embedded_index;
