//! How a caller follows and stops the work.

use crate::types::ByteSize;

/// A step of a build, in order.
///
/// ```
/// assert_eq!(nano_image::Phase::Write.name(), "write");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Phase {
    /// Sources are opened and their metadata is read.
    Read,
    /// The contents of the disk are decided.
    Plan,
    /// Every byte gets its address.
    Layout,
    /// The image is written.
    Write,
    /// The image is flushed to storage.
    Flush,
}

impl Phase {
    /// One lower-case word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Plan => "plan",
            Self::Layout => "layout",
            Self::Write => "write",
            Self::Flush => "flush",
        }
    }
}

/// Receives progress. It is called only from the thread that runs the build.
///
/// ```
/// use nano_image::{ByteSize, Observer, Phase};
///
/// struct Lines;
///
/// impl Observer for Lines {
///     fn begin(&self, phase: Phase, total: Option<ByteSize>) {
///         println!("{} {}", phase.name(), total.unwrap_or_default());
///     }
/// }
/// ```
pub trait Observer: Sync {
    /// `phase` begins; it will process `total` bytes of content where that is known.
    fn begin(&self, _phase: Phase, _total: Option<ByteSize>) {}

    /// `done` bytes of the current phase are processed.
    fn advance(&self, _done: ByteSize) {}

    /// Something that the user should know and that does not stop the build.
    fn warn(&self, _message: &str) {}

    /// Asked often; `true` stops the build with [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled).
    fn cancelled(&self) -> bool {
        false
    }
}

/// An [`Observer`] that ignores everything.
impl Observer for () {}
