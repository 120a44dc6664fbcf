//! Packages: what Windows adds to an image with `dism /add-package`, done offline.

pub mod identity;
pub mod mum;
pub mod name;
mod xml;
