//! Reads what Microsoft ships.

pub mod wim;
