//! What is known about Windows. This room edits trees and hives, and knows no layout.

pub mod answer;
pub mod boot;
pub mod boot_chain;
pub mod boot_code;
pub mod compact;
pub mod configure;
pub mod contents;
pub mod disk_source;
pub mod driver;
pub mod edit;
pub mod host;
pub mod media;
pub mod package;
pub mod program;
pub mod recovery;
mod remote_desktop;
