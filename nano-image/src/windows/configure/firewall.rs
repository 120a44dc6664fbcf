//! Firewall rules for remote management, set offline.

use crate::error::Result;
use crate::registry::Value;
use crate::windows::edit::{HiveFile, ImageEdit, control_sets};

const RULES: &str = r"Services\SharedAccess\Parameters\FirewallPolicy\FirewallRules";
/// WinRM over HTTP, from every network. Rules have the form of \[MS-FASP\] 2.2.19.
const WINRM: &str = "v2.10|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=5985|Name=WinRM 5985|";
const WINRM_ID: &str = "WINRM-5985-In-TCP";
/// The group of Remote Event Log Management.
const EVENT_LOG_GROUP: &str = "|EmbedCtxt=@FirewallAPI.dll,-29252|";

/// Allows WinRM from other subnets, and enables the rules of Remote Event Log Management.
pub(super) fn allow_remote_management(image: &mut ImageEdit<'_>, warnings: &mut Vec<String>) -> Result<()> {
    let hive = image.edit(HiveFile::System)?;
    let mut has_group = true;
    for set in control_sets(hive)? {
        let key = hive.create_key(set, RULES)?;
        hive.set_value(key, WINRM_ID, Value::sz(WINRM))?;
        let rules = hive.values(key).into_iter().filter_map(|(name, value)| Some((name, value.kind, value.text()?)));
        let group: Vec<_> = rules.filter(|(.., rule)| rule.contains(EVENT_LOG_GROUP)).collect();
        has_group &= !group.is_empty();
        for (name, kind, rule) in group {
            let rule = Value::sz(&rule.replace("|Active=FALSE|", "|Active=TRUE|"));
            hive.set_value(key, name, Value::new(kind, rule.data))?;
        }
    }
    if !has_group {
        warnings.push(
            "the image has no firewall rules for Remote Event Log Management that could be switched on; the rule for \
             WinRM is written"
                .into(),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{TIME, edit, hive, image};
    use super::*;
    use crate::tree::Times;

    #[test]
    fn rules_are_added_and_switched_on() {
        let mut tree = image();
        let mut system = hive(&tree, HiveFile::System);
        let rule = |active: &str, group: u32| {
            Value::sz(&format!("v2.10|Action=Allow|Active={active}|Dir=In|EmbedCtxt=@FirewallAPI.dll,-{group}|"))
        };
        for set in ["ControlSet001", "ControlSet002"] {
            let key = system.create_key(system.root(), &format!(r"{set}\{RULES}")).unwrap();
            system.set_value(key, "Log-In", rule("FALSE", 29252)).unwrap();
            system.set_value(key, "Other", rule("FALSE", 28502)).unwrap();
        }
        tree.write_file(HiveFile::System.path(), system.into_bytes(), Times::default()).unwrap();
        let mut warnings = Vec::new();
        edit(&mut tree, TIME, |image| allow_remote_management(image, &mut warnings)).unwrap();
        assert!(warnings.is_empty());
        let system = hive(&tree, HiveFile::System);
        let key = system.find(&format!(r"ControlSet002\{RULES}")).unwrap();
        assert_eq!(system.value(key, WINRM_ID).unwrap().text().unwrap(), WINRM);
        assert_eq!(system.value(key, "Log-In").unwrap(), rule("TRUE", 29252));
        assert_eq!(system.value(key, "Other").unwrap(), rule("FALSE", 28502));
    }
}
