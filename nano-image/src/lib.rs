//! Builds bootable Windows Nano Server disk images (VHDX, raw) offline, from the WIM on the install media.
//!
//! Files in, one file out: no Windows, DISM, root, mount, VM or network, and the same inputs give the same bytes.

#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod content;
pub mod disk;
mod error;
pub mod identity;
pub mod inspect;
mod pipeline;
pub mod progress;
pub mod registry;
pub mod report;
mod security;
pub mod source;
pub mod tree;
pub mod types;
pub mod volume;
pub mod windows;

pub use content::{NewFileOptions, SourceCheck};
pub use disk::{Format, Subformat};
pub use error::{Error, ErrorKind, Result};
pub use identity::Seed;
pub use pipeline::{BcdDevice, Difference, Firmware, Layout, Plan, Recipe, RecipeBuilder, Sources, Target};
pub use progress::{Observer, Phase};
pub use report::Report;
pub use types::ByteSize;
pub use windows::boot::{BootSettings, DebugTransport, Ems};
pub use windows::compact::Compact;
pub use windows::configure::{MachineConfig, Secret};
pub use windows::media::{Deployment, Edition, Media, Role};

/// What the project's own tools need beyond the public surface. It may change with every version.
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals {
    pub use crate::windows::configure::{read_reg_file, rewrite_answer_file};
    pub use crate::windows::driver::read_inf;
}
