//! Event providers and their channels (`<instrumentation>`, the schema of event manifests).

use super::common::is_true;
use super::model::{Channel, EventProvider, ImportedChannel, Manifest};
use crate::xml::Element;

const KINDS: [&str; 4] = ["Admin", "Operational", "Analytic", "Debug"];
const ISOLATIONS: [&str; 3] = ["Application", "System", "Custom"];
/// Attributes that name files, and the registry values for them.
const FILES: [(&str, &str); 3] = [
    ("resourceFileName", "ResourceFileName"),
    ("messageFileName", "MessageFileName"),
    ("parameterFileName", "ParameterFileName"),
];

impl Manifest {
    pub(super) fn read_instrumentation(&mut self, instrumentation: &Element) {
        for part in instrumentation.elements() {
            match part.local() {
                "events" => {
                    for provider in part.elements() {
                        match provider.local() {
                            "provider" => self.read_provider(provider),
                            // Messages are in the files of the provider.
                            "messageTable" => {}
                            _ => self.unhandled(provider, "not known in `events`"),
                        }
                    }
                }
                "counters" => self.unhandled(part, "performance counters are registered by a program"),
                _ => self.unhandled(part, "not known in `instrumentation`"),
            }
        }
    }

    fn read_provider(&mut self, element: &Element) {
        let guid = element.attribute("guid").and_then(|guid| guid.parse().ok());
        let (Some(name), Some(guid)) = (element.attribute("name"), guid) else {
            return self.unhandled(element, "a provider of events without a name or GUID");
        };
        let file = |(attribute, value)| Some((value, element.attribute(attribute)?.to_owned()));
        let files = FILES.into_iter().filter_map(file).filter(|(_, path)| !path.is_empty()).collect();
        let mut provider =
            EventProvider { name: name.to_owned(), guid, files, channels: Vec::new(), imported: Vec::new() };
        for part in element.elements().filter(|part| part.local() == "channels").flat_map(|list| list.elements()) {
            let Some(name) = part.attribute("name").filter(|name| !name.is_empty()).map(str::to_owned) else {
                self.unhandled(part, "a channel without a name");
                continue;
            };
            let number = part.attribute("value").and_then(|text| text.parse().ok());
            match part.local() {
                "importChannel" => provider.imported.push(ImportedChannel { name, number }),
                "channel" => match read_channel(part, name, number) {
                    Ok(channel) => provider.channels.push(channel),
                    Err(why) => self.unhandled(part, why),
                },
                _ => self.unhandled(part, "not known in `channels`"),
            }
        }
        self.event_providers.push(provider);
    }
}

fn read_channel(element: &Element, name: String, number: Option<u32>) -> Result<Channel, String> {
    let index = |names: &[&str], attribute: &str| {
        let Some(value) = element.attribute(attribute) else { return Ok(0) };
        let found = names.iter().position(|known| value.eq_ignore_ascii_case(known));
        found.map(|index| index as u32).ok_or_else(|| format!("`{value}` is not a known {attribute} of a channel"))
    };
    let logging = element.elements().find(|part| part.local() == "logging");
    // A setting of the log is an element with text.
    let log = |name: &str| logging?.elements().find(|part| part.local() == name).map(Element::text);
    let max_size = log("maxSize").map(|text| text.parse().map_err(|_| format!("`{text}` is not a size")));
    let kind = index(&KINDS, "type")?;
    Ok(Channel {
        name,
        number,
        kind,
        isolation: index(&ISOLATIONS, "isolation")?,
        enabled: is_true(element.attribute("enabled")),
        access: element.attribute("access").filter(|sddl| !sddl.is_empty()).map(str::to_owned),
        max_size: max_size.transpose()?,
        retention: is_true(log("retention").as_deref()),
        auto_backup: is_true(log("autoBackup").as_deref()),
    })
}
