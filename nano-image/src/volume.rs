//! Volumes: tree to extents, and extents to tree.

pub mod fat;
pub mod ntfs;
