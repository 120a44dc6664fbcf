//! Packages: what Windows adds to an image with `dism /add-package`, done offline.

pub mod apply;
pub mod cabinet;
pub mod identity;
pub mod installed;
mod macros;
pub mod manifest;
pub mod mum;
pub mod name;
pub mod payload;
pub mod resolve;
mod sddl;
#[cfg(test)]
mod testing;
mod xml;
