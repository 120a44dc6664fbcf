//! VHDX, Hyper-V's disk image format ([MS-VHDX] "Virtual Hard Disk v2 (VHDX) File Format").
//!
//! Home-made because the crates that write VHDX take their GUIDs from a random generator, which would make every
//! image different, and those that read it panic on damaged files.

mod check;
pub mod format;
mod lay_out;
mod read;

pub(super) use check::check;
pub(super) use lay_out::{Table, lay_out};
pub(super) use read::open;
