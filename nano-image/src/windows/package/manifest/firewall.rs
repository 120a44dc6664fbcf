//! Firewall rules.

use super::model::{FirewallRule, Manifest};
use crate::xml::Element;

/// Fields of a rule ([MS-FASP] 2.2.19) in the order in which Windows writes them, and the attributes for them.
const FIELDS: [(&str, &[&str]); 26] = [
    ("Action", &["action"]),
    ("Active", &["active", "enabled"]),
    ("Dir", &["dir", "direction"]),
    ("Protocol", &["protocol"]),
    ("Profile", &["profile", "profiles"]),
    ("ICMP4", &["icmp4"]),
    ("ICMP6", &["icmp6"]),
    ("LPort", &["lport", "localport", "localports"]),
    ("LPort2_10", &["lport2_10"]),
    ("RPort", &["rport", "remoteport", "remoteports"]),
    ("LA4", &["la4"]),
    ("LA6", &["la6"]),
    ("RA4", &["ra4"]),
    ("RA42", &["ra42"]),
    ("RA6", &["ra6"]),
    ("RA62", &["ra62"]),
    ("IFType", &["iftype", "interfacetype"]),
    ("IF", &["if"]),
    ("App", &["app", "binary", "program", "application"]),
    ("Svc", &["svc", "service"]),
    ("Name", &["name"]),
    ("Desc", &["desc", "description"]),
    ("EmbedCtxt", &["embedctxt", "group", "grouping"]),
    ("Edge", &["edge"]),
    ("Defer", &["defer"]),
    ("Security", &["security"]),
];

impl Manifest {
    pub(super) fn read_firewall_rule(&mut self, element: &Element) {
        let mut found: Vec<(usize, String)> = Vec::new();
        let mut id = None;
        for (name, value) in element.attributes() {
            let lower = name.to_ascii_lowercase();
            if lower == "internalname" {
                id = Some(value.to_owned());
                continue;
            }
            if lower == "version" || value.is_empty() {
                continue;
            }
            let Some(index) = FIELDS.iter().position(|(_, names)| names.contains(&lower.as_str())) else {
                self.unhandled(element, format!("the attribute `{name}` of a firewall rule is not known"));
                return;
            };
            found.extend(values(FIELDS[index].0, value).into_iter().map(|value| (index, value)));
        }
        found.sort_by_key(|(index, _)| *index);
        let fields: Vec<_> = found.into_iter().map(|(index, value)| (FIELDS[index].0, value)).collect();
        let name = || fields.iter().find(|(name, _)| *name == "Name").map(|(_, value)| value.clone());
        match id.or_else(name) {
            // Fields are separated by `|`.
            Some(id) if fields.iter().all(|(_, value)| !value.contains('|')) => {
                self.firewall_rules.push(FirewallRule { id, fields });
            }
            _ => self.unhandled(element, "a firewall rule without a name, or with `|` in a field"),
        }
    }
}

/// The values for the text of an attribute.
fn values(field: &str, value: &str) -> Vec<String> {
    match field {
        "Active" | "Edge" => vec![value.to_ascii_uppercase()],
        "Protocol" => {
            const NUMBERS: [(&str, &str); 4] = [("tcp", "6"), ("udp", "17"), ("icmpv4", "1"), ("icmpv6", "58")];
            let number = NUMBERS.iter().find(|(name, _)| value.eq_ignore_ascii_case(name));
            vec![number.map_or(value, |(_, number)| number).to_owned()]
        }
        // These fields are repeated in a rule.
        "Profile" | "LPort" | "RPort" | "ICMP4" | "ICMP6" | "LA4" | "LA6" | "RA4" | "RA6" | "IFType" => {
            value.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect()
        }
        _ => vec![value.to_owned()],
    }
}
