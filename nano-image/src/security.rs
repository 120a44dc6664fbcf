//! Security descriptors of files, registry keys and services: parsed, written, converted from and to text (SDDL), and
//! inherited by new objects.
//!
//! This is our own code because no library does it without Windows. Source: [MS-DTYP] 2.4 (structures), 2.5.1 (SDDL)
//! and 2.5.3.4 (inheritance).

mod class;
mod descriptor;
mod inherit;
mod sddl;
mod sid;
#[cfg(test)]
mod tests;

use crate::error::Result;

pub(crate) use class::ObjectClass;
pub(crate) use descriptor::{Descriptor, fault};
pub(crate) use inherit::inherited;
pub(crate) use sddl::text;

/// The self-relative descriptor that `sddl` describes for a new object of `class` in a parent with the descriptor
/// `parent`. [`Descriptor::completed`] says what is used for parts that the text leaves out.
///
/// # Errors
/// [`Corrupt`](crate::ErrorKind::Corrupt) for text that is not SDDL, [`Unsupported`](crate::ErrorKind::Unsupported) for
/// what is not handled: object and conditional entries, accounts of a domain.
pub(crate) fn compile(sddl: &str, class: ObjectClass, parent: Option<&[u8]>) -> Result<Vec<u8>> {
    let parent = parent.and_then(|parent| Descriptor::parse(parent).ok());
    sddl::parse(sddl, class)?.completed(class, parent.as_ref()).to_bytes()
}

/// Like [`compile`], for constants of this library, which leave nothing out.
pub(crate) fn constant(sddl: &str, class: ObjectClass) -> Vec<u8> {
    compile(sddl, class, None).expect("the text is SDDL")
}
