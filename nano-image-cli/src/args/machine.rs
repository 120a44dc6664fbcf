//! Flags that make an image one machine: name, password, first boot, network, boot settings.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use nano_image::windows::configure::{FileCopy, RemoteManagement};
use nano_image::{BootConfig, DebugMethod, MachineConfig};

#[derive(Args, Debug)]
#[command(next_help_heading = "Machine")]
pub struct Machine {
    /// Name of the machine: 1 to 15 characters, or `*` to let Windows choose at first boot
    #[arg(long, value_name = "NAME")]
    pub computer_name: Option<String>,

    /// Give the name in the specialize pass too, for images that are generalized; one more restart at first boot
    #[arg(long)]
    pub name_in_specialize: bool,

    /// Where the administrator's password is read from: admin=env:VARIABLE, admin=file:PATH or admin=stdin
    ///
    /// A line break at the end of a file or of standard input is no part of it.
    // Not parsed here: clap would repeat what it refuses, which may be a password.
    #[arg(long, value_name = "admin=SOURCE")]
    pub secret: Option<String>,

    /// Answer file; it is checked, and joined with what other flags ask for
    #[arg(long, value_name = "FILE")]
    pub unattend: Option<PathBuf>,

    /// Command that runs once as SYSTEM when setup is complete; may be repeated
    #[arg(long, value_name = "COMMAND")]
    pub setup_command: Vec<String>,

    /// File that `djoin /Provision` wrote: joins its domain, with the name in it
    #[arg(long, value_name = "FILE")]
    pub domain_blob: Option<PathBuf>,

    /// Domain to make an account in; answered with the command that makes a blob
    #[arg(long, value_name = "DOMAIN")]
    pub domain_name: Option<String>,

    /// Take over the account that the domain has; answered like --domain-name
    #[arg(long)]
    pub reuse_domain_node: bool,

    /// Time zone by its name in Windows, e.g. `W. Europe Standard Time`
    #[arg(long, value_name = "ZONE")]
    pub time_zone: Option<String>,

    /// Locale of the system and of new users, e.g. de-DE; the language of texts stays
    #[arg(long, value_name = "LOCALE")]
    pub locale: Option<String>,

    /// File or folder to copy into the image, to its root if there is no destination; may be repeated
    #[arg(long, value_name = "SOURCE[:DESTINATION]", value_parser = file_copy)]
    pub copy: Vec<FileCopy>,

    /// Registry file (.reg) whose edits are made last; may be repeated
    #[arg(long, value_name = "FILE")]
    pub reg: Vec<PathBuf>,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Network")]
pub struct Network {
    /// Name or index of the interface that gets the addresses, e.g. Ethernet
    #[arg(long, value_name = "NAME|INDEX")]
    pub interface: Option<String>,

    /// Address, with --ipv4-mask or as 10.0.0.5/24
    #[arg(long, value_name = "ADDRESS")]
    pub ipv4_address: Option<String>,

    /// Subnet mask
    #[arg(long, value_name = "MASK")]
    pub ipv4_mask: Option<Ipv4Addr>,

    /// Default gateway
    #[arg(long, value_name = "ADDRESS")]
    pub ipv4_gateway: Option<Ipv4Addr>,

    /// DNS servers, the preferred first; may be repeated
    #[arg(long, value_name = "ADDRESS,…", value_delimiter = ',')]
    pub ipv4_dns: Vec<Ipv4Addr>,

    /// Address, as fd00::5 or fd00::5/64
    #[arg(long, value_name = "ADDRESS")]
    pub ipv6_address: Option<String>,

    /// DNS servers, the preferred first; may be repeated
    #[arg(long, value_name = "ADDRESS,…", value_delimiter = ',')]
    pub ipv6_dns: Vec<Ipv6Addr>,

