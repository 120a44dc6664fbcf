//! Hosts: what a machine of each needs of an image, and whether the image has it.
//!
//! A host decides what the recipe leaves open, writes its settings into the registry, and checks what cannot be set:
//! that drivers for its disk and its network adapter are there and start in time.
//!
//! Sources: "Prepare a Windows VHD or VHDX to upload to Azure", "SAC and EMS" and "Identifiers for PCI devices" on
//! learn.microsoft.com; Cloud Hypervisor's page on Windows; what virt-v2v writes.

mod azure;
mod check;
mod devices;
mod kind;
#[cfg(test)]
mod tests;

pub use check::{CODE, check};
pub use kind::Host;
