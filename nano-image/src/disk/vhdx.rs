//! vhdx
