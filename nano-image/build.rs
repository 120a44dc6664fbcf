//! Keeps second builds fresh.
//!
//! The build script of `wimlib-sys` 0.3.1 watches a header that it installs itself, so cargo sees the header
//! change in every build and rebuilds libwim and everything above it. Dating the header back breaks the loop.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

#[allow(clippy::disallowed_methods)] // cargo speaks to build scripts through the environment
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let out = std::env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    // OUT_DIR is build/nano-image-<hash>/out; the sibling packages' folders lie two levels up.
    let Some(build) = Path::new(&out).ancestors().nth(2) else { return };
    let Ok(packages) = std::fs::read_dir(build) else { return };
    for package in packages.flatten() {
        if package.file_name().to_string_lossy().starts_with("wimlib-sys-") {
            let header = package.path().join("out/include/wimlib.h");
            if let Ok(file) = File::options().append(true).open(header) {
                // A failure only costs time in the next build.
                let _ = file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000));
            }
        }
    }
}
