//! FAT32, the file system of the EFI system partition.
//!
//! Our own code, after a trial of the crate `fatfs`: it puts long names before `.` and `..`, points `..` of first-level
//! directories to cluster 2, silently makes small volumes FAT16, does not set the hidden sectors and the free count,
//! takes times only from a static provider, and its arithmetic panics on damaged volumes. Mending that would mean
//! rewriting everything but the cluster chains. Here all files are known before the first cluster is allocated, so each
//! file is contiguous and the volume is written in one pass. `fatfs` and `fsck.fat` judge the result in the tests.

mod build;
pub mod format;
mod name;
mod read;

pub use build::{FatFile, FatOptions, build};
pub use read::{FatEntry, FatReader, check};
