//! Packages: what Windows adds to an image with `dism /add-package`, done offline.

pub mod identity;
mod macros;
pub mod manifest;
pub mod name;
mod sddl;
mod xml;
