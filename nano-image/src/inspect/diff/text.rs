//! Differences as text.

use crate::inspect::model::Difference;
use crate::types::printable;

/// Formats differences as lines, below headings that say where they are.
#[derive(Clone, Debug, Default)]
pub struct DiffText {
    partition: Option<Option<u32>>,
    path: Option<String>,
    key: Option<String>,
}

impl DiffText {
    /// The lines of the next difference.
    pub fn lines(&mut self, difference: &Difference) -> String {
        let Difference { partition, path, key, what, old, new, .. } = difference;
        let mut text = String::new();
        if self.partition != Some(*partition) {
            *self = Self { partition: Some(*partition), ..Self::default() };
            text += &match partition {
                Some(number) => format!("partition {number}\n"),
                None => "disk\n".to_owned(),
            };
        }
        if what == "file"
            && let Some(path) = path
        {
            // A file that only one side has is its own heading.
            (self.path, self.key) = (None, None);
            let (mark, facts) = if new.is_some() { ('+', new) } else { ('-', old) };
            return text
                + &format!("  {mark} {}  ({})\n", printable(path), printable(facts.as_deref().unwrap_or_default()));
        }
        if self.path != *path {
            (self.path, self.key) = (path.clone(), None);
            text += &path.iter().map(|path| format!("  {}\n", printable(path))).collect::<String>();
        }
        let mut indent = if path.is_some() { "    " } else { "  " };
        if self.key != *key {
            self.key.clone_from(key);
            text += &key.iter().map(|key| format!("    [{}]\n", printable(key))).collect::<String>();
        }
        if key.is_some() {
            indent = "      ";
        }
        let change = match (old, new) {
            (Some(old), Some(new)) => format!("{} → {}", printable(old), printable(new)),
            (Some(old), None) => format!("- {}", printable(old)),
            (None, Some(new)) => format!("+ {}", printable(new)),
            (None, None) => String::new(),
        };
        text + &format!("{indent}{}: {change}\n", printable(what))
    }
}
