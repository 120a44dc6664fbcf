//! Security descriptors of files, registry keys and services: parsed, written, as text (SDDL), and what a new object
//! inherits.
//!
//! Written here because no library does it without Windows. Source: [MS-DTYP] 2.4 (structures), 2.5.1 (SDDL) and 2.5.3.4
//! (inheritance).

mod descriptor;
mod inherit;
mod sddl;
mod sid;
#[cfg(test)]
mod tests;

use crate::error::Result;

pub(crate) use descriptor::{Descriptor, fault};
pub(crate) use inherit::inherited;
pub(crate) use sddl::text;

/// What a descriptor is for: decides what generic rights stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ObjectClass {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A registry key.
    Key,
    /// A service: nothing is inherited.
    Service,
}

/// The self-relative descriptor that `sddl` describes for a new object of `class` below one with the descriptor
/// `parent`; see [`Descriptor::completed`] for what the text leaves out.
///
/// # Errors
/// [`Corrupt`](crate::ErrorKind::Corrupt) for text that is not SDDL, [`Unsupported`](crate::ErrorKind::Unsupported) for
/// what is not handled: object and conditional entries, accounts of a domain.
pub(crate) fn compile(sddl: &str, class: ObjectClass, parent: Option<&[u8]>) -> Result<Vec<u8>> {
    let parent = parent.and_then(|parent| Descriptor::parse(parent).ok());
    sddl::parse(sddl, class)?.completed(class, parent.as_ref()).to_bytes()
}

/// As [`compile`], for text of this library in which nothing is left out.
pub(crate) fn constant(sddl: &str, class: ObjectClass) -> Vec<u8> {
    compile(sddl, class, None).expect("the text is SDDL")
}

impl ObjectClass {
    /// Replaces generic rights by the ones they stand for (GENERIC_MAPPING of winnt.h, winreg and winsvc.h).
    fn map(self, mask: u32) -> u32 {
        let [read, write, execute, all] = match self {
            Self::File | Self::Directory => [0x0012_0089, 0x0012_0116, 0x0012_00A0, 0x001F_01FF],
            Self::Key => [0x0002_0019, 0x0002_0006, 0x0002_0019, 0x000F_003F],
            Self::Service => [0x0002_008D, 0x0002_0002, 0x0002_0170, 0x000F_01FF],
        };
        let rights = [(0x8000_0000, read), (0x4000_0000, write), (0x2000_0000, execute), (0x1000_0000, all)];
        let mapped = rights.into_iter().filter(|(generic, _)| mask & generic != 0);
        mapped.fold(mask & !GENERIC, |mask, (_, rights)| mask | rights)
    }
}

/// The generic rights.
const GENERIC: u32 = 0xF000_0000;
