//! A BCD store: objects with elements, stored in a registry hive.

use std::collections::BTreeMap;

pub use super::elements::{element, object_type, well_known};
use super::{BootDevice, Firmware};
use crate::error::{Error, Result};
use crate::registry::{Hive, HiveOptions, KEY_ALL_ACCESS, KeyId, Value, ValueKind, descriptor_for};
use crate::types::{FileTime, Guid};

/// Access rights of Administrators below `Objects` in stores that Windows makes: KEY_READ and WRITE_DAC.
const OBJECTS_ACCESS: u32 = 0x0006_0019;

/// One object of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BcdObject {
    /// [`object_type`].
    pub kind: u32,
    /// Elements by code, as they are in the registry.
    pub elements: BTreeMap<u32, Value>,
}

impl BcdObject {
    /// An object without elements.
    pub fn new(kind: u32) -> Self {
        Self { kind, elements: BTreeMap::new() }
    }

    /// Name in the boot menu.
    pub fn description(&self) -> Option<String> {
        self.string(element::DESCRIPTION)
    }

    /// Path of the program on [`Self::device`].
    pub fn path(&self) -> Option<String> {
        self.string(element::PATH)
    }

    /// Where the program is.
    pub fn device(&self) -> Option<BootDevice> {
        BootDevice::from_bytes(&self.elements.get(&element::DEVICE)?.data)
    }

    /// Where Windows is; in a resume object, where the hibernation file is.
    pub fn os_device(&self) -> Option<BootDevice> {
        BootDevice::from_bytes(&self.elements.get(&element::OS_DEVICE)?.data)
    }

    /// A string.
    pub fn string(&self, code: u32) -> Option<String> {
        self.elements.get(&code)?.text()
    }

    /// An integer.
    pub fn integer(&self, code: u32) -> Option<u64> {
        let data = &self.elements.get(&code).filter(|value| value.kind == ValueKind::BINARY)?.data;
        let mut bytes = [0; 8];
        bytes.get_mut(..data.len())?.copy_from_slice(data);
        Some(u64::from_le_bytes(bytes))
    }

    /// Names of settings that are on and that Secure Boot does not allow: with Secure Boot, bcdedit refuses them
    /// ("BCDEdit /set" and "BCDEdit /debug" on learn.microsoft.com).
    pub fn against_secure_boot(&self) -> Vec<&'static str> {
        const ELEMENTS: [(u32, &str); 4] = [
            (element::TEST_SIGNING, "testsigning"),
            (element::NO_INTEGRITY_CHECKS, "nointegritychecks"),
            (element::BOOT_DEBUG, "bootdebug"),
            (element::KERNEL_DEBUG, "debug"),
        ];
        let is_on = |(code, _): &&(u32, &str)| self.integer(*code).is_some_and(|value| value != 0);
        ELEMENTS.iter().filter(is_on).map(|(_, name)| *name).collect()
    }

    /// The identifier of another object.
    pub fn object(&self, code: u32) -> Option<Guid> {
        self.string(code)?.parse().ok()
    }

    /// Sets a device; [`BootDevice::Other`] cannot be written and changes nothing.
    pub fn set_device(&mut self, code: u32, device: BootDevice) {
        if let Some(bytes) = device.to_bytes() {
            self.elements.insert(code, Value::binary(bytes));
        }
    }

    /// Sets a string.
    pub fn set_string(&mut self, code: u32, text: &str) {
        self.elements.insert(code, Value::sz(text));
    }

    /// Sets a reference to an object.
    pub fn set_object(&mut self, code: u32, id: Guid) {
        self.elements.insert(code, Value::sz(&braced(id)));
    }

    /// Sets a list of references.
    pub fn set_objects(&mut self, code: u32, ids: &[Guid]) {
        self.elements.insert(code, Value::multi_sz(ids.iter().map(|id| braced(*id))));
    }

    /// Sets an integer.
    pub fn set_integer(&mut self, code: u32, number: u64) {
        self.elements.insert(code, Value::binary(number.to_le_bytes()));
    }

    /// Sets a boolean.
    pub fn set_boolean(&mut self, code: u32, value: bool) {
        self.elements.insert(code, Value::binary([value.into()]));
    }
}

/// The objects of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BcdStore {
    /// Objects by identifier.
    pub objects: BTreeMap<Guid, BcdObject>,
}

