//! Reads what Microsoft ships.

pub mod cab;
pub mod wim;
