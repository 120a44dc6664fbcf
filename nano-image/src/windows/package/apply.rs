//! Puts components into an image.
