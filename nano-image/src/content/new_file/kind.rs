//! Kinds of entries of a folder.

/// What a name in a folder leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Regular,
    Folder,
    Link,
    Other,
}
