//! Boot files and the BCD store.
