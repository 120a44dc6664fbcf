//! Memberships in categories: services, drivers, and service groups.

use super::common::{is_true, security_name};
use super::model::{FailureAction, FailureActions, Manifest, Service, ServiceGroup, Trigger};
use crate::xml::Element;

/// Categories that only mark a component.
const MARKERS: [&str; 7] =
    ["BootCritical", "BootRecovery", "ServicingStackComponent", "StoreContent", "Service", "SvcHost", "Network"];

const KINDS: [(&str, u32); 8] = [
    ("kernelDriver", 0x1),
    ("fileSystemDriver", 0x2),
    ("adapter", 0x4),
    ("recognizerDriver", 0x8),
    ("win32OwnProcess", 0x10),
    ("win32ShareProcess", 0x20),
    ("win32UserOwnProcess", 0x50),
    ("win32UserShareProcess", 0x60),
];
const STARTS: [(&str, u32); 6] =
    [("boot", 0), ("system", 1), ("auto", 2), ("delayedAuto", 2), ("demand", 3), ("disabled", 4)];
const ERROR_CONTROLS: [(&str, u32); 4] = [("ignore", 0), ("normal", 1), ("severe", 2), ("critical", 3)];
const SID_TYPES: [(&str, u32); 3] = [("none", 0), ("unrestricted", 1), ("restricted", 3)];
const PROTECTIONS: [(&str, u32); 4] = [("none", 0), ("windows", 1), ("windowsLight", 2), ("antimalwareLight", 3)];
const ACTIONS: [(&str, u32); 4] = [("none", 0), ("restartService", 1), ("reboot", 2), ("runCommand", 3)];
/// SERVICE_TRIGGER_TYPE_* of winsvc.h.
const TRIGGERS: [(&str, u32); 10] = [
    ("DeviceInterfaceArrival", 1),
    ("IpAddressAvailability", 2),
    ("DomainJoin", 3),
    ("FirewallPortEvent", 4),
    ("GroupPolicy", 5),
    ("NetworkEndpoint", 6),
    ("CustomSystemStateChange", 7),
    ("WnfStateEvent", 7),
    ("Custom", 20),
    ("Aggregate", 30),
];
/// SERVICE_TRIGGER_TYPE_FIREWALL_PORT_EVENT.
const FIREWALL_PORT: u32 = 4;
const DATA_TYPES: [(&str, u32); 5] = [("binary", 1), ("string", 2), ("level", 3), ("keywordAny", 4), ("keywordAll", 5)];
/// The GUIDs of trigger subtypes in winsvc.h, by their names without `_GUID`.
const SUBTYPES: [(&str, &str); 12] = [
    ("NETWORK_MANAGER_FIRST_IP_ADDRESS_ARRIVAL", "4f27f2de-14e2-430b-a549-7cd48cbc8245"),
    ("NETWORK_MANAGER_LAST_IP_ADDRESS_REMOVAL", "cc4ba62a-162e-4648-847a-b6bdf993e335"),
    ("DOMAIN_JOIN", "1ce20aba-9851-4421-9430-1ddeb766e809"),
    ("DOMAIN_LEAVE", "ddaf516e-58c2-4866-9574-c3b615d42ea1"),
    ("FIREWALL_PORT_OPEN", "b7569e07-8421-4ee0-ad10-86915afdad09"),
    ("FIREWALL_PORT_CLOSE", "a144ed38-8e12-4de4-9d96-e64740b1a524"),
    ("MACHINE_POLICY_PRESENT", "659fcae6-5bdb-4da9-b1ff-ca2a178d46e0"),
    ("USER_POLICY_PRESENT", "54fb46c8-f089-464c-b1fd-59d1b62c3b50"),
    ("RPC_INTERFACE_EVENT", "bc90d167-9470-4139-a9ba-be0bbbf5b74d"),
    ("NAMED_PIPE_EVENT", "1f81d131-3fac-4537-9e0c-7e7b0c2f4b55"),
    ("CUSTOM_SYSTEM_STATE_CHANGE_EVENT", "2d7a2816-0c5e-45fc-9ce7-570e5ecde9c9"),
    ("WNF_STATE_CHANGE", "2d7a2816-0c5e-45fc-9ce7-570e5ecde9c9"),
];

