//! Services, their groups, and firewall rules.

use super::target::{RULES, SVCHOST, Target};
use super::{Part, Spot};
use crate::error::Result;
use crate::registry::{Hive, KeyId, Value};
use crate::report::InstalledPackage;
use crate::security::ObjectClass;
use crate::windows::edit::HiveFile;
use crate::windows::package::manifest::{FailureActions, Service, Trigger};

/// The version of rules ([MS-FASP] 2.2.19) that all versions of Windows in question can read.
const RULE_VERSION: &str = "v2.10";

impl Part<'_> {
    pub(super) fn write_services(&self, target: &mut Target<'_, '_>, done: &mut InstalledPackage) -> Result<()> {
        for service in &self.manifest.services {
            self.write_service(target, service, done)?;
        }
        for wanted in &self.manifest.service_groups {
            let (hive, key) = target.image.key(HiveFile::Software, SVCHOST)?;
            let old = hive.value(key, wanted.group.as_str()).and_then(|value| value.texts());
            let mut services = old.unwrap_or_default();
            if !services.iter().any(|service| service.eq_ignore_ascii_case(&wanted.service)) {
                services.insert(if wanted.is_first { 0 } else { services.len() }, wanted.service.clone());
                hive.set_value(key, wanted.group.as_str(), Value::multi_sz(services))?;
            }
        }
        Ok(())
    }

    fn write_service(&self, target: &mut Target<'_, '_>, service: &Service, done: &mut InstalledPackage) -> Result<()> {
        let spot = Spot { element: "serviceData", name: &service.name };
        let (hive, key) = target.image.system_key(&format!(r"Services\{}", service.name))?;
        for (name, number) in &service.numbers {
            hive.set_value(key, *name, Value::dword(*number))?;
        }
        for (name, text) in &service.texts {
            hive.set_value(key, *name, Value::sz(&self.macros.text(text)?))?;
        }
        if let Some(path) = &service.image_path {
            hive.set_value(key, "ImagePath", Value::expand_sz(&self.macros.text(path)?))?;
        }
        for (name, items) in &service.lists {
            hive.set_value(key, *name, Value::multi_sz(items))?;
        }
        if let Some(failure) = &service.failure {
            hive.set_value(key, "FailureActions", Value::binary(failure_actions(failure)))?;
        }
        write_triggers(hive, key, &service.triggers)?;
        let security = service.security.as_deref();
        if let Some(descriptor) = self.descriptor(security, ObjectClass::Service, None, spot, done)? {
            let key = hive.create_child(key, "Security")?;
            hive.set_value(key, "Security", Value::binary(descriptor))?;
        }
        Ok(())
    }

    pub(super) fn write_firewall_rules(&self, target: &mut Target<'_, '_>, _done: &mut InstalledPackage) -> Result<()> {
        for rule in &self.manifest.firewall_rules {
            let mut text = format!("{RULE_VERSION}|");
            for (name, value) in &rule.fields {
                text += &format!("{name}={}|", self.macros.text(value)?);
            }
            let (hive, key) = target.image.system_key(RULES)?;
            hive.set_value(key, rule.id.as_str(), Value::sz(&text))?;
        }
        Ok(())
    }
}

/// SERVICE_FAILURE_ACTIONS of winsvc.h, as the service control manager stores it: pointers are 0 or offsets.
fn failure_actions(failure: &FailureActions) -> Vec<u8> {
    let header = [failure.reset_period, 0, 0, failure.actions.len() as u32, 0x14];
    let actions = failure.actions.iter().flat_map(|action| [action.kind, action.delay]);
    header.into_iter().chain(actions).flat_map(u32::to_le_bytes).collect()
}

/// Writes triggers, which replace those that the service had.
fn write_triggers(hive: &mut Hive, service: KeyId, triggers: &[Trigger]) -> Result<()> {
    if triggers.is_empty() {
        return Ok(());
    }
    if let Some(old) = hive.child(service, "TriggerInfo") {
        hive.delete_key(old)?;
    }
    for (number, trigger) in triggers.iter().enumerate() {
        let key = hive.create_key(service, &format!(r"TriggerInfo\{number}"))?;
        hive.set_value(key, "Type", Value::dword(trigger.kind))?;
        hive.set_value(key, "Action", Value::dword(trigger.action))?;
        hive.set_value(key, "GUID", Value::binary(trigger.subtype.to_bytes()))?;
        for (number, (kind, bytes)) in trigger.data.iter().enumerate() {
            hive.set_value(key, format!("Data{number}").as_str(), Value::binary(bytes.as_slice()))?;
            hive.set_value(key, format!("DataType{number}").as_str(), Value::dword(*kind))?;
        }
    }
    Ok(())
}
