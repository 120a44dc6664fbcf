//! Other programs read what this room writes.
