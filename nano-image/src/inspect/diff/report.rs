//! Receives differences, and passes on those that are wanted.

use std::collections::BTreeSet;
use std::fmt;

use crate::content::ReadAt;
use crate::error::{Error, Result};
use crate::inspect::model::{Category, Compared, Difference};
use crate::inspect::read::files::read_error;
use crate::progress::Observer;

/// Bytes that are compared at once.
const PIECE: u64 = 1 << 20;
/// Where a difference is.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    pub partition: Option<u32>,
    pub path: Option<String>,
    pub key: Option<String>,
}

impl Place {
    pub fn with_key(&self, key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..self.clone() }
    }
}

/// Receives differences.
pub(super) struct Report<'r> {
    pub ignore: &'r BTreeSet<Category>,
    pub observer: &'r dyn Observer,
    pub found: &'r mut dyn FnMut(&Difference) -> Result<()>,
    pub done: Compared,
}

impl Report<'_> {
    pub fn wants(&self, category: Category) -> bool {
        !self.ignore.contains(&category)
    }

    pub fn tell(&mut self, difference: &Difference) -> Result<()> {
        if self.observer.cancelled() {
            return Err(Error::cancelled());
        }
        if self.wants(difference.category) {
            self.done.differences += 1;
            (self.found)(difference)?;
        }
        Ok(())
    }

    /// Reports two values if they differ.
    pub fn values<T: PartialEq + fmt::Display>(
        &mut self,
        category: Category,
        place: &Place,
        what: &str,
        old: Option<T>,
        new: Option<T>,
    ) -> Result<()> {
        if old == new {
            return Ok(());
        }
        let [old, new] = [old, new].map(|value| value.map(|value| value.to_string()));
        self.tell(&difference(category, place, what, old, new))
    }

    pub fn note(&mut self, place: &Place, error: &Error) {
        let partition = place.partition.map(|number| format!("partition {number}")).unwrap_or_default();
        let path = place.path.as_ref().map(|path| format!(": {path}")).unwrap_or_default();
        let source = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
        self.done.notes.push(format!("{partition}{path}: {error}{source}"));
    }
}

pub(super) fn difference(
    category: Category,
    place: &Place,
    what: &str,
    old: Option<String>,
    new: Option<String>,
) -> Difference {
    let Place { partition, path, key } = place.clone();
    Difference { category, partition, path, key, what: what.to_owned(), old, new }
}

/// The first byte at which two streams differ, or at which the shorter one ends.
pub(super) fn first_difference(a: &dyn ReadAt, b: &dyn ReadAt) -> Result<Option<u64>> {
    let failed = |error| read_error(error, "cannot read the image");
    let (len_a, len_b) = (a.len().map_err(failed)?, b.len().map_err(failed)?);
    let (mut old, mut new) = (Vec::new(), Vec::new());
    let common = len_a.min(len_b);
    let mut at = 0;
    while at < common {
        let len = (common - at).min(PIECE) as usize;
        old.resize(len, 0);
        new.resize(len, 0);
        a.read_exact_at(&mut old, at).map_err(failed)?;
        b.read_exact_at(&mut new, at).map_err(failed)?;
        if old != new {
            let inside = old.iter().zip(&new).position(|(old, new)| old != new).unwrap_or(0);
            return Ok(Some(at + inside as u64));
        }
        at += len as u64;
    }
    Ok((len_a != len_b).then_some(common))
}