    /// Let WinRM be reached from other subnets [without a value: offline]
    #[arg(long, value_enum, value_name = "HOW", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "offline")]
    pub remote_management: Option<RemoteManagementName>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RemoteManagementName {
    /// By firewall rules in the image's registry
    Offline,
    /// By commands at first boot, as Microsoft's tool does it
    Script,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Boot")]
pub struct Boot {
    /// Debug the kernel: serial[:PORT[,BAUD]], net:IP:PORT:KEY[,BUS], 1394:CHANNEL or usb:NAME
    ///
    /// PORT of serial is 1 for COM1 [default: 2,115200]. KEY is four words with dots between; BUS is the adapter's
    /// bus.device.function.
    #[arg(long, value_name = "HOW", value_parser = Debug::parse)]
    pub debug: Option<Debug>,

    /// Emergency Management Services on a serial port [without a value: 1,115200]
    #[arg(long, value_name = "PORT[,BAUD]", num_args = 0..=1, require_equals = true, default_missing_value = "1")]
    #[arg(value_parser = Serial::parse)]
    pub ems: Option<Serial>,

    /// Load drivers with test signatures
    #[arg(long)]
    pub test_signing: bool,
}

fn file_copy(text: &str) -> Result<FileCopy, String> {
    text.parse().map_err(|error| super::with_hint(&error))
}

/// `PORT[,BAUD]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Serial {
    port: u8,
    baud: Option<u32>,
}

impl Serial {
    fn parse(text: &str) -> Result<Self, String> {
        let (port, baud) = text.split_once(',').map_or((text, None), |(port, baud)| (port, Some(baud)));
        let digits = if port.get(..3).is_some_and(|com| com.eq_ignore_ascii_case("com")) { &port[3..] } else { port };
        let port = digits.parse().map_err(|_| format!("`{port}` is no serial port; write 1 for COM1"))?;
        let number = |baud: &str| baud.parse().map_err(|_| format!("`{baud}` is no speed; 115200 is the usual one"));
        Ok(Self { port, baud: baud.map(number).transpose()? })
    }
}

/// How a kernel debugger is connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Debug {
    Serial(Option<Serial>),
    Net { host: Ipv4Addr, port: u16, key: Option<String>, bus: Option<String> },
    Ieee1394(u8),
    Usb(String),
}

impl Debug {
    fn parse(text: &str) -> Result<Self, String> {
        let (method, rest) = text.split_once(':').map_or((text, None), |(method, rest)| (method, Some(rest)));
        let rest = rest.filter(|rest| !rest.is_empty());
        let needed = |what: &str| rest.ok_or_else(|| format!("`{method}` needs {what}"));
        match method {
            "serial" => Ok(Self::Serial(rest.map(Serial::parse).transpose()?)),
            "net" => {
                let mut parts = needed("an address and a port: net:10.0.0.1:50000:KEY")?.splitn(3, ':');
                let host = parts.next().unwrap_or_default();
                let host = host.parse().map_err(|_| format!("`{host}` is no IPv4 address"))?;
                let port = parts.next().ok_or("`net` needs a port, e.g. 50000, behind the address")?;
                let port = port.parse().map_err(|_| format!("`{port}` is no UDP port"))?;
                let key = parts.next().unwrap_or_default();
                let (key, bus) = key.split_once(',').map_or((key, None), |(key, bus)| (key, Some(bus)));
                let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
                Ok(Self::Net { host, port, key: given(key), bus: bus.and_then(given) })
            }
            "1394" => {
                let channel = needed("a channel: 1394:10")?;
                channel.parse().map(Self::Ieee1394).map_err(|_| format!("`{channel}` is no channel; they are 0 to 62"))
            }
            "usb" => Ok(Self::Usb(needed("the name that the debugger uses: usb:NAME")?.to_owned())),
            _ => Err(format!("`{method}` is not one of serial, net, 1394 and usb")),
        }
    }
}

impl Machine {
    /// The machine of the recipe.
    pub fn config(&self, network: &Network) -> MachineConfig {
        MachineConfig {
            computer_name: self.computer_name.clone(),
            name_in_specialize: self.name_in_specialize,
            unattend: self.unattend.clone(),
            domain_blob: self.domain_blob.clone(),
            interface: network.interface.clone(),
            ipv4_address: network.ipv4_address.clone(),
            ipv4_mask: network.ipv4_mask,
            ipv4_gateway: network.ipv4_gateway,
            ipv4_dns: network.ipv4_dns.clone(),
            ipv6_address: network.ipv6_address.clone(),
            ipv6_dns: network.ipv6_dns.clone(),
            remote_management: network.remote_management.map(|how| match how {
                RemoteManagementName::Offline => RemoteManagement::Offline,
                RemoteManagementName::Script => RemoteManagement::Script,
            }),
            setup_command: self.setup_command.clone(),
            domain_name: self.domain_name.clone(),
            reuse_domain_node: self.reuse_domain_node,
            time_zone: self.time_zone.clone(),
            locale: self.locale.clone(),
            copy: self.copy.clone(),
            reg: self.reg.clone(),
        }
    }
}

impl Boot {
    /// The boot settings of the recipe.
    pub fn config(&self) -> BootConfig {
        let mut config = BootConfig {
            ems: self.ems.is_some(),
            ems_port: self.ems.map(|ems| ems.port),
            ems_baud: self.ems.and_then(|ems| ems.baud),
            test_signing: self.test_signing,
            ..BootConfig::default()
        };
        config.debug = self.debug.as_ref().map(|debug| match debug {
            Debug::Serial(serial) => {
                config.debug_com_port = serial.map(|serial| serial.port);
                config.debug_baud = serial.and_then(|serial| serial.baud);
                DebugMethod::Serial
            }
            Debug::Net { host, port, key, bus } => {
                (config.debug_host, config.debug_port) = (Some(*host), Some(*port));
                (config.debug_key, config.debug_bus) = (key.clone(), bus.clone());
                DebugMethod::Net
            }
            Debug::Ieee1394(channel) => {
                config.debug_channel = Some(*channel);
                DebugMethod::Ieee1394
            }
            Debug::Usb(target) => {
                config.debug_target = Some(target.clone());
                DebugMethod::Usb
            }
        });
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debuggers_are_read_and_mistakes_named() {
        assert_eq!(Debug::parse("serial"), Ok(Debug::Serial(None)));
        let serial = Serial { port: 1, baud: Some(9600) };
        assert_eq!(Debug::parse("serial:COM1,9600"), Ok(Debug::Serial(Some(serial))));
        let (host, key) = (Ipv4Addr::new(10, 0, 0, 1), Some("1.2.3.4".to_owned()));
        let net = |key, bus| Ok(Debug::Net { host, port: 50_000, key, bus });
        assert_eq!(Debug::parse("net:10.0.0.1:50000"), net(None, None));
        assert_eq!(Debug::parse("net:10.0.0.1:50000:1.2.3.4"), net(key.clone(), None));
        assert_eq!(Debug::parse("net:10.0.0.1:50000:1.2.3.4,0.25.0"), net(key, Some("0.25.0".into())));
        assert_eq!(Debug::parse("1394:10"), Ok(Debug::Ieee1394(10)));
        assert_eq!(Debug::parse("usb:box"), Ok(Debug::Usb("box".into())));
        for (text, part) in [
            ("serial:x", "COM1"),
            ("serial:1,fast", "115200"),
            ("serial:comé", "COM1"),
            ("net", "address"),
            ("net:host:1", "`host`"),
            ("net:10.0.0.1", "port"),
            ("net:10.0.0.1:70000", "70000"),
            ("1394", "channel"),
            ("1394:x", "62"),
            ("usb:", "name"),
            ("ftp", "serial, net"),
        ] {
            let error = Debug::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
