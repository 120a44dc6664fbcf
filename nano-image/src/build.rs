//! Recipe → plan → layout → image: the only room that joins the others.

mod compact;
mod layout;
mod plan;
mod recipe;
mod write;

pub use layout::Layout;
pub use plan::Plan;
pub use recipe::{BcdDevice, Firmware, Recipe, RecipeBuilder, SeedChoice, Sources};
pub use write::Target;
