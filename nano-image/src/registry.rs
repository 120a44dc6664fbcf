//! Registry hives (regf 1.3–1.6): reading, editing and writing them.
//!
//! This is our own code because other libraries lose descriptors, times or classes when they edit a hive, or they read
//! the clock. A [`Hive`] keeps the bytes of the file and edits them in place: cells that an edit does not concern stay
//! unchanged, and the cost of an edit does not depend on the size of the hive.
//!
//! Sources: <https://github.com/msuhanov/regf> (structures, logs). Key names are ordered and hashed by NT's upper-case
//! table ([`crate::types::upcase`]).

mod cells;
mod check;
mod edit;
mod format;
mod hive;
mod list;
mod log;
mod name;
mod open;
mod security;
mod value;
mod write;

#[cfg(all(test, feature = "internals"))]
mod foreign_tests;
#[cfg(test)]
mod log_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;

pub use hive::{Hive, KeyId};
pub use security::{KEY_ALL_ACCESS, descriptor_for};
pub use value::{Value, ValueKind};
pub use write::HiveOptions;
