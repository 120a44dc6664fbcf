//! Settings for debugging, emergency management and similar in a BCD store.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::bcd::{BcdObject, BcdStore, element, object_type, well_known};
use super::setting::BootSetting;
use crate::error::{Error, Result};
use crate::types::{Guid, form};
use crate::windows::edit::{HiveFile, ImageEdit};

/// Default speed of serial ports, in bits per second.
const BAUD: u32 = 115_200;
/// Default port of a debugger; the first port belongs to the console.
const DEBUG_PORT: u8 = 2;

/// How a kernel debugger is connected. As text: `serial[:PORT[,BAUD]]`, `net:IP:PORT:KEY[,BUS]`, `1394:CHANNEL` or
/// `usb:NAME`.
///
/// ```
/// # fn main() -> nano_image::Result<()> {
/// let debug: nano_image::DebugTransport = "net:10.0.0.9:50000:1.2.3.4".parse()?;
/// assert!(matches!(debug, nano_image::DebugTransport::Net { port: 50_000, .. }));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum DebugTransport {
    /// A serial port.
    Serial {
        /// 1 for COM1.
        port: u8,
        /// Bits per second.
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

/// Emergency Management Services on a serial port. As text: `PORT[,BAUD]`.
///
/// ```
/// # fn main() -> nano_image::Result<()> {
/// assert_eq!("COM2,9600".parse::<nano_image::Ems>()?, nano_image::Ems { port: 2, baud: 9600 });
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Ems {
    /// 1 for COM1.
    pub port: u8,
    /// Bits per second.
    pub baud: u32,
}

/// Changes of a recipe to the boot settings. By default nothing is changed.
///
/// ```
/// # fn main() -> nano_image::Result<()> {
/// use nano_image::{BootSettings, Ems, Recipe};
///
/// let boot = BootSettings { ems: Some(Ems { port: 1, baud: 115_200 }), ..BootSettings::default() };
/// let recipe = Recipe::image("1").boot(boot).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct BootSettings {
    /// Debug the kernel, the loader and the boot manager.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub debug: Option<DebugTransport>,
    /// Emergency Management Services.
    #[serde(deserialize_with = "form::switched", skip_serializing_if = "Option::is_none")]
    pub ems: Option<Ems>,
    /// Load drivers with test signatures.
    pub test_signing: bool,
    /// Further settings by their names in bcdedit. They are applied last.
    #[serde(deserialize_with = "form::list", skip_serializing_if = "form::is_default")]
    pub boot_setting: Vec<BootSetting>,
}

impl BootSettings {
    /// Refuses settings that Windows cannot apply.
    ///
    /// # Errors
    /// [`Recipe`](crate::ErrorKind::Recipe) for ports and keys that do not exist, and for two users of one port.
    pub fn check(&self) -> Result<()> {
        self.ems.map_or(Ok(()), |ems| ems.check())?;
        self.debug.as_ref().map_or(Ok(()), DebugTransport::check)?;
        for (index, setting) in self.boot_setting.iter().enumerate() {
            if self.boot_setting[..index].iter().any(|other| other.rivals(setting)) {
                return Err(Error::recipe(format!("the boot setting {setting} has two values")).with_hint("keep one"));
            }
        }
        match (self.ems, &self.debug) {
            (Some(Ems { port, .. }), Some(DebugTransport::Serial { port: other, .. })) if port == *other => {
                Err(Error::recipe(format!("debugger and Emergency Management Services both use COM{port}"))
                    .with_hint("give one of them another port"))
            }
            _ => Ok(()),
        }
    }

    /// Writes the settings to `store`; `loaders` are its entries for Windows, or the patterns for them.
    pub(super) fn apply(&self, store: &mut BcdStore, loaders: &[Guid]) -> Result<()> {
        use element::*;
        let mut edit = |id: Guid, kind: u32, change: &dyn Fn(&mut BcdObject)| {
            change(store.objects.entry(id).or_insert(BcdObject::new(kind)));
        };
        if let Some(transport) = &self.debug {
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
            });
        }
        self.boot_setting.iter().for_each(|setting| setting.apply(store, loaders));
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

    fn check(&self) -> Result<()> {
        match self {
            Self::Serial { port, baud } => check_serial("the debugger", *port, *baud),
            Self::Ieee1394 { channel } if *channel > 62 => {
                Err(Error::recipe(format!("there is no FireWire channel {channel}")).with_hint("channels are 0 to 62"))
            }
            Self::Usb { target } if target.is_empty() => {
                Err(Error::recipe("debugging over USB needs a name").with_hint("give the name that the debugger uses"))
            }
            Self::Net { key, .. } => check_key(key),
            _ => Ok(()),
        }
    }
}

