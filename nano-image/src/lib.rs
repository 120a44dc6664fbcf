//! Builds bootable Windows Nano Server disk images (VHDX, VHD, raw) offline, from the install media.
//!
//! Files in, one file out: no Windows, DISM, root, mount, VM or network, and the same inputs give the same bytes.
//!
//! ```no_run
//! use nano_image::{ByteSize, Format, Recipe, Result, Sources};
//!
//! fn main() -> Result<()> {
//!     let recipe = Recipe::image("ServerDatacenterNano").package("IIS").disk_size(ByteSize::gib(8)).build()?;
//!     let media = Sources::media("WS2016.iso").scratch("."); // a folder for what does not fit into memory
//!     let plan = recipe.plan(&media, &())?;                           // reads metadata, installs packages
//!     let layout = plan.layout(&())?;                                 // the address of every byte of the disk
//!     let report = layout.write_file("nano.vhdx", Format::VHDX, &())?; // one pass
//!     println!("{} bytes, disk {}", report.outputs[0].file_size, report.disk_id);
//!     Ok(())
//! }
//! ```
//!
//! A [`Recipe`] says what to build; it is checked before anything is read. [`Sources`] say where the files come from.
//! The [`Plan`] says what the disk contains, the [`Layout`] where each byte of it is. A layout is written to any number
//! of [`Target`]s in one pass. [`inspect`] reads images back, also those of other programs. An [`Observer`] shows
//! progress and can cancel.
//!
//! What is not listed here is not part of the contract, even if the feature `internals` shows it: that feature is for
//! the tests and measurements of this workspace.
//! and measurements of this workspace.

#![deny(clippy::print_stdout, clippy::print_stderr)]
#![cfg_attr(
    not(feature = "internals"),
    allow(unused_imports, reason = "the face of a room names what its functions give")
)]

mod error;
pub mod inspect;
mod pipeline;
pub mod report;
mod security;

// The list appears twice because rustfmt does not find modules that a macro declares.
#[cfg(not(feature = "internals"))]
mod content;
#[cfg(not(feature = "internals"))]
mod disk;
#[cfg(not(feature = "internals"))]
mod identity;
#[cfg(not(feature = "internals"))]
mod progress;
#[cfg(not(feature = "internals"))]
mod registry;
#[cfg(not(feature = "internals"))]
mod source;
#[cfg(not(feature = "internals"))]
mod tree;
#[cfg(not(feature = "internals"))]
mod types;
#[cfg(not(feature = "internals"))]
mod volume;
#[cfg(not(feature = "internals"))]
mod windows;
mod xml;

#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod content;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod disk;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod identity;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod progress;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod registry;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod source;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod tree;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod types;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod volume;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod windows;

// What to build.
pub use identity::Seed;
pub use pipeline::{BcdDevice, Firmware, Recipe, RecipeBuilder};
pub use windows::answer::{ImageRemark, Lint, Remark, Verdict};
pub use windows::boot::{BootSetting, BootSettings, DebugTransport, Ems};
pub use windows::compact::Compact;
pub use windows::configure::{FileCopy, LocalUser, MachineConfig, RegUser, RemoteManagement, Secret};
pub use windows::host::Host;
pub use windows::media::{Deployment, Edition, Role};

// Where the files come from.
pub use content::{ReadAt, SourceCheck};
pub use pipeline::{Sources, Update};
pub use source::wim::{ImageInfo, Wim, libwim_version};
pub use windows::media::{CabinetDetails, Media, MediaFile, MediaPackage, PackageDetails, release};
pub use windows::package::{Applicability, UpdateDetails};
pub use windows::package::{FeatureState, ImageCapability, ImageFeature, ImagePackage, ImageServicing};

// From plan to image.
pub use content::{FileIdentity, NewFileOptions, NewFiles, UsedFile, keep_apart};
pub use disk::open_path as open_disk_path;
pub use disk::{DiskReader, Format, Preset, Subformat, UsualFirmware, not_written, open as open_disk};
pub use pipeline::{CloneReport, Difference, Golden, GoldenFile, Layout, Machine, Plan, Target, oci_files};
pub use progress::{Observer, Phase};
pub use report::Report;

// Values.
pub use error::{Error, ErrorKind, Result};
pub use types::{Architecture, ByteSize, FileTime};

// Text for people.
pub use types::{is_shown, nearest, printable, table};

/// What the project's own tools need beyond the public surface. It may change with every version.
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals {
    pub use crate::windows::configure::{read_reg_file, rewrite_answer_file};
    pub use crate::windows::driver::read_inf;
}
