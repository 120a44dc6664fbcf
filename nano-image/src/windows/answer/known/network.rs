//! Networks, firewall, remote access.

use super::model::{Component, Key, Kind, Setting, any, flag, group, item, number, one_of, partly, text};
use crate::windows::answer::Pass;

/// Several passes are documented; Windows PE has a network too.
const NETWORK: &[Pass] = &[];

pub(super) const COMPONENTS: &[Component] = &[
    partly(
        "Microsoft-Windows-TCPIP",
        NETWORK,
        &[group("Interfaces", &[item("Interface", Key::Child("Identifier"), Kind::Group(INTERFACE))])],
    ),
    partly(
        "Microsoft-Windows-DNS-Client",
        NETWORK,
        &[
            text("DNSDomain", 0),
            group("DNSSuffixSearchOrder", &[item("DomainName", Key::Attribute, Kind::Text(0))]),
            group(
                "Interfaces",
                &[item(
                    "Interface",
                    Key::Child("Identifier"),
                    Kind::Group(&[
                        flag("DisableDynamicUpdate"),
                        text("DNSDomain", 0),
                        IP_ADDRESSES,
                        flag("EnableAdapterDomainNameRegistration"),
                        text("Identifier", 0),
                    ]),
                )],
            ),
            flag("UseDomainNameDevolution"),
        ],
    ),
    partly(
        "Networking-MPSSVC-Svc",
        &[],
        &[
            flag("DisableStatefulFTP"),
            flag("DisableStatefulPPTP"),
            flag("DomainProfile_DisableNotifications"),
            flag("DomainProfile_EnableFirewall"),
            group(
                "FirewallGroups",
                &[item(
                    "FirewallGroup",
                    Key::Attribute,
                    Kind::Group(&[
                        flag("Active"),
                        text("Group", 0),
                        any("Key"),
                        one_of("Profile", &["all", "domain", "private", "public"]),
                    ]),
                )],
            ),
            flag("PrivateProfile_DisableNotifications"),
            flag("PrivateProfile_EnableFirewall"),
            flag("PublicProfile_DisableNotifications"),
            flag("PublicProfile_EnableFirewall"),
        ],
    ),
    partly("Microsoft-Windows-TerminalServices-LocalSessionManager", &[], &[flag("fDenyTSConnections")]),
    partly(
        "Microsoft-Windows-TerminalServices-RDP-WinStationExtensions",
        &[],
        &[number("SecurityLayer", 0, 2), number("UserAuthentication", 0, 1)],
    ),
];

const INTERFACE: &[Setting] = &[
    text("Identifier", 0),
    group("Ipv4Settings", &[flag("DhcpEnabled"), number("Metric", 0, 9999), flag("RouterDiscoveryEnabled")]),
    group("Ipv6Settings", &[flag("DhcpEnabled"), number("Metric", 0, 9999), flag("RouterDiscoveryEnabled")]),
    group(
        "Routes",
        &[item(
            "Route",
            Key::Child("Identifier"),
            Kind::Group(&[
                text("Identifier", 0),
                number("Metric", 0, 9999),
                text("NextHopAddress", 0),
                text("Prefix", 0),
            ]),
        )],
    ),
    group("UnicastIpAddresses", &[IP_ADDRESS]),
];

const IP_ADDRESSES: Setting = group("DNSServerSearchOrder", &[IP_ADDRESS]);
const IP_ADDRESS: Setting = item("IpAddress", Key::Attribute, Kind::Text(0));