impl FromStr for DebugTransport {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        const HINT: &str = "write serial[:PORT[,BAUD]], net:IP:PORT:KEY[,BUS], 1394:CHANNEL or usb:NAME";
        let (method, rest) = text.split_once(':').unwrap_or((text, ""));
        let bad = |what: String| Error::recipe(what).with_hint(HINT);
        let needed = |what: &str| match rest {
            "" => Err(bad(format!("`{method}` needs {what}"))),
            rest => Ok(rest),
        };
        let transport = match method {
            "serial" if rest.is_empty() => Self::Serial { port: DEBUG_PORT, baud: BAUD },
            "serial" => {
                let (port, baud) = serial_port(rest)?;
                Self::Serial { port, baud }
            }
            "net" => {
                let mut parts = needed("an address and a port: net:10.0.0.1:50000:KEY")?.splitn(3, ':');
                let host = parts.next().unwrap_or_default();
                let host = host.parse().map_err(|_| bad(format!("`{host}` is no IPv4 address")))?;
                let port =
                    parts.next().ok_or_else(|| bad("`net` needs a port, e.g. 50000, behind the address".into()))?;
                let port = port.parse().map_err(|_| bad(format!("`{port}` is no UDP port")))?;
                let key = parts.next().filter(|key| !key.is_empty());
                let key = key.ok_or_else(|| bad("`net` needs a key of four words with dots between".into()))?;
                let (key, bus) = key.split_once(',').map_or((key, None), |(key, bus)| (key, Some(bus.to_owned())));
                Self::Net { host, port, key: key.into(), bus: bus.filter(|bus| !bus.is_empty()) }
            }
            "1394" => {
                let channel = needed("a channel: 1394:10")?;
                let bad = |_| bad(format!("`{channel}` is not a channel; channels are 0 to 62"));
                Self::Ieee1394 { channel: channel.parse().map_err(bad)? }
            }
            "usb" => Self::Usb { target: needed("the name that the debugger uses: usb:NAME")?.into() },
            _ => return Err(bad(format!("`{method}` is not one of serial, net, 1394 and usb"))),
        };
        transport.check()?;
        Ok(transport)
    }
}

impl fmt::Display for DebugTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serial { port, baud } => write!(f, "serial:{port},{baud}"),
            Self::Ieee1394 { channel } => write!(f, "1394:{channel}"),
            Self::Usb { target } => write!(f, "usb:{target}"),
            Self::Net { host, port, key, bus } => {
                write!(f, "net:{host}:{port}:{key}")?;
                bus.iter().try_for_each(|bus| write!(f, ",{bus}"))
            }
        }
    }
}

impl Ems {
    fn check(self) -> Result<()> {
        check_serial("Emergency Management Services", self.port, self.baud)
    }
}

impl form::Switched for Ems {
    const ON: Self = Self { port: 1, baud: BAUD };
}

impl FromStr for Ems {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (port, baud) = serial_port(text)?;
        let ems = Self { port, baud };
        ems.check()?;
        Ok(ems)
    }
}

impl fmt::Display for Ems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.port, self.baud)
    }
}

form::as_text!(DebugTransport, Ems);

/// Parses `PORT[,BAUD]`; the port may be called COM1.
fn serial_port(text: &str) -> Result<(u8, u32)> {
    const HINT: &str = "write PORT or PORT,BAUD: 1,115200";
    let (port, baud) = text.split_once(',').map_or((text, None), |(port, baud)| (port, Some(baud)));
    let digits = if port.get(..3).is_some_and(|com| com.eq_ignore_ascii_case("com")) { &port[3..] } else { port };
    let bad = |what| Error::recipe(what).with_hint(HINT);
    let port = digits.parse().map_err(|_| bad(format!("`{port}` is not a serial port; write 1 for COM1")))?;
    let number =
        |baud: &str| baud.parse().map_err(|_| bad(format!("`{baud}` is not a speed; 115200 is the usual one")));
    Ok((port, baud.map_or(Ok(BAUD), number)?))
}

