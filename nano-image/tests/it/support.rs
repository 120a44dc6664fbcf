//! What several tests need.

pub mod bios;
pub mod disk;
pub mod ntfs_volume;
