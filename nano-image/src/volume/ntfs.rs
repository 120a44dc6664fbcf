//! NTFS 3.1: our own writer, which needs one ascending pass and no mount; and a reader.
//!
//! [`NtfsLayout::new`] gives every byte of a [`FileTree`](crate::tree::FileTree) its address, without reading the
//! contents of any file; [`NtfsLayout::write`] then produces the bytes. It is our own code because nothing else writes
//! a whole NTFS volume in one pass, without a mount, with descriptors, short names, streams and links.
//!
//! [`NtfsReader`] reads volumes of any maker. The crate `ntfs` judges the writer in the tests, but is not used as the
//! reader: it misreads the numbers of index blocks that are smaller than a cluster, fails on names with unpaired
//! surrogates, follows a damaged index endlessly, and needs one seeking reader for everything.
//!
//! [`check()`] finds what is wrong with a volume of any maker.

mod attributes;
mod boot;
mod changes;
mod check;
mod files;
pub mod format;
mod index;
mod layout;
mod locate;
mod order;
mod pack;
mod pieces;
mod place;
mod read;
mod record;
mod secure;
mod system;
mod wof;
mod write;

pub use check::check;
pub use layout::{NtfsLayout, NtfsOptions, check_cluster_size};
pub use pieces::{Piece, Resident, stand_in};
pub use read::{
    NtfsAttribute, NtfsCompressedStream, NtfsDescriptors, NtfsEntry, NtfsFile, NtfsName, NtfsReader, NtfsRun,
    NtfsStream, NtfsVolume,
};
pub use write::VolumeSink;
