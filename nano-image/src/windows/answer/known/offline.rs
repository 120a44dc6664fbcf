//! What a build applies of the offlineServicing pass, in place of DISM.

use super::super::{DRIVERS, SHELL_SETUP, UNATTENDED_JOIN};

/// Settings that are applied while the image is built: component and path. If only a part of a group is applied, the
/// path of that part.
const APPLIED: &[(&str, &str)] = &[
    ("Microsoft-Windows-LUA-Settings", "EnableLUA"),
    ("Microsoft-Windows-PartitionManager", "SanPolicy"),
    (DRIVERS, "DriverPaths"),
    ("Microsoft-Windows-SecureStartup-FilterDriver", "PreventDeviceEncryption"),
    (SHELL_SETUP, "ComputerName"),
    (SHELL_SETUP, "OfflineUserAccounts/OfflineAdministratorPassword"),
    (SHELL_SETUP, "TimeZone"),
    ("Microsoft-Windows-TerminalServices-LocalSessionManager", "fDenyTSConnections"),
    // It is treated like that of Shell-Setup.
    (UNATTENDED_JOIN, "ComputerName"),
    (UNATTENDED_JOIN, "OfflineIdentification/Provisioning"),
    ("Networking-MPSSVC-Svc", "DomainProfile_EnableFirewall"),
    ("Networking-MPSSVC-Svc", "PrivateProfile_EnableFirewall"),
    ("Networking-MPSSVC-Svc", "PublicProfile_EnableFirewall"),
];

/// Whether a build applies something of the setting `path` of `component`.
pub fn is_applied_offline(component: &str, path: &str) -> bool {
    APPLIED.iter().any(|(name, setting)| name.eq_ignore_ascii_case(component) && *setting == path)
}

/// Whether a build looks into the group `path` of `component` and applies some of its settings.
pub fn is_opened_offline(component: &str, path: &str) -> bool {
    let is_in = |setting: &&str| setting.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
    APPLIED.iter().any(|(name, setting)| name.eq_ignore_ascii_case(component) && is_in(setting))
}
