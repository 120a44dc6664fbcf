//! Partition tables and formats of disk images.
//!
//! A [`FileLayout`] is a pure, monotone map from the disk's address space to the image file's. The whole file is known
//! (and its size exact) before the first data byte, and is written in one ascending pass to any [`Output`]. [`open`]
//! reads images back, [`check()`] finds what is wrong with an image file. One table, `formats`, lists the formats and
//! everything about each that is needed outside of its folder. `foreign` lists what is recognised but not read.

mod blocks;
mod chain;
mod check;
mod compare;
mod file_layout;
mod foreign;
mod formats;
pub mod gpt;
mod layer;
mod map;
pub mod mbr;
mod parent;
mod parts;
mod qcow2;
mod raw;
mod read;
mod row;
pub mod sink;
mod subformat;
pub mod vhd;
pub mod vhdx;
mod vmdk;

pub(crate) use chain::open_in;
pub use chain::open_path;
pub use check::check;
pub use compare::{ByteDifference, CompareOutput};
pub use file_layout::{FileLayout, Writer, Written};
pub use foreign::{not_a_disk, not_read_by_name, not_written};
pub use formats::{Format, Preset};
pub use parent::Parent;
pub use read::{DiskReader, FileContent, open};
pub use row::{DiskSize, UsualFirmware};
pub use sink::{FileOutput, Output, StreamOutput};
pub use subformat::Subformat;
