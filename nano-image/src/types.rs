//! Values whose unit or encoding is in the type.

mod architecture;
pub(crate) mod form;
mod guid;
mod name;
mod nearest;
mod printable;
mod size;
mod size_text;
mod table;
pub mod text;
mod time;
pub mod upcase;
mod windows_name;

pub use architecture::Architecture;
pub use guid::Guid;
pub use name::Utf16Name;
pub use nearest::nearest;
pub use printable::{is_shown, printable};
pub use size::{ByteSize, DiskOffset, FileOffset, Lba, Lcn, Vcn, VolumeOffset};
pub use table::table;
pub use time::FileTime;
pub(crate) use windows_name::windows_name_fault;
