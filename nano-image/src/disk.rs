//! Partition tables and disk image containers.

pub mod gpt;
pub mod sink;
pub mod vhdx;
