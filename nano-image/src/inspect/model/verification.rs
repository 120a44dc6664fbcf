//! Type for the results of a check.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::report::Finding;

/// The results of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Verification {
    /// The image file.
    pub path: String,
    /// What was checked, in order.
    pub checked: Vec<String>,
    /// What was not checked. Nothing is known about it.
    pub not_checked: Vec<String>,
    /// What is not wrong, but worth knowing, one sentence each.
    pub notes: Vec<String>,
    /// What is wrong. Of many findings of one kind, only the first ones are listed.
    pub findings: Vec<Finding>,
    /// Number of findings of each kind, including those that are not in `findings`.
    pub counts: BTreeMap<&'static str, u64>,
}

impl Verification {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.counts.is_empty()
    }
}
