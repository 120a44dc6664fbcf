//! Debugging, emergency management and the like in a BCD store.

use std::net::Ipv4Addr;

use super::bcd::{BcdObject, BcdStore, element, object_type, well_known};
use super::template::TEMPLATE;
use crate::content::BlobStore;
use crate::error::{Error, Result};
use crate::registry::Hive;
use crate::tree::FileTree;
use crate::types::{FileTime, Guid};

/// How a kernel debugger is connected.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DebugTransport {
    /// A serial port.
    Serial {
        /// 1 for COM1.
        port: u8,
        /// Bits a second.
        baud: u32,
    },
    /// FireWire.
    Ieee1394 {
        /// 0 to 62.
        channel: u8,
    },
    /// USB.
    Usb {
        /// Name that the debugger uses.
        target: String,
    },
    /// The network (KDNET).
    Net {
        /// Address of the debugger.
        host: Ipv4Addr,
        /// UDP port, 49152 or more by convention.
        port: u16,
        /// Four words of letters and digits with dots between.
        key: String,
        /// `bus.device.function` of the adapter, if Windows should not choose.
        bus: Option<String>,
    },
}

/// Emergency Management Services on a serial port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ems {
    /// 1 for COM1.
    pub port: u8,
    /// Bits a second.
    pub baud: u32,
}

/// What a recipe changes in the boot settings; the default changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootSettings {
    /// Debug the kernel, the loader and the boot manager.
    pub debug: Option<DebugTransport>,
    /// Emergency Management Services.
    pub ems: Option<Ems>,
    /// Load drivers with test signatures.
    pub test_signing: bool,
    /// Start the hypervisor with Windows (`hypervisorlaunchtype Auto`), as the Hyper-V role needs.
    pub hypervisor: bool,
}

impl BootSettings {
    /// Puts the settings into `store`; `loaders` are its entries or patterns of Windows.
    pub(super) fn apply(&self, store: &mut BcdStore, loaders: &[Guid]) -> Result<()> {
        use element::*;
        let mut edit = |id: Guid, kind: u32, change: &dyn Fn(&mut BcdObject)| {
            change(store.objects.entry(id).or_insert(BcdObject::new(kind)));
        };
        if let Some(transport) = &self.debug {
            transport.check()?;
            edit(well_known::DEBUGGER_SETTINGS, object_type::INHERIT_ANY, &|object| transport.set(object));
            edit(well_known::BOOTMGR, object_type::BOOT_MANAGER, &|object| object.set_boolean(BOOT_DEBUG, true));
        }
        if let Some(ems) = self.ems {
            edit(well_known::EMS_SETTINGS, object_type::INHERIT_ANY, &|object| {
                object.set_integer(EMS_PORT, ems.port.into());
                object.set_integer(EMS_BAUD_RATE, ems.baud.into());
            });
            edit(well_known::BOOTMGR, object_type::BOOT_MANAGER, &|object| object.set_boolean(BOOT_EMS, true));
        }
        for loader in loaders {
            edit(*loader, object_type::OS_LOADER, &|object| {
                let flags = [
                    (self.debug.is_some(), BOOT_DEBUG),
                    (self.debug.is_some(), KERNEL_DEBUG),
                    (self.ems.is_some(), BOOT_EMS),
                    (self.ems.is_some(), KERNEL_EMS),
                    (self.test_signing, TEST_SIGNING),
                ];
                for (_, code) in flags.iter().filter(|(wanted, _)| *wanted) {
                    object.set_boolean(*code, true);
                }
                if self.hypervisor {
                    object.set_integer(HYPERVISOR_LAUNCH_TYPE, 1);
                }
            });
        }
        Ok(())
    }
}

