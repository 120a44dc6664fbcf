//! Debugging, emergency management and test signing in a recipe.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::windows::boot::{BootSettings, DebugTransport, Ems};

/// How a kernel debugger is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DebugMethod {
    /// A serial port.
    Serial,
    /// The network (KDNET).
    Net,
    /// FireWire.
    #[serde(rename = "1394")]
    Ieee1394,
    /// USB.
    Usb,
}

/// What a recipe says of the boot settings; the default changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct BootConfig {
    /// Emergency Management Services on a serial port.
    pub ems: bool,
    /// 1 for COM1, the default.
    pub ems_port: Option<u8>,
    /// Bits a second; 115,200 by default.
    pub ems_baud: Option<u32>,
    /// Debug the kernel.
    pub debug: Option<DebugMethod>,
    /// Serial: 2 for COM2, the default.
    pub debug_com_port: Option<u8>,
    /// Serial: bits a second; 115,200 by default.
    pub debug_baud: Option<u32>,
    /// FireWire: 0 to 62.
    pub debug_channel: Option<u8>,
    /// USB: name that the debugger uses.
    pub debug_target: Option<String>,
    /// Network: address of the debugger.
    pub debug_host: Option<Ipv4Addr>,
    /// Network: UDP port.
    pub debug_port: Option<u16>,
    /// Network: four words of letters and digits with dots between.
    pub debug_key: Option<String>,
    /// Network: `bus.device.function` of the adapter, if Windows should not choose.
    pub debug_bus: Option<String>,
    /// Load drivers with test signatures.
    pub test_signing: bool,
}

/// What serial ports do without a choice.
const BAUD: u32 = 115_200;

impl BootConfig {
    /// As settings of the boot room.
    ///
    /// # Errors
    /// [`Recipe`](crate::ErrorKind::Recipe) for options without their method, missing ones and clashes.
    pub fn settings(&self) -> Result<BootSettings> {
        let ems = self.ems()?;
        let debug = self.debug.map(|method| self.transport(method)).transpose()?;
        self.check_foreign_options()?;
        if let (Some(Ems { port, .. }), Some(DebugTransport::Serial { port: debug_port, .. })) = (&ems, &debug)
            && port == debug_port
        {
            return Err(Error::recipe(format!("debugger and Emergency Management Services both use COM{port}"))
                .with_hint("give one of them another port"));
        }
        let mut settings = BootSettings::default();
        (settings.debug, settings.ems, settings.test_signing) = (debug, ems, self.test_signing);
        Ok(settings)
    }

    fn ems(&self) -> Result<Option<Ems>> {
        if !self.ems {
            let given = [("port", self.ems_port.is_some()), ("baud rate", self.ems_baud.is_some())];
            return match given.into_iter().find(|(_, given)| *given) {
                Some((what, _)) => Err(Error::recipe(format!(
                    "a {what} for Emergency Management Services is given, but they are not switched on"
                ))
                .with_hint("switch them on too, or leave the option out")),
                None => Ok(None),
            };
        }
        let ems = Ems { port: self.ems_port.unwrap_or(1), baud: self.ems_baud.unwrap_or(BAUD) };
        check_serial("Emergency Management Services", ems.port, ems.baud)?;
        Ok(Some(ems))
    }

