//! What is known of answer files: passes, components and their settings.
//!
//! Source: "Unattended Windows Setup Reference" on learn.microsoft.com.

/// The namespace of answer files.
pub(super) const NAMESPACE: &str = "urn:schemas-microsoft-com:unattend";

/// Configuration passes, in the order of an installation.
pub(super) const PASSES: [&str; 7] =
    ["windowsPE", "offlineServicing", "generalize", "specialize", "auditSystem", "auditUser", "oobeSystem"];

pub(in super::super) const SHELL_SETUP: &str = "Microsoft-Windows-Shell-Setup";
pub(in super::super) const UNATTENDED_JOIN: &str = "Microsoft-Windows-UnattendedJoin";
const INTERNATIONAL: &str = "Microsoft-Windows-International-Core";
const LUA: &str = "Microsoft-Windows-LUA-Settings";
const TERMINAL: &str = "Microsoft-Windows-TerminalServices-LocalSessionManager";
const FIREWALL: &str = "Networking-MPSSVC-Svc";

/// Components whose settings are all known.
const COMPONENTS: [(&str, &[&str]); 5] = [
    (
        SHELL_SETUP,
        &[
            "AutoLogon",
            "BluetoothTaskbarIconEnabled",
            "ComputerName",
            "ConvertibleSlateModePromptPreference",
            "CopyProfile",
            "DesktopOptimization",
            "DisableAutoDaylightTimeSet",
            "Display",
            "DoNotCleanTaskBar",
            "EnableStartMenu",
            "FirstLogonCommands",
            "FolderLocations",
            "LogonCommands",
            "NotificationArea",
            "OEMInformation",
            "OEMName",
            "OOBE",
            "OfflineUserAccounts",
            "ProductKey",
            "RegisteredOrganization",
            "RegisteredOwner",
            "ShowPowerButtonOnStartScreen",
            "ShowWindowsLive",
            "SignInMode",
            "StartPanelOff",
            "StartTiles",
            "TaskbarLinks",
            "Themes",
            "TimeZone",
            "UserAccounts",
            "VisualEffects",
            "WindowsFeatures",
        ],
    ),
    (UNATTENDED_JOIN, &["Identification", "OfflineIdentification"]),
    (INTERNATIONAL, &["InputLocale", "SystemLocale", "UILanguage", "UILanguageFallback", "UserLocale"]),
    (
        "Microsoft-Windows-International-Core-WinPE",
        &[
            "InputLocale",
            "LayeredDriver",
            "SetupUILanguage",
            "SystemLocale",
            "UILanguage",
            "UILanguageFallback",
            "UserLocale",
        ],
    ),
    (
        "Microsoft-Windows-Deployment",
        &["ExtendOSPartition", "Generalize", "Reseal", "RunAsynchronous", "RunSynchronous"],
    ),
];

/// Passes in which settings are valid that are often put elsewhere: component, setting, passes.
const VALID_PASSES: [(&str, &str, &[&str]); 7] = [
    (SHELL_SETUP, "ComputerName", &["offlineServicing", "specialize"]),
    (SHELL_SETUP, "OfflineUserAccounts", &["offlineServicing"]),
    (SHELL_SETUP, "UserAccounts", &["auditSystem", "oobeSystem"]),
    (SHELL_SETUP, "FirstLogonCommands", &["oobeSystem"]),
    (SHELL_SETUP, "OOBE", &["oobeSystem"]),
    (UNATTENDED_JOIN, "Identification", &["specialize"]),
    (UNATTENDED_JOIN, "OfflineIdentification", &["offlineServicing"]),
];

/// What is to be said of a setting under a component.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Fine,
    /// The component has no such setting; another one has.
    BelongsTo(&'static str),
    /// The component has no such setting.
    Unknown,
    /// It is valid in other passes only.
    WrongPass(&'static [&'static str]),
}

/// Judges a setting; components that are not known are always fine.
pub(super) fn judge(component: &str, setting: &str, pass: &str) -> Verdict {
    let same = |name: &str| name.eq_ignore_ascii_case(component);
    let Some((_, settings)) = COMPONENTS.iter().find(|(name, _)| same(name)) else { return Verdict::Fine };
    if !settings.contains(&setting) {
        let owner = COMPONENTS.iter().find(|(_, settings)| settings.contains(&setting));
        return owner.map_or(Verdict::Unknown, |(name, _)| Verdict::BelongsTo(name));
    }
    let valid = VALID_PASSES.iter().find(|(name, known, _)| same(name) && *known == setting);
    match valid {
        Some((.., passes)) if !passes.contains(&pass) => Verdict::WrongPass(passes),
        _ => Verdict::Fine,
    }
}

/// Where a setting of the offlineServicing pass lives in the registry.
pub(in super::super) struct RegistrySetting {
    pub component: &'static str,
    pub setting: &'static str,
    /// Below each control set of SYSTEM, or below the root of SOFTWARE.
    pub in_system: bool,
    pub key: &'static str,
    pub value: &'static str,
}

const FIREWALL_POLICY: [&str; 3] = [
    r"Services\SharedAccess\Parameters\FirewallPolicy\DomainProfile",
    r"Services\SharedAccess\Parameters\FirewallPolicy\StandardProfile",
    r"Services\SharedAccess\Parameters\FirewallPolicy\PublicProfile",
];

/// Settings of the offlineServicing pass that are one REG_DWORD: 1 for true, 0 for false.
pub(super) const REGISTRY_SETTINGS: [RegistrySetting; 5] = [
    RegistrySetting {
        component: LUA,
        setting: "EnableLUA",
        in_system: false,
        key: r"Microsoft\Windows\CurrentVersion\Policies\System",
        value: "EnableLUA",
    },
    RegistrySetting {
        component: TERMINAL,
        setting: "fDenyTSConnections",
        in_system: true,
        key: r"Control\Terminal Server",
        value: "fDenyTSConnections",
    },
    firewall("DomainProfile_EnableFirewall", FIREWALL_POLICY[0]),
    firewall("PrivateProfile_EnableFirewall", FIREWALL_POLICY[1]),
    firewall("PublicProfile_EnableFirewall", FIREWALL_POLICY[2]),
];

const fn firewall(setting: &'static str, key: &'static str) -> RegistrySetting {
    RegistrySetting { component: FIREWALL, setting, in_system: true, key, value: "EnableFirewall" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_judged_by_component_and_pass() {
        assert_eq!(judge(UNATTENDED_JOIN, "ComputerName", "offlineServicing"), Verdict::BelongsTo(SHELL_SETUP));
        assert_eq!(judge(SHELL_SETUP, "ComputerName", "specialize"), Verdict::Fine);
        assert_eq!(judge(SHELL_SETUP, "InputLocale", "specialize"), Verdict::BelongsTo(INTERNATIONAL));
        assert_eq!(judge(SHELL_SETUP, "Nonsense", "specialize"), Verdict::Unknown);
        assert!(matches!(judge(SHELL_SETUP, "UserAccounts", "specialize"), Verdict::WrongPass(_)));
        assert_eq!(judge("Vendor-Component", "ComputerName", "specialize"), Verdict::Fine);
    }
}