impl DebugTransport {
    fn set(&self, object: &mut BcdObject) {
        use element::*;
        match self {
            Self::Serial { port, baud } => {
                object.set_integer(DEBUG_TYPE, 0);
                object.set_integer(DEBUG_PORT, (*port).into());
                object.set_integer(DEBUG_BAUD_RATE, (*baud).into());
            }
            Self::Ieee1394 { channel } => {
                object.set_integer(DEBUG_TYPE, 1);
                object.set_integer(DEBUG_CHANNEL, (*channel).into());
            }
            Self::Usb { target } => {
                object.set_integer(DEBUG_TYPE, 2);
                object.set_string(DEBUG_TARGET, target);
            }
            Self::Net { host, port, key, bus } => {
                object.set_integer(DEBUG_TYPE, 3);
                object.set_integer(DEBUG_HOST, u32::from(*host).into());
                object.set_integer(DEBUG_HOST_PORT, (*port).into());
                object.set_string(DEBUG_KEY, key);
                object.set_boolean(DEBUG_DHCP, true);
                if let Some(bus) = bus {
                    object.set_string(DEBUG_BUS, bus);
                }
            }
        }
    }

    /// A key that Windows cannot read would leave the machine without a debugger and without a word.
    fn check(&self) -> Result<()> {
        let Self::Net { key, .. } = self else { return Ok(()) };
        let words: Vec<&str> = key.split('.').collect();
        let good =
            |word: &&str| word.bytes().all(|b| b.is_ascii_alphanumeric()) && u64::from_str_radix(word, 36).is_ok();
        if words.len() != 4 || !words.iter().all(good) {
            return Err(Error::recipe(format!("`{key}` is not a key for network debugging")).with_hint(
                "write four words of letters and digits with dots between, as `bcdedit /dbgsettings` shows",
            ));
        }
        Ok(())
    }
}

/// Puts the settings into the BCD template of the image too, so that a later bcdboot on the running machine keeps
/// them. `false` when the image has no template that is a store.
pub fn edit_template(
    tree: &mut FileTree,
    blobs: &dyn BlobStore,
    settings: &BootSettings,
    time: FileTime,
) -> Result<bool> {
    let in_template = |error: Error| error.with_path(TEMPLATE);
    let Some(mut hive) = Hive::open(tree, blobs, TEMPLATE)? else { return Ok(false) };
    let Some(before) = BcdStore::from_hive(&hive).map_err(in_template)? else { return Ok(false) };
    let mut after = before.clone();
    let patterns = [well_known::TARGET_EFI, well_known::TARGET_PCAT];
    let present: Vec<Guid> = patterns.into_iter().filter(|id| before.objects.contains_key(id)).collect();
    settings.apply(&mut after, &present)?;
    hive.set_time(time);
    after.write_changes(&before, &mut hive).map_err(in_template)?;
    hive.save(tree, TEMPLATE)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(key: &str) -> BootSettings {
        let key = key.into();
        let debug = DebugTransport::Net { host: Ipv4Addr::new(10, 0, 0, 1), port: 50_000, key, bus: None };
        BootSettings { debug: Some(debug), ..BootSettings::default() }
    }

    #[test]
    fn network_debugging_is_set_in_all_objects() {
        let (mut store, loader) = (BcdStore::default(), Guid::from_bytes([1; 16]));
        let ems = Some(Ems { port: 2, baud: 115_200 });
        BootSettings { ems, ..net("1a.2b.3c.zz") }.apply(&mut store, &[loader]).unwrap();
        let debugger = &store.objects[&well_known::DEBUGGER_SETTINGS];
        assert_eq!(debugger.integer(element::DEBUG_TYPE), Some(3));
        assert_eq!(debugger.integer(element::DEBUG_HOST), Some(0x0A00_0001));
        assert_eq!(debugger.string(element::DEBUG_KEY).unwrap(), "1a.2b.3c.zz");
        for code in [element::BOOT_DEBUG, element::KERNEL_DEBUG, element::BOOT_EMS, element::KERNEL_EMS] {
            assert_eq!(store.objects[&loader].integer(code), Some(1), "{code:x}");
        }
        assert_eq!(store.objects[&well_known::EMS_SETTINGS].integer(element::EMS_PORT), Some(2));
    }

    #[test]
    fn keys_that_windows_cannot_read_are_refused() {
        for key in ["", "1.2.3", "1.2.3.4.5", "1.2.3.+4", "1.2.3.zzzzzzzzzzzzzz", "1.2.3.ä"] {
            let error = net(key).apply(&mut BcdStore::default(), &[]).unwrap_err();
            assert!(error.hint().is_some(), "{key}");
        }
    }
}