    fn transport(&self, method: DebugMethod) -> Result<DebugTransport> {
        let missing = |what: &str| {
            Error::recipe(format!("debugging needs {what}")).with_hint("give it, or choose another way to debug")
        };
        Ok(match method {
            DebugMethod::Serial => {
                let (port, baud) = (self.debug_com_port.unwrap_or(2), self.debug_baud.unwrap_or(BAUD));
                check_serial("the debugger", port, baud)?;
                DebugTransport::Serial { port, baud }
            }
            DebugMethod::Ieee1394 => {
                let channel = self.debug_channel.ok_or_else(|| missing("a FireWire channel"))?;
                if channel > 62 {
                    let what = format!("there is no FireWire channel {channel}");
                    return Err(Error::recipe(what).with_hint("channels are 0 to 62"));
                }
                DebugTransport::Ieee1394 { channel }
            }
            DebugMethod::Usb => {
                let target = self.debug_target.clone().filter(|target| !target.is_empty());
                DebugTransport::Usb { target: target.ok_or_else(|| missing("a target name for USB"))? }
            }
            DebugMethod::Net => DebugTransport::Net {
                host: self.debug_host.ok_or_else(|| missing("the address of the debugging machine"))?,
                port: self.debug_port.ok_or_else(|| missing("a UDP port, e.g. 50000"))?,
                key: self.debug_key.clone().ok_or_else(|| missing("a key of four words with dots between"))?,
                bus: self.debug_bus.clone(),
            },
        })
    }

    /// Options of another method than the chosen one would be lost without a word.
    fn check_foreign_options(&self) -> Result<()> {
        use DebugMethod::*;
        let options = [
            ("a COM port", self.debug_com_port.is_some(), Serial),
            ("a baud rate", self.debug_baud.is_some(), Serial),
            ("a channel", self.debug_channel.is_some(), Ieee1394),
            ("a target name", self.debug_target.is_some(), Usb),
            ("a host address", self.debug_host.is_some(), Net),
            ("a UDP port", self.debug_port.is_some(), Net),
            ("a key", self.debug_key.is_some(), Net),
            ("a bus", self.debug_bus.is_some(), Net),
        ];
        for (what, given, method) in options {
            if given && self.debug != Some(method) {
                let name = match method {
                    Serial => "serial",
                    Net => "net",
                    Ieee1394 => "1394",
                    Usb => "usb",
                };
                return Err(Error::recipe(format!("{what} for debugging is given, but the method is not `{name}`"))
                    .with_hint(format!("choose the method `{name}`, or leave the option out")));
            }
        }
        Ok(())
    }
}

fn check_serial(what: &str, port: u8, baud: u32) -> Result<()> {
    if port == 0 || baud == 0 {
        return Err(Error::recipe(format!("{what} cannot use COM{port} with {baud} bits a second"))
            .with_hint("ports begin with 1; 115200 is the usual speed"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_become_settings() {
        let config = BootConfig { ems: true, debug: Some(DebugMethod::Serial), ..BootConfig::default() };
        let settings = config.settings().unwrap();
        assert_eq!(settings.ems, Some(Ems { port: 1, baud: BAUD }));
        assert_eq!(settings.debug, Some(DebugTransport::Serial { port: 2, baud: BAUD }));
        assert_eq!(BootConfig::default().settings().unwrap(), BootSettings::default());
    }

    #[test]
    fn clashes_and_gaps_are_refused_with_a_hint() {
        use DebugMethod::*;
        let debug = |method| BootConfig { debug: Some(method), ..BootConfig::default() };
        let net = BootConfig { debug_host: Some([10, 0, 0, 1].into()), debug_port: Some(50_000), ..debug(Net) };
        for config in [
            BootConfig { ems_port: Some(1), ..BootConfig::default() },
            BootConfig { ems_baud: Some(9600), ..BootConfig::default() },
            BootConfig { ems: true, ems_port: Some(0), ..BootConfig::default() },
            BootConfig { ems: true, ems_port: Some(2), ..debug(Serial) },
            BootConfig { debug_port: Some(1), ..debug(Serial) },
            BootConfig { debug_key: Some("1.2.3.4".into()), ..BootConfig::default() },
            BootConfig { debug_baud: Some(0), ..debug(Serial) },
            BootConfig { debug_channel: Some(63), ..debug(Ieee1394) },
            debug(Ieee1394),
            debug(Usb),
            debug(Net),
            net,
        ] {
            let error = config.settings().unwrap_err();
            assert!(error.kind() == crate::error::ErrorKind::Recipe && error.hint().is_some(), "{config:?}");
        }
    }
}
