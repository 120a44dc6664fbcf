//! Packages: what Windows adds to an image with `dism /add-package`, done offline.

pub mod cabinet;
pub mod identity;
pub mod installed;
pub mod manifest;
pub mod mum;
pub mod name;
pub mod resolve;
mod xml;
