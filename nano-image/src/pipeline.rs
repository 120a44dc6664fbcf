//! Recipe → plan → layout → image: the only room that joins the others.

mod answered;
mod base;
mod boot_chain;
mod cabinet;
mod compact;
mod compare;
mod drivers;
mod golden;
mod inputs;
mod layout;
mod lint;
mod look;
mod oci;
mod packages;
mod pages;
mod pieces;
mod plan;
mod recipe;
mod scheme;
mod seed;
mod shared;
mod sources;
mod summary;
mod template;
mod update;
mod write;

pub use compare::Difference;
pub use golden::{CloneReport, Golden, GoldenFile, Machine};
pub use layout::Layout;
pub use oci::oci_files;
pub use plan::Plan;
pub use recipe::{BcdDevice, Firmware, Recipe, RecipeBuilder};
pub use sources::Sources;
pub use update::Update;
pub use write::Target;
