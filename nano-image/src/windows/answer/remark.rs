//! Remarks about an answer file.

use std::fmt;

use serde::Serialize;

use super::place::Lines;
use crate::error::Error;

/// What becomes of a setting, or of the file.
///
/// ```
/// # fn main() -> nano_image::Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("unattend.xml");
/// # std::fs::write(&path, "<unattend xmlns='urn:schemas-microsoft-com:unattend'/>").unwrap();
/// let lint = nano_image::Lint::file(path, None)?;
/// assert_eq!(lint.count(nano_image::Verdict::Refused), 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Verdict {
    /// Windows stops at it, and with it setup. So nothing is built with such a file.
    Refused,
    /// Windows ignores it, or it may not be what was meant.
    Told,
    /// It takes effect: while the image is built, or at its first start.
    Applied,
}

/// A remark about a place in an answer file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Remark {
    /// What becomes of it.
    pub verdict: Verdict,
    /// Kind of remark, the same in every version: `duplicate-setting`, `unknown-component` …
    pub code: &'static str,
    /// Line, from 1.
    pub line: u64,
    /// Character in the line, from 1.
    pub column: u64,
    /// Byte in the file.
    pub offset: u64,
    /// Its pass, if it is in one.
    pub pass: Option<&'static str>,
    /// The component that it is in.
    pub component: Option<String>,
    /// The setting, and the settings around it: `UserAccounts/LocalAccounts`.
    pub setting: Option<String>,
    /// What was found, and what becomes of it.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Microsoft's page about it, if it is known.
    pub page: Option<String>,
}

/// Codes of remarks for which the image may know better than the table of documented settings.
const OF_IMAGE: [&str; 4] = ["not-in-image", "unknown-component", "unknown-setting", "wrong-pass"];

impl Remark {
    /// Whether it depends on what the image contains.
    pub fn is_of_image(&self) -> bool {
        OF_IMAGE.contains(&self.code)
    }

    /// Text for a warning of a build, with position and hint.
    pub fn warning(&self) -> String {
        let hint = self.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
        format!("the answer file, line {}, column {}: {}{hint}", self.line, self.column, self.message)
    }

    /// The remark for an error in a file with the bytes `bytes`.
    pub(super) fn of_error(error: &Error, bytes: &[u8]) -> Self {
        let offset = error.offset().unwrap_or(0);
        let (line, column) = Lines::new(bytes).place(offset);
        let place = format!("line {line}, column {column}: ");
        let message = error.message();
        Self {
            verdict: Verdict::Refused,
            code: "not-readable",
            line,
            column,
            offset,
            pass: None,
            component: None,
            setting: None,
            message: message.strip_prefix(&place).unwrap_or(message).to_owned(),
            hint: error.hint().map(str::to_owned),
            page: None,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "refused",
            Self::Told => "told",
            Self::Applied => "applied",
        })
    }
}

impl fmt::Display for Remark {
    /// `line 3, column 7: refused: …`, without the hint.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}: {}", self.line, self.column, self.verdict, self.message)
    }
}
