//! Hosts: what their machines need in an image, and whether the image has it.
//!
//! A host decides what the recipe leaves open, and writes its settings to the registry. What cannot be set is checked:
//! that there are drivers for its disk and its network adapter, and that they start in time.
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
