//! The locale: of the system in the SYSTEM hive, of users in the DEFAULT hive.
//!
//! The display language stays: it needs a language pack.

use lcid::LanguageId;

use crate::error::{Error, Result};
use crate::registry::Value;
use crate::windows::edit::{HiveFile, ImageEdit, control_sets};

/// The locale with this name, if Windows can run in it.
pub(super) fn find(name: &str) -> Result<&'static LanguageId> {
    let hint = "use a name of language and region, e.g. `en-US` or `de-DE`";
    // Names are matched in their exact spelling: `en-US`, `zh-Hans-CN`, `sr-Latn-RS`.
    let spelt: Vec<String> = name.split('-').enumerate().map(|(index, part)| spell(index, part)).collect();
    let locale: Option<&LanguageId> = spelt.join("-").as_str().try_into().ok();
    let locale = locale.ok_or_else(|| Error::recipe(format!("there is no locale `{name}`")).with_hint(hint))?;
    let has_pages = code_pages(locale).is_some();
    if !has_pages || !name.contains('-') {
        return Err(Error::recipe(format!("`{name}` cannot be the locale of a system: it has no code page or region"))
            .with_hint(hint));
    }
    Ok(locale)
}

fn spell(index: usize, part: &str) -> String {
    match (index, part.len()) {
        (0, _) => part.to_ascii_lowercase(),
        (_, 4) if part.is_ascii() => part[..1].to_ascii_uppercase() + &part[1..].to_ascii_lowercase(),
        _ => part.to_ascii_uppercase(),
    }
}

/// The ANSI and the OEM code page; `None` for locales that have only Unicode.
fn code_pages(locale: &LanguageId) -> Option<[(&'static str, u32); 2]> {
    let ansi = locale.ansi_code_page? as u32;
    // "Code page identifiers" and "National Language Support (NLS) API reference" on learn.microsoft.com.
    let oem = match (ansi, locale.lcid) {
        (1252, 0x0409) => 437,
        (1251, 0x1C1A | 0x281A) => 855,
        (1250, _) => 852,
        (1251, _) => 866,
        (1252, _) => 850,
        (1253, _) => 737,
        (1254, _) => 857,
        (1255, _) => 862,
        (1256, _) => 720,
        (1257, _) => 775,
        (same, _) => same,
    };
    Some([("ACP", ansi), ("OEMCP", oem)])
}

/// Sets the locale in every control set and for new users.
pub(super) fn write(image: &mut ImageEdit<'_>, locale: &LanguageId, warnings: &mut Vec<String>) -> Result<()> {
    let (long, short) = (format!("{:08x}", locale.lcid), format!("{:04x}", locale.lcid));
    let pages = code_pages(locale);
    let system = image.edit(HiveFile::System)?;
    for set in control_sets(system)? {
        let nls = system.create_key(set, r"Control\Nls")?;
        for (key, value) in [("Locale", &long), ("Language", &short)] {
            let key = system.create_key(nls, key)?;
            system.set_value(key, if value.len() == 8 { "" } else { "Default" }, Value::sz(value))?;
        }
        let key = system.create_key(nls, "CodePage")?;
        for (name, page) in pages.iter().flatten() {
            system.set_value(key, *name, Value::sz(&page.to_string()))?;
        }
    }
    for (name, page) in pages.iter().flatten() {
        let path = format!(r"Windows\System32\C_{page}.NLS");
        if image.tree.find(&path).is_none() {
            warnings.push(format!(
                "the locale {} needs code page {page} ({name}), but the image has no {path}",
                locale.name
            ));
        }
    }
    if image.hive(HiveFile::Default)?.is_some() {
        let hive = image.edit(HiveFile::Default)?;
        let key = hive.create_key(hive.root(), r"Control Panel\International")?;
        hive.set_value(key, "Locale", Value::sz(&long))?;
        hive.set_value(key, "LocaleName", Value::sz(locale.name))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{TIME, edit, hive, image};
    use super::*;

    #[test]
    fn system_and_users_get_the_locale() {
        let mut tree = image();
        let mut warnings = Vec::new();
        edit(&mut tree, TIME, |image| write(image, find("DE-de")?, &mut warnings)).unwrap();
        let system = hive(&tree, HiveFile::System);
        let text = |key: &str, name: &str| {
            let key = system.find(&format!(r"ControlSet001\Control\Nls\{key}")).unwrap();
            system.value(key, name).unwrap().text().unwrap()
        };
        assert_eq!((text("Locale", ""), text("Language", "Default")), ("00000407".into(), "0407".into()));
        assert_eq!((text("CodePage", "ACP"), text("CodePage", "OEMCP")), ("1252".into(), "850".into()));
        assert_eq!(warnings.len(), 2, "the small image has no code pages");
    }

    #[test]
    fn locales_that_a_system_cannot_have_are_refused() {
        for name in ["", "en", "xx-YY", "hi-IN", "english"] {
            let error = find(name).unwrap_err();
            assert!(error.hint().is_some(), "{name}");
        }
        assert_eq!(
            (find("en-us").unwrap().lcid, code_pages(find("ja-JP").unwrap())),
            (0x409, Some([("ACP", 932), ("OEMCP", 932)]))
        );
        assert_eq!(find("sr-latn-rs").unwrap().name, "sr-Latn-RS");
    }
}
