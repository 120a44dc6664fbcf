//! ntfs
