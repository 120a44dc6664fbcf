//! Puts what was read into words and pictures.

pub(super) mod bcd;
mod details;
pub(super) mod inspection;
mod treemap;
pub(super) mod value;
pub(super) mod words;