impl Manifest {
    pub(super) fn read_memberships(&mut self, memberships: &Element) {
        for membership in memberships.elements() {
            if !membership.is("categoryMembership") {
                self.unhandled(membership, "not known in `memberships`");
                continue;
            }
            let category = membership.first("id").and_then(|id| id.attribute("typeName")).unwrap_or_default();
            let is_marker = MARKERS.contains(&category) || category.starts_with("SingleInstanceFiles");
            let instances = membership.elements().filter(|part| !part.is("id"));
            for instance in instances {
                let group = instance.attribute("subcategory").unwrap_or_default();
                for part in instance.elements() {
                    match part.local() {
                        "serviceData" => self.read_service(part),
                        "serviceGroup" => self.read_service_group(part, group),
                        _ => self.unhandled(part, format!("not known in the category `{category}`")),
                    }
                }
            }
            if !is_marker && !membership.elements().any(|instance| !instance.is_empty()) {
                self.unhandled(membership, format!("the category `{category}` is not known"));
            }
        }
    }

    fn read_service_group(&mut self, element: &Element, group: &str) {
        match element.attribute("serviceName") {
            Some(service) if !group.is_empty() && !service.is_empty() => self.service_groups.push(ServiceGroup {
                group: group.to_owned(),
                service: service.to_owned(),
                is_first: element.attribute("position").is_some_and(|position| position.eq_ignore_ascii_case("first")),
            }),
            _ => self.unhandled(element, "a service group without the name of a group or of a service"),
        }
    }

    fn read_service(&mut self, element: &Element) {
        let mut service = Service { security: security_name(element), ..Service::default() };
        for (name, value) in element.attributes() {
            if let Err(why) = service.set(name, value) {
                self.unhandled(element, why);
            }
        }
        if service.name.is_empty() || service.name.contains('\\') {
            return self.unhandled(element, "a service without a proper name");
        }
        for part in element.elements() {
            let read = match part.local() {
                "failureActions" => service.read_failure(part),
                "serviceTrigger" => read_trigger(part).map(|trigger| service.triggers.push(trigger)),
                "securityDescriptor" => Ok(()),
                _ => Err("not known in a service".into()),
            };
            if let Err(why) = read {
                self.unhandled(part, format!("{why} (of the service `{}`)", service.name));
            }
        }
        self.services.push(service);
    }
}