fn check_serial(what: &str, port: u8, baud: u32) -> Result<()> {
    if port == 0 || baud == 0 {
        return Err(Error::recipe(format!("{what} cannot use COM{port} with {baud} bits a second"))
            .with_hint("ports begin with 1; 115200 is the usual speed"));
    }
    Ok(())
}

/// Checks a key. With a key that Windows cannot read, the machine would have no debugger and would not say so.
fn check_key(key: &str) -> Result<()> {
    let words: Vec<&str> = key.split('.').collect();
    let good = |word: &&str| word.bytes().all(|b| b.is_ascii_alphanumeric()) && u64::from_str_radix(word, 36).is_ok();
    if words.len() != 4 || !words.iter().all(good) {
        return Err(Error::recipe(format!("`{key}` is not a key for network debugging"))
            .with_hint("write four words of letters and digits with dots between, as `bcdedit /dbgsettings` shows"));
    }
    Ok(())
}

/// Also writes the settings to the BCD template of the image, so that a later bcdboot on the running machine keeps
/// them. `false` if the image has no template that is a store.
pub fn edit_template(image: &mut ImageEdit<'_>, settings: &BootSettings) -> Result<bool> {
    let in_template = |error: Error| error.with_path(HiveFile::BcdTemplate.path());
    let Some(hive) = image.edit_if_there(HiveFile::BcdTemplate)? else { return Ok(false) };
    let Some(before) = BcdStore::from_hive(hive).map_err(in_template)? else { return Ok(false) };
    let mut after = before.clone();
    let patterns = [well_known::TARGET_EFI, well_known::TARGET_PCAT];
    let present: Vec<Guid> = patterns.into_iter().filter(|id| before.objects.contains_key(id)).collect();
    settings.apply(&mut after, &present)?;
    after.write_changes(&before, hive).map_err(in_template)?;
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
    fn what_windows_cannot_do_is_refused_with_a_hint() {
        let debug = |debug| BootSettings { debug: Some(debug), ..BootSettings::default() };
        let serial = |port| debug(DebugTransport::Serial { port, baud: BAUD });
        let mut bad = vec![
            BootSettings { ems: Some(Ems { port: 0, baud: BAUD }), ..BootSettings::default() },
            BootSettings { ems: Some(Ems { port: 2, baud: BAUD }), ..serial(2) },
            serial(0),
            debug(DebugTransport::Ieee1394 { channel: 63 }),
            debug(DebugTransport::Usb { target: String::new() }),
        ];
        bad.extend(["", "1.2.3", "1.2.3.4.5", "1.2.3.+4", "1.2.3.zzzzzzzzzzzzzz", "1.2.3.ä"].map(net));
        for settings in bad {
            assert!(settings.check().unwrap_err().hint().is_some(), "{settings:?}");
        }
        BootSettings { ems: Some(form::Switched::ON), ..serial(2) }.check().unwrap();
    }

    #[test]
    fn text_is_read_and_written() {
        for (text, canonical) in [
            ("serial", "serial:2,115200"),
            ("serial:COM1,9600", "serial:1,9600"),
            ("net:10.0.0.1:50000:1.2.3.4", "net:10.0.0.1:50000:1.2.3.4"),
            ("net:10.0.0.1:50000:1.2.3.4,0.25.0", "net:10.0.0.1:50000:1.2.3.4,0.25.0"),
            ("1394:10", "1394:10"),
            ("usb:a:b,c", "usb:a:b,c"),
        ] {
            let debug: DebugTransport = text.parse().unwrap();
            assert_eq!(debug.to_string(), canonical);
            assert_eq!(canonical.parse::<DebugTransport>().unwrap(), debug);
        }
        for (text, part) in [
            ("serial:x", "COM1"),
            ("serial:1,fast", "115200"),
            ("serial:comé", "COM1"),
            ("net", "address"),
            ("net:host:1", "`host`"),
            ("net:10.0.0.1", "port"),
            ("net:10.0.0.1:70000", "70000"),
            ("net:10.0.0.1:50000", "key"),
            ("1394", "channel"),
            ("1394:x", "62"),
            ("usb:", "name"),
            ("ftp", "serial, net"),
        ] {
            let error = text.parse::<DebugTransport>().unwrap_err();
            assert!(error.message().contains(part) && error.hint().is_some(), "{text}: {error}");
        }
        assert_eq!("2".parse::<Ems>().unwrap().to_string(), "2,115200");
        assert!("0".parse::<Ems>().is_err() && "".parse::<Ems>().is_err());
    }
}
