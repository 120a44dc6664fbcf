//! One setting of the boot configuration, by its name in bcdedit.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::bcd::{BcdObject, BcdStore, object_type, well_known};
use super::names::{self, ElementSet, Form};
use crate::error::{Error, Result};
use crate::registry::Value;
use crate::types::{Guid, form, nearest};

/// A setting of the boot configuration. Its text is `[OBJECT:]NAME=VALUE`, with the names and values of `bcdedit /set`,
/// or with `custom:CODE` for the name. OBJECT is `bootmgr`, `loader`, `both`, `emssettings`, `dbgsettings`,
/// `hypervisorsettings` or `globalsettings`. Without it, the object follows from the setting; settings that all
/// programs have go to the loader.
///
/// ```
/// # fn main() -> nano_image::Result<()> {
/// use nano_image::{BootSetting, BootSettings, Recipe};
///
/// let quiet: BootSetting = "bootmgr:timeout=0".parse()?;
/// let boot = BootSettings { boot_setting: vec![quiet, "recoveryenabled=no".parse()?], ..BootSettings::default() };
/// let recipe = Recipe::image("1").boot(boot).build()?;
/// assert!("timeuot=0".parse::<BootSetting>().is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BootSetting {
    target: Target,
    /// The given name: of the element, or `custom:CODE`.
    name: String,
    code: u32,
    value: Meaning,
}

/// The objects that get it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Manager,
    Loader,
    Both,
    Ems,
    Debugger,
    Hypervisor,
    Global,
}

/// A value, and the form in which it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Meaning {
    Text(String),
    Objects(Vec<Guid>),
    Number(u64),
    Switch(bool),
    Numbers(Vec<u64>),
}

const TARGETS: [(&str, Target); 7] = [
    ("bootmgr", Target::Manager),
    ("loader", Target::Loader),
    ("both", Target::Both),
    ("emssettings", Target::Ems),
    ("dbgsettings", Target::Debugger),
    ("hypervisorsettings", Target::Hypervisor),
    ("globalsettings", Target::Global),
];

/// Objects that a list can name, besides GUIDs.
const OBJECTS: [(&str, Guid); 6] = [
    ("{bootmgr}", well_known::BOOTMGR),
    ("{memdiag}", well_known::MEMDIAG),
    ("{globalsettings}", well_known::GLOBAL_SETTINGS),
    ("{emssettings}", well_known::EMS_SETTINGS),
    ("{dbgsettings}", well_known::DEBUGGER_SETTINGS),
    ("{hypervisorsettings}", well_known::HYPERVISOR_SETTINGS),
];

/// Elements that the build itself sets: another value would start something else, or nothing.
const OWN: [&str; 7] = ["device", "osdevice", "path", "systemroot", "default", "displayorder", "inherit"];

impl BootSetting {
    /// Whether both set the same element of the same object.
    pub(in crate::windows) fn rivals(&self, other: &Self) -> bool {
        let one = |setting: &Self| match setting.target {
            Target::Both => vec![Target::Manager, Target::Loader],
            target => vec![target],
        };
        self.code == other.code && one(self).iter().any(|target| one(other).contains(target))
    }

    /// Writes it to `store`; `loaders` are its entries for Windows, or the patterns for them.
    pub(super) fn apply(&self, store: &mut BcdStore, loaders: &[Guid]) {
        let shared = |id| vec![(id, object_type::INHERIT_ANY)];
        let manager = (well_known::BOOTMGR, object_type::BOOT_MANAGER);
        let windows = loaders.iter().map(|id| (*id, object_type::OS_LOADER));
        let objects: Vec<(Guid, u32)> = match self.target {
            Target::Manager => vec![manager],
            Target::Loader => windows.collect(),
            Target::Both => windows.chain([manager]).collect(),
            Target::Ems => shared(well_known::EMS_SETTINGS),
            Target::Debugger => shared(well_known::DEBUGGER_SETTINGS),
            Target::Global => shared(well_known::GLOBAL_SETTINGS),
            Target::Hypervisor => vec![(well_known::HYPERVISOR_SETTINGS, object_type::INHERIT_OS_LOADER)],
        };
        for (id, kind) in objects {
            let object = store.objects.entry(id).or_insert(BcdObject::new(kind));
            match &self.value {
                Meaning::Text(text) => object.set_string(self.code, text),
                Meaning::Number(number) => object.set_integer(self.code, *number),
                Meaning::Switch(is_on) => object.set_boolean(self.code, *is_on),
                Meaning::Objects(ids) if names::form(self.code) == Some(Form::Object) => {
                    ids.iter().for_each(|id| object.set_object(self.code, *id));
                }
                Meaning::Objects(ids) => object.set_objects(self.code, ids),
                Meaning::Numbers(numbers) => {
                    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
                    object.elements.insert(self.code, Value::binary(bytes));
                }
            }
        }
    }
}