impl Service {
    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let text = |value_name| (value_name, value.to_owned());
        let list = |value_name| {
            let items = value.split(',').map(str::trim).filter(|item| !item.is_empty());
            (value_name, items.map(str::to_owned).collect::<Vec<_>>())
        };
        match name {
            "name" => self.name = value.to_owned(),
            "type" => {
                let bare = value.to_ascii_lowercase().replace("interactive", "");
                let interactive = if bare.len() == value.len() { 0 } else { 0x100 };
                let bare = bare.trim_matches([',', '|', ' ']);
                self.numbers.push(("Type", lookup(&KINDS, bare, name)? | interactive));
            }
            "start" => {
                self.numbers.push(("Start", lookup(&STARTS, value, name)?));
                if value.eq_ignore_ascii_case("delayedAuto") {
                    self.numbers.push(("DelayedAutostart", 1));
                }
            }
            "errorControl" => self.numbers.push(("ErrorControl", lookup(&ERROR_CONTROLS, value, name)?)),
            "sidType" => self.numbers.push(("ServiceSidType", lookup(&SID_TYPES, value, name)?)),
            "launchProtected" => self.numbers.push(("LaunchProtected", lookup(&PROTECTIONS, value, name)?)),
            "tag" => self.numbers.push(("Tag", value.parse().map_err(|_| format!("`{value}` is not a tag"))?)),
            "failureActionsFlag" => {
                self.numbers.push(("FailureActionsOnNonCrashFailures", is_true(Some(value)).into()));
            }
            "imagePath" => self.image_path = Some(value.to_owned()),
            "displayName" => self.texts.push(text("DisplayName")),
            "description" => self.texts.push(text("Description")),
            "objectName" => self.texts.push(text("ObjectName")),
            "group" => self.texts.push(text("Group")),
            "dependOnService" => self.lists.push(list("DependOnService")),
            "dependOnGroup" => self.lists.push(list("DependOnGroup")),
            "requiredPrivileges" => self.lists.push(list("RequiredPrivileges")),
            // It only says whether a running Windows starts it at once.
            "startAfterInstall" => {}
            _ => return Err(format!("the attribute `{name}` is not known")),
        }
        Ok(())
    }

    fn read_failure(&mut self, element: &Element) -> Result<(), String> {
        for (name, value) in [("FailureCommand", "command"), ("RebootMessage", "rebootMessage")] {
            if let Some(value) = element.attribute(value).filter(|value| !value.is_empty()) {
                self.texts.push((name, value.to_owned()));
            }
        }
        let number = |text: Option<&str>| match text {
            None | Some("") => Ok(0),
            Some(text) if text.eq_ignore_ascii_case("INFINITE") => Ok(u32::MAX),
            Some(text) => text.parse().map_err(|_| format!("`{text}` is not a time")),
        };
        let mut failure =
            FailureActions { reset_period: number(element.attribute("resetPeriod"))?, actions: Vec::new() };
        for action in element.all("actions").flat_map(|actions| actions.all("action")) {
            let kind = lookup(&ACTIONS, action.attribute("type").unwrap_or("none"), "type")?;
            failure.actions.push(FailureAction { kind, delay: number(action.attribute("delay"))? });
        }
        self.failure = Some(failure);
        Ok(())
    }
}

fn read_trigger(element: &Element) -> Result<Trigger, String> {
    let attribute = |name: &str| element.attribute(name).ok_or_else(|| format!("a trigger without `{name}`"));
    let subtype = attribute("subtype")?;
    let bare = subtype.strip_suffix("_GUID").unwrap_or(subtype);
    let named = SUBTYPES.iter().find(|(name, _)| bare.eq_ignore_ascii_case(name)).map(|(_, guid)| *guid);
    let guid = named.unwrap_or(subtype).parse();
    let mut trigger = Trigger {
        kind: lookup(&TRIGGERS, attribute("type")?, "type")?,
        action: lookup(&[("start", 1), ("stop", 2)], attribute("action")?, "action")?,
        subtype: guid.map_err(|_| format!("the trigger `{subtype}` is not known"))?,
        data: Vec::new(),
    };
    for data in element.all("triggerData") {
        let value = data.attribute("value").unwrap_or_default();
        let kind = lookup(&DATA_TYPES, data.attribute("type").unwrap_or("binary"), "type")?;
        let bytes = match kind {
            // The text with its terminator. For a firewall port it is a list of texts, which has a second one.
            2 => {
                let end: &[u16] = if trigger.kind == FIREWALL_PORT { &[0, 0] } else { &[0] };
                value.encode_utf16().chain(end.iter().copied()).flat_map(u16::to_le_bytes).collect()
            }
            _ => hex::decode(value).map_err(|_| format!("`{value}` is not hexadecimal"))?,
        };
        trigger.data.push((kind, bytes));
    }
    Ok(trigger)
}

/// The number for `value` of the attribute `name`: by name, or written as a number.
fn lookup(names: &[(&str, u32)], value: &str, name: &str) -> Result<u32, String> {
    let known = names.iter().find(|(known, _)| value.eq_ignore_ascii_case(known)).map(|(_, number)| *number);
    known.or_else(|| value.parse().ok()).ok_or_else(|| format!("`{value}` is not a known {name}"))
}
