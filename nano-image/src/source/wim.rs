//! Windows Imaging Format.
