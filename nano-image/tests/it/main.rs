//! Tests of the library as its users call it, and by the programs of others. One binary: one link, one build.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a test runs programs")]

#[cfg_attr(windows, allow(dead_code, reason = "it is for tests that Windows cannot run"))]
mod judge;
#[cfg_attr(windows, allow(dead_code, reason = "it is for tests that Windows cannot run"))]
mod support;

// These need nothing but the library.
mod answer;
mod architecture;
mod build;
mod circles;
mod compare;
mod delta;
mod properties;
mod surface;
mod wim;

// Judged by, or made with, programs that Windows has not.
#[cfg(unix)]
mod boot_code;
#[cfg(unix)]
mod cab;
#[cfg(unix)]
mod compact;
#[cfg(unix)]
mod configure;
#[cfg(unix)]
mod containers;
#[cfg(unix)]
mod differencing;
#[cfg(unix)]
mod disk_source;
#[cfg(unix)]
mod driver;
#[cfg(unix)]
mod driver_samples;
#[cfg(unix)]
mod extract;
#[cfg(unix)]
mod fat;
#[cfg(unix)]
mod inspect;
#[cfg(unix)]
mod iso;
#[cfg(unix)]
mod media;
#[cfg(unix)]
mod memory;
#[cfg(unix)]
mod ntfs;
#[cfg(unix)]
mod ntfs_read;
#[cfg(unix)]
mod packages;
#[cfg(unix)]
mod partitions;
#[cfg(unix)]
mod readback;
#[cfg(unix)]
mod sectors;
#[cfg(unix)]
mod verify;
#[cfg(unix)]
mod verify_disks;
#[cfg(unix)]
mod verify_random;

/// What is left out above says so.
#[cfg(windows)]
#[test]
fn modules_that_windows_cannot_run() {
    for rest in include_str!("main.rs").split("#[cfg(unix)]\nmod ").skip(1) {
        let module = rest.split(';').next().unwrap();
        assert!(!fixtures::outside::programs(&format!("judges of Linux, in all of {module}")));
    }
}
