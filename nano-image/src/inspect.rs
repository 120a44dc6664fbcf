//! Reads disk images back: container, partitions, volumes, boot entries and Windows, also of images made by others.
//!
//! `model` has the types, `read` fills them, and `tell` puts them into words and pictures. `diff`, `extract` and
//! `verify` do more with images; each builds on `read`.
//!
//! What cannot be read below the partition table becomes a note; everything else is still reported.

mod diff;
mod extract;
mod lint;
mod model;
mod read;
mod tell;
pub mod verify;

pub use diff::{DiffText, diff};
pub use extract::{ExtractOptions, Extracted, extract};
pub use lint::lint;
pub use model::*;
pub use read::files::{DirectoryEntry, FileId, Files, copy};
pub use read::image::Image;
pub use read::listing::list_files;
pub use read::locate::locate;
pub use read::open;
pub use read::size::size;
pub use read::stores::boot_details;
pub use read::windows::registry_details;

pub use crate::windows::contents::Stream;
