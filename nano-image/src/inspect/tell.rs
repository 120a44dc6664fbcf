//! What was read, in words and pictures.

pub(super) mod bcd;
pub(super) mod inspection;
pub(super) mod sddl;
pub(super) mod treemap;
pub(super) mod value;
