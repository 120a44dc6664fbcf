//! Answer files: reading them, editing them, and predicting what Windows does with them.
//!
//! [`AnswerFile`] is the file as a tree with positions, for queries and edits. Settings of components for another
//! architecture than the image's are skipped, because Windows ignores them. [`AnswerFile::judge`] says for every
//! setting what becomes of it ([`Verdict`]). It uses the manifests of the image ([`Manifests`]) where there are some,
//! and the table in [`known`]. Source: "Unattended Windows Setup Reference" on learn.microsoft.com, and what Windows
//! was seen to refuse.

mod components;
mod file;
mod image;
mod judge;
pub mod known;
mod lint;
mod pass;
mod place;
mod remark;
mod schema;
mod servicing;
mod value;

pub use components::Manifests;
pub use file::{AnswerFile, MAX_LEN};
pub use image::{ImageRemark, ImageSetup, PLACE};
pub use judge::Target;
pub use lint::Lint;
pub use pass::Pass;
pub use remark::{Remark, Verdict};
pub use servicing::{ServicingAction, ServicingPackage};
pub use value::check_computer_name;

use crate::types::Architecture;

/// Components with which the build itself deals.
pub const SHELL_SETUP: &str = "Microsoft-Windows-Shell-Setup";
/// The component that joins a domain.
pub const UNATTENDED_JOIN: &str = "Microsoft-Windows-UnattendedJoin";

/// The component that adds drivers to an image.
pub const DRIVERS: &str = "Microsoft-Windows-PnpCustomizationsNonWinPE";

/// The namespace of answer files.
const NAMESPACE: &str = "urn:schemas-microsoft-com:unattend";
/// The namespace of `wcm:action` and `wcm:keyValue`.
const WCM: &str = "http://schemas.microsoft.com/WMIConfig/2002/State";
/// The public key token of Windows' components.
const TOKEN: &str = "31bf3856ad364e35";
/// The attribute with which Windows marks a pass that it has run.
const PROCESSED: &str = "wasPassProcessed";

/// Whether Windows on `image` uses the settings of a component for `component`.
fn is_for(component: &str, image: Architecture) -> bool {
    Architecture::named(component) == Some(image)
        || ["neutral", "wow64"].iter().any(|known| known.eq_ignore_ascii_case(component))
}

#[cfg(test)]
mod tests;
