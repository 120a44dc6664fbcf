//! A section of the driver's own INF file or of one of Windows', and the sections that it needs.
//!
//! Source: "INF DDInstall Section" on learn.microsoft.com. `Include` names INF files of Windows, `Needs` sections in
//! these.

use std::collections::BTreeMap;

use super::inf::{Inf, Line};
use crate::error::Result;

/// The INF files of the image that a driver includes, by their names in lower case.
pub(super) type Included = BTreeMap<String, Inf>;

/// A section.
#[derive(Clone)]
pub(super) struct Section<'a> {
    pub inf: &'a Inf,
    /// The name of the file; `None` for the driver's own file.
    pub file: Option<&'a str>,
    pub name: String,
}

/// What tells a section from all others: its file and its name in lower case.
pub(super) type SectionKey<'a> = (Option<&'a str>, String);

/// The sections that a section needs itself, without those that these need.
pub(super) struct Needed<'a> {
    pub sections: Vec<Section<'a>>,
    /// What it needs and no file has, one sentence each.
    pub missing: Vec<String>,
    /// INF files of Windows that it names, in lower case.
    pub files: Vec<String>,
}

impl<'a> Section<'a> {
    pub fn key(&self) -> SectionKey<'a> {
        (self.file, self.name.to_lowercase())
    }

    /// Its lines.
    pub fn lines(&self) -> Result<&'a [Line]> {
        self.inf.lines(&self.name)
    }

    /// The fields of all its lines with the key `key`.
    pub fn list(&self, key: &str) -> Result<Vec<String>> {
        self.inf.list(&self.name, key)
    }

    /// The text of one of its lines for messages.
    pub fn shown(&self, line: &Line) -> String {
        let file = self.file.map(|file| format!("{file}, ")).unwrap_or_default();
        format!("{file}[{}], line {}: {}", self.name, line.number, line.shown())
    }
}

/// The sections that `section` needs: from its own file, or else from `included`.
pub(super) fn needed<'a>(section: &Section<'a>, included: &'a Included) -> Result<Needed<'a>> {
    let files: Vec<String> = section.list("Include")?.iter().map(|file| file.to_lowercase()).collect();
    let (mut sections, mut missing) = (Vec::new(), Vec::new());
    for needed in section.list("Needs")? {
        let others = files.iter().filter_map(|file| included.get_key_value(file));
        let mut places =
            std::iter::once((section.file, section.inf)).chain(others.map(|(file, inf)| (Some(file.as_str()), inf)));
        match places.find(|(_, inf)| inf.has(&needed)) {
            Some((file, inf)) => sections.push(Section { inf, file, name: needed }),
            None => {
                let from = match files.iter().find(|file| !included.contains_key(*file)) {
                    Some(_) if files.len() == 1 => format!("the image has no Windows\\INF\\{}", files[0]),
                    Some(file) => format!("the image has no Windows\\INF\\{file} of {}", files.join(", ")),
                    None if files.is_empty() => "there is no such section".into(),
                    None => format!("{} has no such section", files.join(", ")),
                };
                missing.push(format!("[{}]: Needs {needed}: {from}", section.name));
            }
        }
    }
    Ok(Needed { sections, missing, files })
}
