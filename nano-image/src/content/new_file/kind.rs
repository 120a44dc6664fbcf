//! What can have a name in a folder.

/// What is at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Regular,
    Folder,
    Link,
    Other,
}
