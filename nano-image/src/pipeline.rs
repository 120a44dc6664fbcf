//! Recipe → plan → layout → image: the only room that joins the others.

mod boot_config;
mod check;
mod compact;
mod drivers;
mod layout;
mod packages;
mod plan;
mod recipe;
mod summary;
mod write;

pub use boot_config::{BootConfig, DebugMethod};
pub use check::Difference;
pub use layout::Layout;
pub use plan::Plan;
pub use recipe::{BcdDevice, Firmware, Recipe, RecipeBuilder, SeedChoice, Sources};
pub use write::Target;
