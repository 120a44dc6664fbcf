//! Settings of the answer file that are values in the registry.

use crate::error::{Error, Result};
use crate::windows::answer::{AnswerFile, Pass};

/// The pass that is applied to an image that is not running.
pub(super) const OFFLINE: &str = Pass::OfflineServicing.name();

const LUA: &str = "Microsoft-Windows-LUA-Settings";
const TERMINAL: &str = "Microsoft-Windows-TerminalServices-LocalSessionManager";
const FIREWALL: &str = "Networking-MPSSVC-Svc";

/// Where a setting of the offlineServicing pass is in the registry.
pub(super) struct RegistrySetting {
    pub component: &'static str,
    pub setting: &'static str,
    /// Whether its key is below each control set of SYSTEM; otherwise it is below the root of SOFTWARE.
    pub in_system: bool,
    pub key: &'static str,
    pub value: &'static str,
    kind: Kind,
}

/// The type of a setting's text.
#[derive(Clone, Copy)]
enum Kind {
    /// `true` or `false`, in any case, or 1 or 0.
    Flag,
    /// A number.
    Number,
}

const FIREWALL_POLICY: [&str; 3] = [
    r"Services\SharedAccess\Parameters\FirewallPolicy\DomainProfile",
    r"Services\SharedAccess\Parameters\FirewallPolicy\StandardProfile",
    r"Services\SharedAccess\Parameters\FirewallPolicy\PublicProfile",
];

/// Settings of the offlineServicing pass that are one REG_DWORD: 1 for true, 0 for false, or a number.
const REGISTRY_SETTINGS: [RegistrySetting; 7] = [
    RegistrySetting {
        component: LUA,
        setting: "EnableLUA",
        in_system: false,
        key: r"Microsoft\Windows\CurrentVersion\Policies\System",
        value: "EnableLUA",
        kind: Kind::Flag,
    },
    RegistrySetting {
        component: TERMINAL,
        setting: "fDenyTSConnections",
        in_system: true,
        key: r"Control\Terminal Server",
        value: "fDenyTSConnections",
        kind: Kind::Flag,
    },
    RegistrySetting {
        component: "Microsoft-Windows-PartitionManager",
        setting: "SanPolicy",
        in_system: true,
        key: r"Services\partmgr\Parameters",
        value: "SanPolicy",
        kind: Kind::Number,
    },
    RegistrySetting {
        component: "Microsoft-Windows-SecureStartup-FilterDriver",
        setting: "PreventDeviceEncryption",
        in_system: true,
        key: r"Control\BitLocker",
        value: "PreventDeviceEncryption",
        kind: Kind::Flag,
    },
    firewall("DomainProfile_EnableFirewall", FIREWALL_POLICY[0]),
    firewall("PrivateProfile_EnableFirewall", FIREWALL_POLICY[1]),
    firewall("PublicProfile_EnableFirewall", FIREWALL_POLICY[2]),
];

const fn firewall(setting: &'static str, key: &'static str) -> RegistrySetting {
    RegistrySetting { component: FIREWALL, setting, in_system: true, key, value: "EnableFirewall", kind: Kind::Flag }
}

/// Removes the registry settings of the offlineServicing pass from the file, and returns them with their values.
pub(super) fn take_registry_settings(file: &mut AnswerFile) -> Result<Vec<(&'static RegistrySetting, u32)>> {
    let mut found = Vec::new();
    for known in &REGISTRY_SETTINGS {
        let Some(text) = file.text(OFFLINE, known.component, &[known.setting]) else { continue };
        let value = match (known.kind, text.to_ascii_lowercase().as_str()) {
            (Kind::Flag, "true" | "1") => Some(1),
            (Kind::Flag, "false" | "0") => Some(0),
            (Kind::Flag, _) => None,
            (Kind::Number, text) => text.parse().ok(),
        };
        let Some(value) = value else {
            let what = format!("`{text}` is not a value of {}/{}", known.component, known.setting);
            let hint = if let Kind::Flag = known.kind { "write true or false" } else { "write a number" };
            return Err(Error::corrupt(format!("bad answer file: {what}")).with_hint(hint));
        };
        file.remove(OFFLINE, known.component, known.setting);
        found.push((known, value));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::windows::answer::known;

    #[test]
    fn what_is_set_is_said_to_be() {
        for known in &REGISTRY_SETTINGS {
            assert!(known::is_applied_offline(known.component, known.setting), "{}", known.setting);
        }
        assert!(!known::is_applied_offline(LUA, "Other") && !known::is_opened_offline(LUA, "EnableLUA"));
    }

    #[test]
    fn offline_settings_are_taken_once() {
        let text = format!(
            "<unattend xmlns=\"urn:schemas-microsoft-com:unattend\"><settings pass=\"{OFFLINE}\"><component \
             name=\"{LUA}\"><EnableLUA>FALSE</EnableLUA><Other/></component></settings></unattend>"
        );
        let mut file = AnswerFile::parse(text.as_bytes()).unwrap();
        let found = take_registry_settings(&mut file).unwrap();
        assert_eq!((found.len(), found[0].0.value, found[0].1), (1, "EnableLUA", 0));
        assert_eq!(file.settings(OFFLINE), [format!("{LUA}/Other")]);
    }
}
