//! Registry hives (regf).
