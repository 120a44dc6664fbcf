//! Reads what Microsoft ships.

pub mod cab;
pub mod delta;
pub mod iso;
mod lzx;
pub mod update;
pub mod wim;
