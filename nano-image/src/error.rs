//! The one error type of the library: what failed, in which file, at which byte, and what to try.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::types::ByteSize;

/// Result of every function of this library that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The kind of failure of an [`Error`]. It decides the exit code of the command line.
///
/// ```
/// use nano_image::{ErrorKind, Recipe, Sources};
///
/// let plan = Recipe::image("1").build().and_then(|recipe| recipe.plan(&Sources::wim("missing.wim"), &()));
/// assert_eq!(plan.err().unwrap().kind(), ErrorKind::NotFound);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The recipe contradicts itself or a documented limit.
    Recipe,
    /// An edition, package, image or file is not in the sources.
    NotFound,
    /// A package is not applicable or a dependency is missing.
    Unsatisfied,
    /// An input breaks its format.
    Corrupt,
    /// An input is valid but uses a feature that is not handled.
    Unsupported,
    /// The disk or a partition cannot hold what it should.
    TooSmall,
    /// The operating system refused.
    Io,
    /// The caller stopped the work.
    Cancelled,
}

/// Failure of a library call.
///
/// `Display` gives the message with file and byte, in lower case and without a full stop. It never repeats the
/// [source](std::error::Error::source). A [hint](Error::hint) says what to try. `Debug` gives all of it in readable
/// form, so that `fn main() -> nano_image::Result<()>` ends with the same message as the command line.
///
/// ```
/// let error = nano_image::Recipe::image("1").disk_size(nano_image::ByteSize::new(1)).build().unwrap_err();
/// println!("error: {error}");
/// if let Some(hint) = error.hint() {
///     println!("hint: {hint}");
/// }
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    path: Option<PathBuf>,
    offset: Option<u64>,
    hint: Option<String>,
    needed: Option<ByteSize>,
    missing: Vec<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind` that says `message`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            path: None,
            offset: None,
            hint: None,
            needed: None,
            missing: Vec::new(),
            source: None,
        }))
    }

    /// [`ErrorKind::Recipe`].
    pub fn recipe(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Recipe, message)
    }

    /// [`ErrorKind::NotFound`].
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// [`ErrorKind::Corrupt`].
    pub fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, message)
    }

    /// [`ErrorKind::Unsupported`].
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// [`ErrorKind::TooSmall`].
    pub fn too_small(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::TooSmall, message)
    }

    /// [`ErrorKind::Cancelled`].
    pub fn cancelled() -> Self {
        Self::new(ErrorKind::Cancelled, "stopped")
    }

    /// [`ErrorKind::Io`]: the operating system refused `what` ("open", "write" …) for `path`.
    pub fn io(what: &str, path: impl AsRef<Path>, source: std::io::Error) -> Self {
        let kind = if source.kind() == std::io::ErrorKind::NotFound { ErrorKind::NotFound } else { ErrorKind::Io };
        Self::new(kind, format!("cannot {what}")).with_path(path).with_source(source)
    }

    /// Names the file that the error is about. If a file is named already, that one stays: it is nearer to the cause.
    pub fn with_path(mut self, path: impl AsRef<Path>) -> Self {
        self.0.path.get_or_insert_with(|| path.as_ref().to_owned());
        self
    }

    /// Names the byte in the file. If a byte is named already, that one stays.
    pub fn at(mut self, offset: u64) -> Self {
        self.0.offset.get_or_insert(offset);
        self
    }

    /// Puts in front of the message what was being done or read; file, byte, hint and cause stay.
    pub fn within(mut self, what: impl fmt::Display) -> Self {
        self.0.message = format!("{what}: {}", self.0.message);
        self
    }

    /// Changes the kind. For example, a value that is a mistake in a recipe is damage when it stands in a file.
    pub fn of_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// Says what the user can try.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint.get_or_insert(hint.into());
        self
    }

    /// Says how large the thing that is [too small](ErrorKind::TooSmall) must be.
    pub fn with_needed(mut self, size: ByteSize) -> Self {
        self.0.needed.get_or_insert(size);
        self
    }

    /// Names what is missing, so that a caller can look for it.
    pub fn with_missing(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.0.missing.extend(names);
        self
    }

    /// Adds the cause.
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The message alone, without file and byte.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The file that the error is about.
    pub fn path(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }

    /// The byte in that file.
    pub fn offset(&self) -> Option<u64> {
        self.0.offset
    }

    /// How large the thing that is too small must be.
    pub fn needed(&self) -> Option<ByteSize> {
        self.0.needed
    }

    /// Names of all packages, components and features that are [missing](ErrorKind::Unsatisfied). The message may list
    /// only some.
    pub fn missing(&self) -> &[String] {
        &self.0.missing
    }

    /// What the user can try.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.0.path {
            write!(f, "{}: ", path.display())?;
        }
        f.write_str(&self.0.message)?;
        if let Some(offset) = self.0.offset {
            write!(f, " (at byte {offset:#x})")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        let mut cause = std::error::Error::source(self);
        while let Some(source) = cause {
            write!(f, "\n  caused by: {source}")?;
            cause = source.source();
        }
        match self.hint() {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_file_message_and_byte_but_not_the_source() {
        let error = Error::corrupt("bad magic").at(0x10).with_path("a.wim").with_source("inner");
        assert_eq!(error.to_string(), "a.wim: bad magic (at byte 0x10)");
    }

    #[test]
    fn debug_is_for_people() {
        let cause = std::io::Error::other("the disk is gone");
        let error = Error::io("read", "a.wim", cause).at(16).with_hint("plug it in");
        let text = "a.wim: cannot read (at byte 0x10)\n  caused by: the disk is gone\n  hint: plug it in";
        assert_eq!(format!("{error:?}"), text);
    }

    #[test]
    fn context_leaves_everything_else() {
        let error =
            Error::corrupt("bad").at(1).with_path("f").with_hint("h").with_source("s").with_missing(["m".into()]);
        let error = error.within("line 3").of_kind(ErrorKind::Recipe);
        assert_eq!(error.to_string(), "f: line 3: bad (at byte 0x1)");
        assert_eq!(
            (error.kind(), error.hint(), error.missing()),
            (ErrorKind::Recipe, Some("h"), &["m".to_owned()][..])
        );
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "s");
    }

    #[test]
    fn the_innermost_place_stays() {
        let error = Error::corrupt("x").at(1).at(2).with_path("in").with_path("out");
        assert_eq!((error.offset(), error.path()), (Some(1), Some(Path::new("in"))));
    }
}
