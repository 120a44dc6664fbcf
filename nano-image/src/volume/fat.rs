//! FAT32, the file system of the EFI system partition.
//!
//! Home-made after trying the crate `fatfs`: it puts long names before `.` and `..`, points first-level directories'
//! `..` at cluster 2, silently makes FAT16 of small volumes, leaves the hidden sectors and the free count unset, takes
//! times only from a static provider, and its cluster arithmetic panics on damaged volumes. Mending that would rewrite
//! every structure but the cluster chains. Here all files are known before the first cluster is given away, so they lie
//! in one piece and the volume is written in one pass. `fatfs` and `fsck.fat` judge the result in the tests.

mod build;
pub mod format;
mod name;
mod read;

pub use build::{FatFile, FatOptions, build};
pub use read::{FatEntry, FatReader, check};
