//! Device elements of a BCD store.
//!
//! Layout: the GUID (16 bytes) of an object with more options, then a device: its type, flags and size (counted from
//! the type on) as `u32` each, a reserved `u32`, and a body that depends on the type. All little-endian.

use super::elements::element;
use super::{BcdDevice, PartitionIds};
use crate::types::{DiskOffset, Guid};

const OPTIONS_LEN: usize = 16;
const TYPE_BOOT: u32 = 5;
const TYPE_PARTITION: u32 = 6;
const TYPE_LOCATE: u32 = 8;
/// Length of a boot or partition device, including options.
const QUALIFIED_LEN: usize = 88;
/// Length of a locate device without a parent, including options.
const LOCATE_LEN: usize = 46;
const SCHEME_GPT: u32 = 0;
const SCHEME_MBR: u32 = 1;

/// A device that a BCD store names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BootDevice {
    /// The partition from which the firmware started.
    Boot,
    /// A partition of a GPT disk.
    Gpt {
        /// Disk GUID.
        disk: Guid,
        /// Unique GUID of the partition.
        partition: Guid,
    },
    /// A partition of an MBR disk.
    Mbr {
        /// Disk signature.
        signature: u32,
        /// Start of the partition.
        offset: DiskOffset,
    },
    /// The volume that contains the file named by the element with this code.
    Locate {
        /// Code of a path element of the same object.
        element: u32,
    },
    /// Another kind, by its type: RAM disk, file, network …
    Other {
        /// Device type.
        kind: u32,
    },
}

impl BootDevice {
    /// The device of the boot manager's partition.
    pub(super) fn system(device: &BcdDevice) -> Self {
        match *device {
            BcdDevice::Locate => Self::Boot,
            BcdDevice::Partition(PartitionIds::Gpt { disk, system, .. }) => Self::Gpt { disk, partition: system },
            BcdDevice::Partition(PartitionIds::Mbr { signature, system, .. }) => {
                Self::Mbr { signature, offset: system }
            }
        }
    }

    /// The device of the Windows partition, which contains the file named by the element `path`.
    pub(super) fn windows(device: &BcdDevice, path: u32) -> Self {
        match *device {
            BcdDevice::Locate => Self::Locate { element: path },
            BcdDevice::Partition(PartitionIds::Gpt { disk, windows, .. }) => Self::Gpt { disk, partition: windows },
            BcdDevice::Partition(PartitionIds::Mbr { signature, windows, .. }) => {
                Self::Mbr { signature, offset: windows }
            }
        }
    }

    /// The bytes of the element; `None` for [`Self::Other`].
    pub fn to_bytes(self) -> Option<Vec<u8>> {
        let (kind, len) = match self {
            Self::Boot => (TYPE_BOOT, QUALIFIED_LEN),
            Self::Gpt { .. } | Self::Mbr { .. } => (TYPE_PARTITION, QUALIFIED_LEN),
            Self::Locate { .. } => (TYPE_LOCATE, LOCATE_LEN),
            Self::Other { .. } => return None,
        };
        let mut bytes = vec![0; len];
        let mut put = |at: usize, part: &[u8]| bytes[at..at + part.len()].copy_from_slice(part);
        put(0x10, &kind.to_le_bytes());
        put(0x18, &((len - OPTIONS_LEN) as u32).to_le_bytes());
        match self {
            Self::Gpt { disk, partition } => {
                put(0x20, &partition.to_bytes());
                put(0x34, &SCHEME_GPT.to_le_bytes());
                put(0x38, &disk.to_bytes());
            }
            Self::Mbr { signature, offset } => {
                put(0x20, &offset.0.to_le_bytes());
                put(0x34, &SCHEME_MBR.to_le_bytes());
                put(0x38, &signature.to_le_bytes());
            }
            // 0x20: locate by element; 0x28: no parent.
            Self::Locate { element } => put(0x24, &element.to_le_bytes()),
            Self::Boot | Self::Other { .. } => {}
        }
        Some(bytes)
    }

    /// The device in the bytes of an element; `None` if they are too short.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let guid = |at: usize| Some(Guid::from_bytes(bytes.get(at..at + 16)?.try_into().ok()?));
        let kind = word(0x10)?;
        Some(match (kind, word(0x30), word(0x34)) {
            (TYPE_BOOT, ..) => Self::Boot,
            (TYPE_PARTITION, Some(0), Some(SCHEME_GPT)) => Self::Gpt { partition: guid(0x20)?, disk: guid(0x38)? },
            (TYPE_PARTITION, Some(0), Some(SCHEME_MBR)) => {
                let offset = u64::from(word(0x24)?) << 32 | u64::from(word(0x20)?);
                Self::Mbr { signature: word(0x38)?, offset: DiskOffset(offset) }
            }
            (TYPE_LOCATE, ..) if word(0x20)? == 0 => Self::Locate { element: word(0x24)? },
            _ => Self::Other { kind },
        })
    }
}

/// The path element by which a locate device in `device_element` searches.
pub(super) fn searched_path(device_element: u32) -> u32 {
    if device_element == element::DEVICE { element::PATH } else { element::SYSTEM_ROOT }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_the_documented_bytes() {
        let (disk, partition) = (Guid::from_bytes([1; 16]), Guid::from_bytes([2; 16]));
        let gpt = BootDevice::Gpt { disk, partition };
        let mbr = BootDevice::Mbr { signature: 0xDDBA_6BBB, offset: DiskOffset(0x10_0000) };
        let locate = BootDevice::Locate { element: 0x2200_0002 };
        for device in [gpt, mbr, locate, BootDevice::Boot] {
            assert_eq!(BootDevice::from_bytes(&device.to_bytes().unwrap()), Some(device));
        }
        let bytes = gpt.to_bytes().unwrap();
        assert_eq!((bytes.len(), bytes[0x10], bytes[0x18], bytes[0x34]), (88, 6, 0x48, 0));
        assert_eq!((bytes[0x20], bytes[0x2F], bytes[0x38], bytes[0x47]), (2, 2, 1, 1));
        let bytes = mbr.to_bytes().unwrap();
        assert_eq!((bytes[0x22], bytes[0x34], &bytes[0x38..0x3C]), (0x10, 1, &[0xBB, 0x6B, 0xBA, 0xDD][..]));
        let bytes = locate.to_bytes().unwrap();
        assert_eq!((bytes.len(), bytes[0x10], bytes[0x18], &bytes[0x24..0x28]), (46, 8, 0x1E, &[2, 0, 0, 0x22][..]));
        assert_eq!(BootDevice::from_bytes(&bytes[..18]), None);
    }
}