impl FromStr for BootSetting {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        const HINT: &str = "write NAME=VALUE with the names of `bcdedit /set`, or bootmgr:NAME=VALUE, both:NAME=VALUE";
        let bad = |what: String| Error::recipe(what).with_hint(HINT);
        let (left, value) = text.split_once('=').ok_or_else(|| bad(format!("`{text}` is not a boot setting")))?;
        let known = |object: &str| TARGETS.iter().find(|(name, _)| name.eq_ignore_ascii_case(object));
        let (object, name) = match left.split_once(':') {
            Some((object, code)) if object.eq_ignore_ascii_case("custom") => (None, ("custom", code)),
            Some((object, name)) => {
                let target = known(object).ok_or_else(|| {
                    let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
                    bad(format!("there is no object `{object}` for boot settings, only {}", names.join(", ")))
                })?;
                let custom = name.split_once(':').filter(|(custom, _)| custom.eq_ignore_ascii_case("custom"));
                (Some(target.1), custom.unwrap_or((name, "")))
            }
            None => (None, (left, "")),
        };
        let (name, place, code) = match name {
            ("custom", code) => {
                let digits = code.trim_start_matches("0x");
                let number = u32::from_str_radix(digits, 16).ok().filter(|code| names::form(*code).is_some());
                let number = number.filter(|code| matches!(code >> 28, 1 | 2));
                let number = number
                    .ok_or_else(|| bad(format!("`{code}` is not a code of a boot setting; 26000022 would be one")))?;
                (format!("custom:{number:08x}"), ElementSet::Any, number)
            }
            (name, _) => {
                let element = find(name, object)?;
                (element.name.to_owned(), element.place, element.code)
            }
        };
        if OWN.contains(&&*name) || names::form(code) == Some(Form::Device) {
            return Err(Error::recipe(format!("`{name}` is set by the build itself"))
                .with_hint("--bcd-device says how entries name the partition; the rest follows from the image"));
        }
        let target = object.unwrap_or(match place {
            ElementSet::Any | ElementSet::Loader | ElementSet::Resume => Target::Loader,
            ElementSet::Manager => Target::Manager,
            ElementSet::Debugger => Target::Debugger,
            ElementSet::Ems => Target::Ems,
            ElementSet::Hypervisor => Target::Hypervisor,
        });
        let value = read(code, &name, value)?;
        Ok(Self { target, name, code, value })
    }
}

impl fmt::Display for BootSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = TARGETS.iter().find(|(_, target)| *target == self.target).map_or("", |(name, _)| name);
        write!(f, "{target}:{}=", self.name)?;
        let list = |texts: Vec<String>| texts.join(",");
        f.write_str(&match &self.value {
            Meaning::Text(text) => text.clone(),
            Meaning::Switch(is_on) => if *is_on { "yes" } else { "no" }.into(),
            Meaning::Number(number) => {
                let meaning = usize::try_from(*number).ok().and_then(|index| names::meanings(self.code).get(index));
                meaning.map_or_else(|| number.to_string(), |meaning| meaning.to_lowercase())
            }
            Meaning::Objects(ids) => list(ids.iter().map(|id| format!("{{{id}}}")).collect()),
            Meaning::Numbers(numbers) => list(numbers.iter().map(|number| format!("{number:#x}")).collect()),
        })
    }
}

form::as_text!(BootSetting);

/// The element called `name`, in `object` if one is given.
fn find(name: &str, object: Option<Target>) -> Result<&'static names::Element> {
    let is_of = |place: ElementSet| match object {
        None => true,
        Some(Target::Manager) => matches!(place, ElementSet::Any | ElementSet::Manager),
        Some(Target::Loader) => !matches!(place, ElementSet::Manager | ElementSet::Resume),
        Some(Target::Both | Target::Global) => place == ElementSet::Any,
        Some(Target::Ems) => matches!(place, ElementSet::Any | ElementSet::Ems),
        Some(Target::Debugger) => matches!(place, ElementSet::Any | ElementSet::Debugger),
        Some(Target::Hypervisor) => matches!(place, ElementSet::Any | ElementSet::Hypervisor),
    };
    if let Some(found) = names::named(name).find(|element| is_of(element.place)) {
        return Ok(found);
    }
    if names::named(name).next().is_some() {
        return Err(Error::recipe(format!("the boot setting `{name}` does not belong to that object"))
            .with_hint("leave the object out: the setting then goes where it belongs"));
    }
    Err(Error::recipe(format!("there is no boot setting `{name}`")).with_hint(match nearest(name, names::names()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "the names are those of `bcdedit /set`; custom:CODE takes any other".into(),
    }))
}

