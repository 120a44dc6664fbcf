//! Remote Desktop, switched on in the registry.

use super::edit::{HiveFile, ImageEdit, control_sets};
use crate::error::Result;
use crate::registry::Value;

/// The key of the listener, below a control set.
pub(super) const LISTENER: &str = r"Control\Terminal Server\WinStations\RDP-Tcp";
/// The group of the firewall's rules, in every language.
pub(super) const FIREWALL_GROUP: &str = "@FirewallAPI.dll,-28752";

const RULES: &str = r"Services\SharedAccess\Parameters\FirewallPolicy\FirewallRules";
/// Rules have the form of \[MS-FASP\] 2.2.19.
const RULE: &str = r"v2.10|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=3389|App=%SystemRoot%\system32\svchost.exe|Svc=termservice|Name=Remote Desktop (TCP-In)|";
const RULE_ID: &str = "RemoteDesktop-3389-In-TCP";

/// Allows Remote Desktop, with authentication before a session is created; `false` if the image does not have it.
pub(super) fn enable(image: &mut ImageEdit<'_>) -> Result<bool> {
    let hive = image.edit(HiveFile::System)?;
    let mut found = false;
    for set in control_sets(hive)? {
        if hive.find_from(set, r"Services\TermService").is_none() {
            continue;
        }
        found = true;
        let key = hive.create_key(set, r"Control\Terminal Server")?;
        hive.set_value(key, "fDenyTSConnections", Value::dword(0))?;
        let key = hive.create_key(set, LISTENER)?;
        hive.set_value(key, "UserAuthentication", Value::dword(1))?;
        let key = hive.create_key(set, RULES)?;
        let group = format!("|EmbedCtxt={FIREWALL_GROUP}|");
        let rules = hive.values(key).into_iter().filter_map(|(name, value)| Some((name, value.text()?)));
        let own: Vec<_> = rules.filter(|(_, rule)| rule.contains(&group)).collect();
        if own.is_empty() {
            hive.set_value(key, RULE_ID, Value::sz(RULE))?;
        }
        for (name, rule) in own {
            hive.set_value(key, name, Value::sz(&rule.replace("|Active=FALSE|", "|Active=TRUE|")))?;
        }
    }
    Ok(found)
}
