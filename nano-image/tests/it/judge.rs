//! Foreign tools that judge what the library writes. A missing tool is a failure.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs `tool`, which must end with exit code 0, and returns what it printed.
pub fn run(tool: &str, args: &[&str]) -> String {
    let mut path = std::env::var("PATH").unwrap_or_default();
    path.push_str(":/usr/sbin:/sbin");
    let output = Command::new(tool)
        .args(args)
        .env("PATH", path)
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap_or_else(|error| panic!("{tool}: {error}; scripts/install-deps installs it"));
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{tool} {args:?}: {}\n{text}", output.status);
    text
}

/// A path for an image that a test makes; it stays, so that one can look at it.
pub fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Lets everything that reads NTFS without a mount look at a volume in a file of its own.
pub fn ntfs_volume(image: &Path) {
    ntfs_volume_of_large_sectors(image);
    ntfs_tool("7zz", &["t", "-tntfs", image.to_str().expect("a UTF-8 path")]);
}

/// The same without 7-Zip, which opens no volume with sectors of 4096 bytes, whoever made it.
pub fn ntfs_volume_of_large_sectors(image: &Path) {
    let path = image.to_str().expect("a UTF-8 path");
    ntfs_tool("ntfsfix", &["-n", path]);
    ntfs_tool("ntfsinfo", &["-m", path]);
    ntfs_tool("ntfscluster", &["-i", path]);
    let clone = image.with_extension("clone");
    ntfs_tool("ntfsclone", &["-m", "-O", clone.to_str().expect("a UTF-8 path"), path]);
    std::fs::remove_file(clone).expect("ntfsclone made it");
    let audit = run("ntfssecaudit", &["-a", path]);
    assert!(audit.contains("No errors were found"), "ntfssecaudit: {audit}");
    ntfs_tool("fls", &["-r", "-p", path]);
}

fn ntfs_tool(tool: &str, args: &[&str]) {
    let text = run(tool, args);
    for word in ["ERROR", "FAILED", "corrupt", "inconsist", "mismatch", "not referenced", "rror:"] {
        assert!(!text.contains(word), "{tool}: {text}");
    }
}
