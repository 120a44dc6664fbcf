//! What Azure requires of an image, as far as it is in the registry.
//!
//! Source: "Prepare a Windows VHD or VHDX to upload to Azure" on learn.microsoft.com.

use crate::error::Result;
use crate::registry::{Hive, KeyId, Value};
use crate::windows::edit::{HiveFile, ImageEdit, control_sets};
use crate::windows::remote_desktop;

/// `Start` of a service that starts automatically.
pub(super) const AUTOMATIC: u32 = 2;
/// `Start` of a service that others start, and of a driver that starts with the system.
const MANUAL: u32 = 3;
const SYSTEM_START: u32 = 1;
const SERVICES: [(&str, u32); 12] = [
    ("BFE", AUTOMATIC),
    ("Dhcp", AUTOMATIC),
    ("Dnscache", AUTOMATIC),
    ("IKEEXT", AUTOMATIC),
    ("iphlpsvc", AUTOMATIC),
    ("nsi", AUTOMATIC),
    ("mpssvc", AUTOMATIC),
    ("RemoteRegistry", AUTOMATIC),
    ("w32time", AUTOMATIC),
    ("Netlogon", MANUAL),
    ("Netman", MANUAL),
    ("TermService", MANUAL),
];
const FIREWALL: &str = r"Services\SharedAccess\Parameters\FirewallPolicy";
/// The address from which Azure contacts machines.
const PLATFORM: &str = "168.63.129.16";
/// The power plan "High performance", and its setting for turning the display off.
const HIGH_PERFORMANCE: &str = "8c5e7fda-e8bf-4a96-9a85-a6e23a8c635c";
const DISPLAY_OFF: &str = r"7516b95f-f776-4464-8c53-06167f40cc99\3c0bc021-c8a8-4e07-a973-6b14cbcb2b7e";

pub(super) fn prepare(image: &mut ImageEdit<'_>, warnings: &mut Vec<String>) -> Result<()> {
    let system = image.edit(HiveFile::System)?;
    let mut has_dvd = false;
    for set in control_sets(system)? {
        for (name, start) in SERVICES {
            if let Some(service) = system.find_from(set, &format!(r"Services\{name}")) {
                system.set_value(service, "Start", Value::dword(start))?;
            }
        }
        // Azure sets machines up from a disc.
        if let Some(service) = system.find_from(set, r"Services\cdrom") {
            system.set_value(service, "Start", Value::dword(SYSTEM_START))?;
            has_dvd = true;
        }
        machine(system, set)?;
        firewall(system, set)?;
    }
    if !has_dvd {
        warnings
            .push("the image has no driver for DVD drives (service cdrom): Azure sets machines up from a disc".into());
    }
    software(image)?;
    if !remote_desktop::enable(image)? {
        warnings
            .push("the image has no Remote Desktop (service TermService): Azure reaches it by other ways only".into());
    }
    let (system_policy, key) = image.key(HiveFile::Software, r"Policies\Microsoft\Windows NT\Terminal Services")?;
    for (name, number) in
        [("fDenyTSConnections", 0), ("KeepAliveEnable", 1), ("KeepAliveInterval", 1), ("fDisableAutoReconnect", 0)]
    {
        system_policy.set_value(key, name, Value::dword(number))?;
    }
    Ok(())
}

/// Settings of the control set `set`.
fn machine(hive: &mut Hive, set: KeyId) -> Result<()> {
    let mut put = |path: &str, values: &[(&str, Value)]| -> Result<()> {
        let key = hive.create_key(set, path)?;
        values.iter().try_for_each(|(name, value)| hive.set_value(key, *name, value.clone()))
    };
    let dump = Value::expand_sz(r"%SystemRoot%\MEMORY.DMP");
    put(
        r"Control\CrashControl",
        &[("CrashDumpEnabled", Value::dword(2)), ("DumpFile", dump), ("NMICrashDump", Value::dword(1))],
    )?;
    let temporary = Value::expand_sz(r"%SystemRoot%\TEMP");
    put(r"Control\Session Manager\Environment", &[("TEMP", temporary.clone()), ("TMP", temporary)])?;
    let schemes = r"Control\Power\User\PowerSchemes";
    put(schemes, &[("ActivePowerScheme", Value::sz(HIGH_PERFORMANCE))])?;
    put(&format!(r"{schemes}\{HIGH_PERFORMANCE}\{DISPLAY_OFF}"), &[("ACSettingIndex", Value::dword(0))])?;
    let listener = [
        ("PortNumber", 3389),
        ("LanAdapter", 0),
        ("KeepAliveTimeout", 1),
        ("fInheritReconnectSame", 1),
        ("fReconnectSame", 0),
        ("MaxInstanceCount", u32::MAX),
    ];
    put(remote_desktop::LISTENER, &listener.map(|(name, number)| (name, Value::dword(number))))?;
    if let Some(key) = hive.find_from(set, remote_desktop::LISTENER) {
        hive.delete_value(key, "SSLCertificateSHA1Hash")?;
    }
    if let Some(routes) = hive.find_from(set, r"Services\Tcpip\Parameters\PersistentRoutes") {
        for name in hive.value_names(routes) {
            hive.delete_value(routes, name)?;
        }
    }
    Ok(())
}

fn firewall(hive: &mut Hive, set: KeyId) -> Result<()> {
    for profile in ["DomainProfile", "PublicProfile", "StandardProfile"] {
        let key = hive.create_key(set, &format!(r"{FIREWALL}\{profile}"))?;
        hive.set_value(key, "EnableFirewall", Value::dword(1))?;
    }
    let rules = hive.create_key(set, &format!(r"{FIREWALL}\FirewallRules"))?;
    for (name, direction) in [("AzurePlatform-In", "In"), ("AzurePlatform-Out", "Out")] {
        let rule = format!("v2.10|Action=Allow|Active=TRUE|Dir={direction}|RA4={PLATFORM}|Name=Azure platform|");
        hive.set_value(rules, name, Value::sz(&rule))?;
    }
    for name in ["FPS-ICMP4-ERQ-In", "WINRM-HTTP-In-TCP"] {
        if let Some(rule) = hive.value(rules, name).and_then(|value| value.text()) {
            hive.set_value(rules, name, Value::sz(&rule.replace("|Active=FALSE|", "|Active=TRUE|")))?;
        }
    }
    Ok(())
}

/// Removes the proxy of the machine from which the image was captured.
fn software(image: &mut ImageEdit<'_>) -> Result<()> {
    const CONNECTIONS: &str = r"Microsoft\Windows\CurrentVersion\Internet Settings\Connections";
    let hive = image.edit(HiveFile::Software)?;
    if let Some(key) = hive.find(CONNECTIONS) {
        hive.delete_value(key, "WinHttpSettings")?;
    }
    Ok(())
}
