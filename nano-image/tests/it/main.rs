//! Tests of the library as its users call it, and by the programs of others. One binary: one link, one build.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a test runs programs")]

mod judge;
mod support;

mod architecture;
mod boot_code;
mod build;
mod cab;
mod check;
mod circles;
mod compact;
mod configure;
mod containers;
mod delta;
mod differencing;
mod driver;
mod extract;
mod fat;
mod inspect;
mod iso;
mod media;
mod ntfs;
mod ntfs_read;
mod packages;
mod partitions;
mod properties;
mod readback;
mod surface;
mod verify;
mod verify_disks;
mod verify_random;
mod wim;
