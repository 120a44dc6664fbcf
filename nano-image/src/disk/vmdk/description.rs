//! The text in a VMDK file that describes it.

use crate::error::Error;
use crate::types::ByteSize;

/// Heads and sectors per track that VMware gives to SCSI disks.
const GEOMETRY: [u64; 2] = [255, 63];

/// The error for more data than 32-bit tables can describe.
pub(super) fn too_much(disk_size: ByteSize) -> Error {
    Error::recipe(format!("a VMDK cannot hold so much of a disk of {disk_size}"))
        .with_hint("choose another format, e.g. VHDX or qcow2")
}

/// What virtual machines read about the disk. `{name}` stands for the name of the file. `content` changes with the
/// bytes, and is never one of the numbers with a special meaning.
pub(super) fn description(kind: &str, capacity: u64, content: u32) -> String {
    let content = content & 0x7FFF_FFFF;
    let [heads, sectors] = GEOMETRY;
    let cylinders = capacity / (heads * sectors);
    format!(
        "# Disk DescriptorFile\n\
         version=1\n\
         CID={content:08x}\n\
         parentCID=ffffffff\n\
         createType=\"{kind}\"\n\
         \n\
         # Extent description\n\
         RW {capacity} SPARSE \"{{name}}\"\n\
         \n\
         # The Disk Data Base\n\
         #DDB\n\
         \n\
         ddb.adapterType = \"lsilogic\"\n\
         ddb.geometry.cylinders = \"{cylinders}\"\n\
         ddb.geometry.heads = \"{heads}\"\n\
         ddb.geometry.sectors = \"{sectors}\"\n\
         ddb.virtualHWVersion = \"4\"\n"
    )
}
