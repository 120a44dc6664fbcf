//! Reads what Microsoft ships.

pub mod cab;
pub mod delta;
pub mod wim;
