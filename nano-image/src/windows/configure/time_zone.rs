//! The time zone: in the SYSTEM hive, with the rules that the image's SOFTWARE hive has for it.

use crate::error::{Error, Result};
use crate::registry::{Hive, KeyId, Value, ValueKind};
use crate::windows::edit::{HiveFile, ImageEdit, control_sets};

const ZONES: &str = r"Microsoft\Windows NT\CurrentVersion\Time Zones";
/// Bytes of a `TZI` value (REG_TZI_FORMAT): bias, standard bias, daylight bias, and two SYSTEMTIMEs.
const TZI_LEN: usize = 44;
/// The most names that an error lists.
const LISTED: usize = 5;

/// Refuses what cannot be the name of a zone.
pub(super) fn check(zone: &str) -> Result<()> {
    if zone.is_empty() || zone.contains('\\') || zone.chars().any(char::is_control) {
        return Err(Error::recipe(format!("`{}` is not a time zone", zone.escape_debug())).with_hint(HINT));
    }
    Ok(())
}

const HINT: &str = "use the names of Windows, e.g. `UTC` or `W. Europe Standard Time`";

/// Sets the zone in every control set, and returns its name as it is spelt in the image. `None` for an image that has
/// no list of zones: Windows then takes the name from the answer file.
pub(super) fn write(image: &mut ImageEdit<'_>, zone: &str) -> Result<Option<String>> {
    let Some(software) = image.hive(HiveFile::Software)? else { return Ok(None) };
    let Some(zones) = software.find(ZONES) else { return Ok(None) };
    let key = software.child(zones, zone).ok_or_else(|| unknown(software, zones, zone))?;
    let name = software.name(key).to_string();
    let rules = Rules::read(software, key).ok_or_else(|| {
        Error::corrupt(format!("time zone `{name}` has no rules")).with_path(HiveFile::Software.path())
    })?;
    let system = image.edit(HiveFile::System)?;
    for set in control_sets(system)? {
        let key = system.create_key(set, r"Control\TimeZoneInformation")?;
        for (value_name, value) in rules.values(&name) {
            system.set_value(key, value_name, value)?;
        }
    }
    Ok(Some(name))
}

fn unknown(software: &Hive, zones: KeyId, zone: &str) -> Error {
    let wanted = zone.to_lowercase();
    let names: Vec<String> = software.subkeys(zones).into_iter().map(|key| software.name(key).to_string()).collect();
    let near = |name: &&String| {
        let name = name.to_lowercase();
        wanted.split_whitespace().any(|word| word.len() > 2 && word != "standard" && name.contains(word))
    };
    let near: Vec<&str> = names.iter().filter(near).take(LISTED).map(String::as_str).collect();
    let hint = match near.is_empty() {
        true => HINT.into(),
        false => format!("the image has: {}", near.join(", ")),
    };
    Error::not_found(format!("the image knows no time zone `{zone}`")).with_hint(hint)
}

/// The rules of a zone in the SOFTWARE hive.
struct Rules {
    bias: i32,
    standard_bias: i32,
    daylight_bias: i32,
    standard_start: [u8; 16],
    daylight_start: [u8; 16],
    standard_name: String,
    daylight_name: String,
}

impl Rules {
    fn read(software: &Hive, key: KeyId) -> Option<Self> {
        let tzi = software.value(key, "TZI").map(|value| value.data).filter(|data| data.len() == TZI_LEN)?;
        let number = |at: usize| i32::from_le_bytes(tzi[at..at + 4].try_into().expect("4 bytes"));
        let text = |names: [&str; 2]| names.into_iter().find_map(|name| software.value(key, name)?.text());
        Some(Self {
            bias: number(0),
            standard_bias: number(4),
            daylight_bias: number(8),
            standard_start: time_fields(&tzi[12..28]),
            daylight_start: time_fields(&tzi[28..44]),
            standard_name: text(["MUI_Std", "Std"])?,
            daylight_name: text(["MUI_Dlt", "Dlt"])?,
        })
    }