impl BcdStore {
    /// Reads a store file.
    ///
    /// # Errors
    /// As [`Hive::parse`]; [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) for a hive that is not a store.
    pub fn parse(bytes: Vec<u8>) -> Result<Self> {
        Self::from_hive(&Hive::parse(bytes)?)?
            .ok_or_else(|| Error::corrupt("registry hive is not a BCD store: it has no key `Objects`"))
    }

    /// Reads the store in a hive; `None` if the hive is not a store.
    pub fn from_hive(hive: &Hive) -> Result<Option<Self>> {
        let Some(objects) = hive.find("Objects") else { return Ok(None) };
        let objects = hive.subkeys(objects).into_iter().map(|key| read_object(hive, key));
        Ok(Some(Self { objects: objects.collect::<Result<_>>()? }))
    }

    /// The boot manager's default entry, or else the first entry of its menu.
    pub fn default_entry(&self) -> Option<(Guid, &BcdObject)> {
        let bootmgr = self.objects.get(&well_known::BOOTMGR)?;
        let first = || bootmgr.elements.get(&element::DISPLAY_ORDER)?.texts()?.first()?.parse().ok();
        let id = bootmgr.object(element::DEFAULT).or_else(first)?;
        Some((id, self.objects.get(&id)?))
    }

    /// The store as a file for `firmware`; all times are `time`.
    pub fn to_bytes(&self, firmware: Firmware, time: FileTime) -> Result<Vec<u8>> {
        let file_name = match firmware {
            Firmware::Uefi => r"\EFI\Microsoft\Boot\BCD",
            Firmware::Bios => r"\Boot\BCD",
        };
        let options = HiveOptions::default()
            .minor_version(3)
            .root_name("NewStoreRoot")
            .file_name(file_name)
            .security(descriptor_for(KEY_ALL_ACCESS, false));
        let mut hive = Hive::new(time, &options)?;
        let description = hive.create_key(hive.root(), "Description")?;
        hive.set_value(description, "KeyName", Value::sz("BCD00000000"))?;
        hive.set_value(description, "System", Value::dword(1))?;
        hive.set_value(description, "TreatAsSystem", Value::dword(1))?;
        let objects = hive.create_key(hive.root(), "Objects")?;
        hive.set_security(objects, &descriptor_for(OBJECTS_ACCESS, false))?;
        self.write_changes(&Self::default(), &mut hive)?;
        Ok(hive.into_bytes())
    }

    /// Changes a hive that holds `before` so that it holds this store. Objects and elements that are gone stay in the
    /// hive.
    pub(super) fn write_changes(&self, before: &Self, hive: &mut Hive) -> Result<()> {
        let objects = hive.create_key(hive.root(), "Objects")?;
        // In the order of their text, so that every list grows at its end.
        let sorted: BTreeMap<String, Guid> = self.objects.keys().map(|id| (braced(*id), *id)).collect();
        for (name, id) in sorted {
            let (object, old) = (&self.objects[&id], before.objects.get(&id));
            if old == Some(object) {
                continue;
            }
            let key = hive.create_key(objects, &name)?;
            let description = hive.create_key(key, "Description")?;
            hive.set_value(description, "Type", Value::dword(object.kind))?;
            let elements = hive.create_key(key, "Elements")?;
            for (code, value) in &object.elements {
                if old.is_none_or(|old| old.elements.get(code) != Some(value)) {
                    let key = hive.create_key(elements, &format!("{code:08x}"))?;
                    hive.set_value(key, "Element", value.clone())?;
                }
            }
        }
        Ok(())
    }
}

fn read_object(hive: &Hive, key: KeyId) -> Result<(Guid, BcdObject)> {
    let name = hive.name(key).to_string();
    let bad = |what: &str| Error::corrupt(format!("BCD object `{name}` {what}"));
    let id = name.parse().map_err(|_| bad("does not have a GUID as its name"))?;
    let kind = hive.find_from(key, "Description").and_then(|key| hive.value(key, "Type")?.as_dword());
    let mut object = BcdObject::new(kind.ok_or_else(|| bad("has no type"))?);
    for element in hive.find_from(key, "Elements").map(|key| hive.subkeys(key)).unwrap_or_default() {
        let name = hive.name(element).to_string();
        let code = u32::from_str_radix(&name, 16).ok().filter(|_| name.len() == 8);
        let code = code.ok_or_else(|| bad(&format!("has an element `{name}`, which is not a code")))?;
        let value = hive.value(element, "Element").ok_or_else(|| bad(&format!("has an empty element {name}")))?;
        object.elements.insert(code, value);
    }
    Ok((id, object))
}

fn braced(id: Guid) -> String {
    format!("{{{id}}}")
}
