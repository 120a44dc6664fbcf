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
mod identifiers;
#[cfg(unix)]
mod launch;
mod lint;
mod machine;
#[cfg(unix)]
mod outputs;
mod packages;
mod readback;
mod recipe;
mod reports;
mod servicing;
mod verify;
