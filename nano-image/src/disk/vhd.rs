//! VHD, the older disk image format of Hyper-V and the one of Azure (Virtual Hard Disk Image Format Specification 1.0).
//!
//! Home-made like [VHDX](super::vhdx): it needs identifiers and times from the caller and an ascending layout.

mod check;
pub mod format;
mod lay_out;
mod read;

pub(super) use check::check;
pub(super) use lay_out::lay_out;
pub(super) use read::{is_vhd, open};
