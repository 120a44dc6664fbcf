//! Boot entries that start the recovery environment from its own partition.
//!
//! Layout of the device in a store of Windows 10: GUID (16 bytes) of the object with the options, a device of type 0
//! with flags 1, its kind (3: a file as RAM disk), 20 bytes of zeros; then a path of version 1 with its length and its
//! kind (5), the partition's device, and the name of the file. All little-endian.

use super::BootDevice;
use super::bcd::{BcdObject, BcdStore, element, object_type, well_known};
use crate::identity::Seed;
use crate::registry::Value;
use crate::types::Guid;

/// Folder of the environment on its partition.
pub const FOLDER: &str = r"\Recovery\WindowsRE";
/// Files in it: the image, and the file from which a RAM disk is made.
pub const IMAGE: &str = "Winre.wim";
pub const RAM_DISK: &str = "boot.sdi";

/// Type of objects that hold options of devices.
const DEVICE_OPTIONS: u32 = 0x3000_0000;
const RECOVERY_SEQUENCE: u32 = 0x1400_0008;
const RECOVERY_ENABLED: u32 = 0x1600_0009;
/// What the boot manager shows while it loads an entry, and what it shows instead; 3 means recovery.
const DISPLAY_MESSAGE: u32 = 0x1500_0065;
const DISPLAY_MESSAGE_OVERRIDE: u32 = 0x1500_0066;
const RECOVERY_MESSAGE: u64 = 3;
const WINPE: u32 = 0x2600_0022;
/// bcdedit has no name for it; stores of Windows have it in this entry.
pub(super) const RECOVERY_MARK: u32 = 0x4600_0010;
const RAM_DISK_DEVICE: u32 = 0x3100_0003;
const RAM_DISK_PATH: u32 = 0x3200_0004;

/// Identifier of the entry.
pub fn entry_id(seed: &Seed) -> Guid {
    seed.guid("bcd/recovery")
}

/// Adds the entry for the environment on `partition`, and makes `windows`, the entries of Windows, refer to it.
pub(super) fn add(store: &mut BcdStore, windows: &[Guid], partition: BootDevice, seed: &Seed, locale: &str) {
    let (id, options_id) = (entry_id(seed), seed.guid("bcd/recovery options"));
    let mut options = BcdObject::new(DEVICE_OPTIONS);
    options.set_string(element::DESCRIPTION, "Windows Recovery");
    options.set_device(RAM_DISK_DEVICE, partition);
    options.set_string(RAM_DISK_PATH, &format!(r"{FOLDER}\{RAM_DISK}"));
    store.objects.insert(options_id, options);

    let mut entry = BcdObject::new(object_type::OS_LOADER);
    let device = Value::binary(device(options_id, partition));
    entry.elements.insert(element::DEVICE, device.clone());
    entry.elements.insert(element::OS_DEVICE, device);
    let extension = if matches!(partition, BootDevice::Mbr { .. }) { "exe" } else { "efi" };
    entry.set_string(element::PATH, &format!(r"\windows\system32\winload.{extension}"));
    entry.set_string(element::DESCRIPTION, "Windows Recovery Environment");
    entry.set_string(element::LOCALE, locale);
    entry.set_objects(element::INHERIT, &[well_known::BOOT_LOADER_SETTINGS]);
    entry.set_integer(DISPLAY_MESSAGE, RECOVERY_MESSAGE);
    entry.set_string(element::SYSTEM_ROOT, r"\windows");
    entry.set_integer(element::NX, 0);
    entry.set_integer(element::BOOT_MENU_POLICY, 1);
    entry.set_boolean(WINPE, true);
    entry.set_boolean(RECOVERY_MARK, true);
    store.objects.insert(id, entry);

    for object in store.objects.iter_mut().filter(|(id, _)| windows.contains(id)).map(|(_, object)| object) {
        object.set_objects(RECOVERY_SEQUENCE, &[id]);
        object.set_integer(DISPLAY_MESSAGE_OVERRIDE, RECOVERY_MESSAGE);
        // If it is switched off already, that was intended.
        object.elements.entry(RECOVERY_ENABLED).or_insert_with(|| Value::binary([1]));
    }
}

/// The file of the environment on `partition` as a RAM disk.
fn device(options: Guid, partition: BootDevice) -> Vec<u8> {
    let text = format!(r"{FOLDER}\{IMAGE}");
    let name: Vec<u8> = text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
    // A partition device has no options here.
    let partition = partition.to_bytes().unwrap_or_default();
    let parent = partition.get(16..).unwrap_or_default();
    let path_len = (12 + parent.len() + name.len()) as u32;
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let path = [words(&[1, path_len, 5]), parent.to_vec(), name].concat();
    let body = [words(&[3, 0, 0, 0, 0, 0]), path].concat();
    let head = words(&[0, 1, 16 + body.len() as u32, 0]);
    [options.to_bytes().to_vec(), head, body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made from an element of a store of Windows 10, with other GUIDs.
    #[test]
    fn the_device_has_the_bytes_of_a_store_of_windows() {
        let partition = BootDevice::Gpt { disk: Guid::from_bytes([2; 16]), partition: Guid::from_bytes([3; 16]) };
        let bytes = device(Guid::from_bytes([1; 16]), partition);
        assert_eq!(bytes.len(), 200);
        let expected = format!(
            "{}00000000 01000000 b8000000 00000000 03000000 {}01000000 90000000 05000000 06000000 00000000 48000000 \
             00000000 {}0000000000000000 {}{}{}",
            "01".repeat(16),
            "00".repeat(20),
            "03".repeat(16),
            "02".repeat(16),
            "00".repeat(16),
            r"\Recovery\WindowsRE\Winre.wim".chars().map(|c| format!("{:02x}00", c as u8)).collect::<String>() + "0000"
        );
        assert_eq!(hex::encode(bytes), expected.replace(' ', ""));
    }
}
