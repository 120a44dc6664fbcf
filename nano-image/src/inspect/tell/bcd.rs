//! Boot configuration in words, with the names of bcdedit.

use super::value;
use crate::inspect::model::{BootDevice, BootDeviceKind, Partition, PartitionTable};
use crate::registry::Value;
use crate::types::Guid;
use crate::windows::boot::bcd::{BcdObject, object_type, well_known};
use crate::windows::boot::{BootDevice as Device, names};

/// Names of well-known objects, which all stores share.
const OBJECTS: [(Guid, &str); 11] = [
    (well_known::BOOTMGR, "{bootmgr}"),
    (well_known::MEMDIAG, "{memdiag}"),
    (well_known::GLOBAL_SETTINGS, "{globalsettings}"),
    (well_known::BOOT_LOADER_SETTINGS, "{bootloadersettings}"),
    (well_known::RESUME_LOADER_SETTINGS, "{resumeloadersettings}"),
    (well_known::DEBUGGER_SETTINGS, "{dbgsettings}"),
    (well_known::EMS_SETTINGS, "{emssettings}"),
    (well_known::BAD_MEMORY, "{badmemory}"),
    (well_known::HYPERVISOR_SETTINGS, "{hypervisorsettings}"),
    (well_known::NTLDR, "{ntldr}"),
    (well_known::TARGET_EFI, "{target-template-efi}"),
];

/// Name of the element with `code` in an object of type `kind`.
pub(crate) fn element_name(kind: u32, code: u32) -> String {
    names::name(kind, code).map_or_else(|| format!("custom:{code:08x}"), str::to_owned)
}

/// Name of a type of objects.
pub(crate) fn kind_name(kind: u32) -> String {
    let name = match kind {
        object_type::BOOT_MANAGER => "boot manager",
        object_type::OS_LOADER => "loader",
        object_type::RESUME => "resume from hibernation",
        object_type::MEMORY_TESTER => "memory tester",
        object_type::INHERIT_ANY => "settings",
        object_type::INHERIT_OS_LOADER => "loader settings",
        object_type::INHERIT_RESUME => "resume settings",
        0x1010_0001 => "firmware boot manager",
        0x1030_0006 => "legacy loader",
        0x1010_FFFD | 0x3000_0000 => "device options",
        other => return format!("type {other:#010x}"),
    };
    name.to_owned()
}

/// An identifier, or its name if it is well known.
pub(crate) fn object_name(id: Guid) -> String {
    let known = OBJECTS.iter().find(|(known, _)| *known == id);
    known.map_or_else(|| format!("{{{id}}}"), |(_, name)| (*name).to_owned())
}

/// The value of an element in words.
pub(crate) fn element_value(code: u32, value: &Value, object: &BcdObject, table: &PartitionTable) -> String {
    let named = |text: &str| text.parse().map_or_else(|_| text.to_owned(), object_name);
    let text = match code >> 24 & 0xF {
        1 => Device::from_bytes(&value.data).map(|found| device(found, object, table).text),
        2 => value.text(),
        3 => value.text().map(|text| named(&text)),
        4 => value.texts().map(|texts| texts.iter().map(|text| named(text)).collect::<Vec<_>>().join(", ")),
        5 => object.integer(code).map(|number| {
            let meaning = usize::try_from(number).ok().and_then(|number| names::meanings(code).get(number));
            meaning.map_or_else(|| number.to_string(), |meaning| (*meaning).to_owned())
        }),
        6 => value.data.first().map(|&byte| if byte == 0 { "No" } else { "Yes" }.to_owned()),
        7 => {
            let numbers = value.data.chunks_exact(8);
            let numbers = numbers.map(|number| u64::from_le_bytes(number.try_into().expect("8 bytes")));
            Some(numbers.map(|number| format!("{number:#x}")).collect::<Vec<_>>().join(", "))
        }
        _ => None,
    };
    text.unwrap_or_else(|| value::text(value))
}

/// A device, with the number of the partition if it is on this disk.
pub(crate) fn device(device: Device, object: &BcdObject, table: &PartitionTable) -> BootDevice {
    let named = |disk: String, text: String, is: &dyn Fn(&Partition) -> bool| {
        let partition = table.partitions.iter().find(|partition| is(partition)).map(|partition| partition.number);
        let this_disk = table.disk_id.as_deref() == Some(&disk);
        let text = match partition {
            Some(number) if this_disk => format!("partition {number}"),
            Some(number) => format!("partition {number}, but of disk {disk}, which is not this one"),
            None if this_disk => format!("{text} of this disk, which it does not have"),
            None => format!("{text} of disk {disk}, which is not this one"),
        };
        BootDevice { kind: BootDeviceKind::Partition, partition: partition.filter(|_| this_disk), text }
    };
    match device {
        Device::Boot => BootDevice { kind: BootDeviceKind::Boot, partition: None, text: "boot".to_owned() },
        Device::Gpt { disk, partition } => {
            let guid = partition.to_string();
            named(disk.to_string(), format!("partition {guid}"), &|known| known.guid.as_ref() == Some(&guid))
        }
        Device::Mbr { signature, offset } => {
            let text = format!("the partition at byte {}", offset.0);
            named(format!("{signature:08x}"), text, &|known| known.start == offset.0)
        }
        Device::Locate { element } => {
            let path = object.string(element).unwrap_or_else(|| format!("the path in element {element:08x}"));
            BootDevice { kind: BootDeviceKind::Locate, partition: None, text: format!("locate {path}") }
        }
        Device::Other { kind } => {
            BootDevice { kind: BootDeviceKind::Other, partition: None, text: format!("device of type {kind}") }
        }
    }
}
