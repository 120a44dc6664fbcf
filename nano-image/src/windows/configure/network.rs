//! Static addresses, which netsh sets at first boot.
//!
//! They cannot be set offline: Windows stores them under an identifier that an adapter gets when it is found for the
//! first time.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::MachineConfig;
use crate::error::{Error, Result};

/// What netsh should set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Network {
    interface: String,
    ipv4: Option<Ipv4>,
    ipv4_dns: Vec<Ipv4Addr>,
    /// Address, with `/prefix` if it was given.
    ipv6: Option<String>,
    ipv6_dns: Vec<Ipv6Addr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ipv4 {
    address: Ipv4Addr,
    mask: Ipv4Addr,
    gateway: Option<Ipv4Addr>,
}

impl Network {
    /// The network settings of a recipe; `None` if there are none.
    ///
    /// # Errors
    /// [`Recipe`](crate::ErrorKind::Recipe) for malformed addresses and missing parts.
    pub fn of(config: &MachineConfig) -> Result<Option<Self>> {
        let given = [
            ("an IPv4 address", config.ipv4_address.is_some()),
            ("an IPv4 subnet mask", config.ipv4_mask.is_some()),
            ("an IPv4 gateway", config.ipv4_gateway.is_some()),
            ("IPv4 DNS servers", !config.ipv4_dns.is_empty()),
            ("an IPv6 address", config.ipv6_address.is_some()),
            ("IPv6 DNS servers", !config.ipv6_dns.is_empty()),
        ];
        let Some((what, _)) = given.into_iter().find(|(_, given)| *given) else {
            return match &config.interface {
                Some(interface) => Err(Error::recipe(format!("the interface `{interface}` gets no address"))
                    .with_hint("give an address or DNS servers too, or leave the interface out")),
                None => Ok(None),
            };
        };
        let Some(interface) = &config.interface else {
            return Err(Error::recipe(format!("{what} without the interface that gets it"))
                .with_hint("name the interface, e.g. `Ethernet`, or give its index"));
        };
        let is_bad = |c: char| !(' '..='~').contains(&c) || matches!(c, '"' | '%' | '^' | '&' | '|' | '<' | '>');
        if interface.trim().is_empty() || interface.contains(is_bad) {
            return Err(Error::recipe(format!("`{interface}` cannot be given to netsh as an interface"))
                .with_hint("use the name in ASCII without quotes and percent signs, or the index of the interface"));
        }
        Ok(Some(Self {
            interface: interface.clone(),
            ipv4: Ipv4::of(config)?,
            ipv4_dns: config.ipv4_dns.clone(),
            ipv6: config.ipv6_address.as_deref().map(ipv6).transpose()?,
            ipv6_dns: config.ipv6_dns.clone(),
        }))
    }

    /// Command lines, in the order of Microsoft's tool.
    pub fn commands(&self) -> Vec<String> {
        let interface = &self.interface;
        let dns = |family: &str, servers: Vec<String>| {
            let line = move |(index, server): (usize, String)| match index {
                0 => format!("netsh interface {family} set dnsservers \"{interface}\" static {server}"),
                _ => format!("netsh interface {family} add dnsservers \"{interface}\" {server} index={}", index + 1),
            };
            servers.into_iter().enumerate().map(line).collect::<Vec<_>>()
        };
        let mut lines = Vec::new();
        if let Some(address) = &self.ipv6 {
            lines.push(format!("netsh interface ipv6 set address \"{interface}\" {address}"));
        }
        lines.extend(dns("ipv6", self.ipv6_dns.iter().map(ToString::to_string).collect()));
        if let Some(Ipv4 { address, mask, gateway }) = &self.ipv4 {
            let gateway = gateway.map(|gateway| format!(" {gateway}")).unwrap_or_default();
            lines.push(format!("netsh interface ipv4 set address \"{interface}\" static {address} {mask}{gateway}"));
        }
        lines.extend(dns("ipv4", self.ipv4_dns.iter().map(ToString::to_string).collect()));
        lines
    }
}

impl Ipv4 {
    fn of(config: &MachineConfig) -> Result<Option<Self>> {
        let Some(text) = &config.ipv4_address else {
            let part = config.ipv4_mask.map(|_| "subnet mask").or(config.ipv4_gateway.map(|_| "gateway"));
            return match part {
                Some(part) => Err(Error::recipe(format!("an IPv4 {part} without an IPv4 address"))
                    .with_hint("give the address too, or leave both to DHCP")),
                None => Ok(None),
            };
        };
        let bad = || Error::recipe(format!("`{text}` is no IPv4 address")).with_hint("write 10.0.0.5 or 10.0.0.5/24");
        let (address, prefix) = text.split_once('/').map_or((text.as_str(), None), |(a, prefix)| (a, Some(prefix)));
        let address: Ipv4Addr = address.parse().map_err(|_| bad())?;
        let prefix: Option<u32> = prefix.map(str::parse).transpose().map_err(|_| bad())?;
        let prefix_mask = match prefix {
            None => None,
            Some(prefix @ 1..=32) => Some(Ipv4Addr::from(u32::MAX << (32 - prefix))),
            Some(_) => return Err(bad()),
        };
        let mask = match (config.ipv4_mask, prefix_mask) {
            (Some(mask), Some(prefix)) if mask != prefix => {
                return Err(Error::recipe(format!("the subnet mask {mask} contradicts the address {text}"))
                    .with_hint("leave the mask out, or write the address without a prefix"));
            }
            (None, None) => {
                return Err(Error::recipe(format!("the IPv4 address {text} has no subnet mask"))
                    .with_hint(format!("give the mask, or write {text}/24")));
            }
            (mask, prefix) => mask.or(prefix).expect("one of them is given"),
        };
        let bits = u32::from(mask);
        if bits == 0 || bits.leading_ones() + bits.trailing_zeros() != 32 {
            return Err(Error::recipe(format!("{mask} is not a subnet mask")).with_hint("e.g. 255.255.255.0"));
        }
        if address.is_unspecified() || address.is_loopback() || address.is_multicast() || address.is_broadcast() {
            return Err(Error::recipe(format!("{address} cannot be the address of a machine"))
                .with_hint("use an address of the network that the machine will be in"));
        }
        if let Some(gateway) = config.ipv4_gateway
            && (u32::from(gateway) & bits != u32::from(address) & bits || gateway == address)
        {
            return Err(Error::recipe(format!("the gateway {gateway} is not in the network of {address} with {mask}"))
                .with_hint("the gateway must be another machine of the same network"));
        }
        Ok(Some(Self { address, mask, gateway: config.ipv4_gateway }))
    }
}