fn read(code: u32, name: &str, text: &str) -> Result<Meaning> {
    let bad = |hint: String| Err(Error::recipe(format!("`{text}` is not a value of `{name}`")).with_hint(hint));
    let number = |text: &str| match text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    match names::form(code) {
        Some(Form::Text) if text.is_empty() || text.contains('\0') => bad("write some text".into()),
        Some(Form::Text) => Ok(Meaning::Text(text.into())),
        Some(Form::Switch) => match text.to_ascii_lowercase().as_str() {
            "yes" | "on" | "true" | "1" => Ok(Meaning::Switch(true)),
            "no" | "off" | "false" | "0" => Ok(Meaning::Switch(false)),
            _ => bad("write yes or no".into()),
        },
        Some(Form::Number) => {
            let meanings = names::meanings(code);
            let meant =
                meanings.iter().position(|meaning| meaning.eq_ignore_ascii_case(text)).map(|index| index as u64);
            match meant.or_else(|| number(text)) {
                Some(number) => Ok(Meaning::Number(number)),
                None if meanings.is_empty() => bad("write a number, decimal or as 0x…".into()),
                None => bad(format!("write {}, or a number", meanings.join(", "))),
            }
        }
        Some(Form::Numbers) => match text.split(',').map(number).collect() {
            Some(numbers) => Ok(Meaning::Numbers(numbers)),
            None => bad("write numbers with commas between".into()),
        },
        Some(form @ (Form::Object | Form::Objects)) => {
            let object = |text: &str| {
                let known = OBJECTS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
                known.map(|(_, id)| *id).or_else(|| text.parse().ok())
            };
            match text.split(',').map(object).collect::<Option<Vec<Guid>>>() {
                Some(ids) if form == Form::Objects || ids.len() == 1 => Ok(Meaning::Objects(ids)),
                _ => bad("write GUIDs in braces, or names such as {memdiag}".into()),
            }
        }
        Some(Form::Device) | None => bad("it is a device".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_written_and_put_where_they_belong() {
        let loader = Guid::from_bytes([1; 16]);
        for (text, canonical, id, code, bytes) in [
            ("timeout=0", "bootmgr:timeout=0", well_known::BOOTMGR, 0x2500_0004, vec![0; 8]),
            ("recoveryenabled=Off", "loader:recoveryenabled=no", loader, 0x1600_0009, vec![0]),
            (
                "bootstatuspolicy=ignoreallfailures",
                "loader:bootstatuspolicy=ignoreallfailures",
                loader,
                0x2500_00E0,
                vec![1, 0, 0, 0, 0, 0, 0, 0],
            ),
            ("bootmgr:bootems=yes", "bootmgr:bootems=yes", well_known::BOOTMGR, 0x1600_0020, vec![1]),
            (
                "emsport=0x2",
                "emssettings:emsport=2",
                well_known::EMS_SETTINGS,
                0x1500_0022,
                vec![2, 0, 0, 0, 0, 0, 0, 0],
            ),
            ("custom:0x26000022=yes", "loader:custom:26000022=yes", loader, 0x2600_0022, vec![1]),
            ("BOOTMGR:custom:16000049=on", "bootmgr:custom:16000049=yes", well_known::BOOTMGR, 0x1600_0049, vec![1]),
        ] {
            let setting: BootSetting = text.parse().unwrap();
            assert_eq!(setting.to_string(), canonical);
            assert_eq!(canonical.parse::<BootSetting>().unwrap(), setting);
            let mut store = BcdStore::default();
            setting.apply(&mut store, &[loader]);
            assert_eq!(store.objects.len(), 1, "{text}");
            assert_eq!(store.objects[&id].elements[&code].data, bytes, "{text}");
        }
        let mut store = BcdStore::default();
        "both:integrityservices=enable".parse::<BootSetting>().unwrap().apply(&mut store, &[loader]);
        assert!([loader, well_known::BOOTMGR].iter().all(|id| store.objects[id].integer(0x1500_004B) == Some(1)));
        "loadoptions=A=B,C".parse::<BootSetting>().unwrap().apply(&mut store, &[loader]);
        assert_eq!(store.objects[&loader].string(0x1200_0030).unwrap(), "A=B,C");
        "recoverysequence={memdiag}".parse::<BootSetting>().unwrap().apply(&mut store, &[loader]);
        assert_eq!(store.objects[&loader].elements[&0x1400_0008].texts().unwrap().len(), 1);
    }

    #[test]
    fn what_bcdedit_would_not_take_is_refused_with_a_hint() {
        for (text, part) in [
            ("timeout", "NAME=VALUE"),
            ("timeuot=3", "`timeout`"),
            ("nonsense12345=3", "bcdedit"),
            ("timeout=soon", "number"),
            ("nx=Maybe", "OptIn"),
            ("sos=perhaps", "yes or no"),
            ("loader:timeout=3", "object out"),
            ("moon:timeout=3", "bootmgr"),
            ("osdevice=x", "--bcd-device"),
            ("path=x", "--bcd-device"),
            ("custom:42000002=x", "bcdedit"),
            ("custom:21000001=x", "--bcd-device"),
            ("resumeobject=x", "GUID"),
            ("loadoptions=", "text"),
        ] {
            let error = text.parse::<BootSetting>().unwrap_err();
            let said = format!("{error} {}", error.hint().unwrap_or_default());
            assert!(said.contains(part), "{text}: {said}");
        }
    }
}