    fn values(&self, name: &str) -> [(&'static str, Value); 10] {
        let number = |number: i32| Value::new(ValueKind::DWORD, number.to_le_bytes());
        [
            ("Bias", number(self.bias)),
            ("StandardName", Value::sz(&self.standard_name)),
            ("StandardBias", number(self.standard_bias)),
            ("StandardStart", Value::binary(self.standard_start)),
            ("DaylightName", Value::sz(&self.daylight_name)),
            ("DaylightBias", number(self.daylight_bias)),
            ("DaylightStart", Value::binary(self.daylight_start)),
            ("TimeZoneKeyName", Value::sz(name)),
            ("DynamicDaylightTimeDisabled", number(0)),
            // Standard time: Windows corrects it at boot, and the build has no clock.
            ("ActiveTimeBias", number(self.bias.saturating_add(self.standard_bias))),
        ]
    }
}

/// A SYSTEMTIME (year, month, day of week, day, hour, minute, second, millisecond) in the order of the kernel's
/// TIME_FIELDS (day of week last), which TimeZoneInformation uses.
fn time_fields(time: &[u8]) -> [u8; 16] {
    let mut fields = [0; 16];
    fields[..4].copy_from_slice(&time[..4]);
    fields[4..14].copy_from_slice(&time[6..16]);
    fields[14..].copy_from_slice(&time[4..6]);
    fields
}

#[cfg(test)]
mod tests {
    use super::super::tests::{TIME, edit, hive, image};
    use super::*;
    use crate::tree::{FileTree, Times};

    /// Eastern Standard Time: standard time begins in the first week of November, daylight time in the second week of
    /// March.
    fn with_zones() -> FileTree {
        let mut tree = image();
        let mut software = hive(&tree, HiveFile::Software);
        let key = software.create_key(software.root(), &format!(r"{ZONES}\Eastern Standard Time")).unwrap();
        let date = |month: u16, week: u16| [0, month, 0, week, 2, 0, 0, 0].map(u16::to_le_bytes).concat();
        let numbers = [300_i32, 0, -60].map(i32::to_le_bytes).concat();
        software.set_value(key, "TZI", Value::binary([numbers, date(11, 1), date(3, 2)].concat())).unwrap();
        for (name, text) in [("Std", "Eastern"), ("Dlt", "Eastern D"), ("MUI_Std", "@tzres.dll,-112")] {
            software.set_value(key, name, Value::sz(text)).unwrap();
        }
        tree.write_file(HiveFile::Software.path(), software.into_bytes(), Times::default()).unwrap();
        tree
    }

    #[test]
    fn rules_are_stored_as_windows_stores_them() {
        let mut tree = with_zones();
        let (name, _) = edit(&mut tree, TIME, |image| write(image, "eastern standard time")).unwrap();
        assert_eq!(name.unwrap(), "Eastern Standard Time");
        let system = hive(&tree, HiveFile::System);
        let key = system.find(r"ControlSet002\Control\TimeZoneInformation").unwrap();
        let value = |name: &str| system.value(key, name).unwrap();
        // The same as on a machine in that zone.
        assert_eq!(value("StandardStart").data, [0, 0, 11, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(value("DaylightStart").data, [0, 0, 3, 0, 2, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!((value("Bias").as_dword(), value("DaylightBias").as_dword()), (Some(300), Some(0xFFFF_FFC4)));
        assert_eq!(value("StandardName").text().unwrap(), "@tzres.dll,-112");
        assert_eq!(value("DaylightName").text().unwrap(), "Eastern D");
        assert_eq!(value("TimeZoneKeyName").text().unwrap(), "Eastern Standard Time");
    }

    #[test]
    fn an_unknown_zone_gets_suggestions() {
        let mut tree = with_zones();
        let error = edit(&mut tree, TIME, |image| write(image, "US Eastern")).map(|_| ()).unwrap_err();
        assert!(error.hint().unwrap().contains("Eastern Standard Time"));
        assert_eq!(edit(&mut image(), TIME, |image| write(image, "UTC")).unwrap().0, None);
        assert!(check("").unwrap_err().hint().is_some());
    }
}