fn ipv6(text: &str) -> Result<String> {
    let bad = || Error::recipe(format!("`{text}` is no IPv6 address")).with_hint("write fd00::5 or fd00::5/64");
    let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
    let address: Ipv6Addr = address.parse().map_err(|_| bad())?;
    let prefix: Option<u8> = prefix.map(str::parse).transpose().map_err(|_| bad())?;
    if address.is_unspecified() || address.is_loopback() || address.is_multicast() || prefix.is_some_and(|p| p > 128) {
        return Err(bad());
    }
    Ok(prefix.map_or(address.to_string(), |prefix| format!("{address}/{prefix}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(address: &str) -> MachineConfig {
        let interface = Some("Ethernet".into());
        MachineConfig { interface, ipv4_address: Some(address.into()), ..MachineConfig::default() }
    }

    #[test]
    fn commands_have_the_shapes_and_the_order_of_microsofts_tool() {
        let network = MachineConfig {
            ipv4_gateway: Some([10, 0, 0, 1].into()),
            ipv4_dns: vec![[10, 0, 0, 2].into(), [10, 0, 0, 3].into()],
            ipv6_address: Some("fd00::5/64".into()),
            ipv6_dns: vec!["fd00::1".parse().unwrap()],
            ..config("10.0.0.5/24")
        };
        assert_eq!(
            Network::of(&network).unwrap().unwrap().commands(),
            [
                r#"netsh interface ipv6 set address "Ethernet" fd00::5/64"#,
                r#"netsh interface ipv6 set dnsservers "Ethernet" static fd00::1"#,
                r#"netsh interface ipv4 set address "Ethernet" static 10.0.0.5 255.255.255.0 10.0.0.1"#,
                r#"netsh interface ipv4 set dnsservers "Ethernet" static 10.0.0.2"#,
                r#"netsh interface ipv4 add dnsservers "Ethernet" 10.0.0.3 index=2"#,
            ]
        );
        assert_eq!(Network::of(&MachineConfig::default()).unwrap(), None);
    }

    #[test]
    fn what_contradicts_itself_is_refused_with_a_hint() {
        let mask = |mask: [u8; 4], address: &str| MachineConfig { ipv4_mask: Some(mask.into()), ..config(address) };
        let gateway = |gateway: [u8; 4]| MachineConfig { ipv4_gateway: Some(gateway.into()), ..config("10.0.0.5/24") };
        let named = |name: &str| MachineConfig { interface: Some(name.into()), ..config("10.0.0.5/24") };
        let only = MachineConfig::default;
        let cases = [
            MachineConfig { interface: None, ..config("10.0.0.5/24") },
            MachineConfig { ipv4_dns: vec![[10, 0, 0, 2].into()], ..only() },
            MachineConfig { ipv4_mask: Some([255, 0, 0, 0].into()), ..only() },
            MachineConfig { ipv4_gateway: Some([10, 0, 0, 1].into()), ..only() },
            MachineConfig { ipv6_address: Some("fd00::5".into()), ..only() },
            MachineConfig { ipv6_dns: vec!["fd00::1".parse().unwrap()], ..only() },
            MachineConfig { interface: Some("Ethernet".into()), ..only() },
            MachineConfig { interface: Some("Ethernet".into()), ipv4_mask: Some([255, 0, 0, 0].into()), ..only() },
            MachineConfig { interface: Some("Ethernet".into()), ipv6_address: Some("fd00::5/129".into()), ..only() },
            config("10.0.0.5"),
            config("10.0.0"),
            config("10.0.0.5/33"),
            config("10.0.0.5/0"),
            config("127.0.0.1/8"),
            mask([255, 0, 255, 0], "10.0.0.5"),
            mask([255, 255, 0, 0], "10.0.0.5/24"),
            gateway([10, 0, 1, 1]),
            gateway([10, 0, 0, 5]),
            named("a\"b"),
            named("%x%"),
            named(" "),
        ];
        for case in cases {
            let error = Network::of(&case).unwrap_err();
            assert!(error.kind() == crate::error::ErrorKind::Recipe && error.hint().is_some(), "{case:?}");
        }
        assert!(Network::of(&mask([255, 255, 255, 0], "10.0.0.5/24")).is_ok());
    }
}
