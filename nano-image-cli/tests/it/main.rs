//! Tests of the program as its users start it. One binary: one link, one build.

mod support;

mod about;
mod cases;
mod cli;
mod clone;
mod compact;
mod disk;
mod errors;
mod first_boot;
mod hosts;
mod hosts_read;
mod identifiers;
#[cfg(unix)]
mod launch;
mod lint;
mod machine;
mod manifests;
#[cfg(unix)]
mod outputs;
mod packages;
mod readback;
mod recipe;
mod reports;
mod servicing;
mod verify;

/// What is left out above says so.
#[cfg(windows)]
#[test]
fn modules_that_windows_cannot_run() {
    for rest in include_str!("main.rs").split("#[cfg(unix)]\nmod ").skip(1) {
        let module = rest.split(';').next().unwrap();
        assert!(!fixtures::outside::programs(&format!("shells, pipes and signals of Unix, in all of {module}")));
    }
}
