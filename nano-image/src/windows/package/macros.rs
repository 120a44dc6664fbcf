//! Macros in manifests, such as `$(runtime.system32)`.
//!
//! Windows expands them to its own directories; for an image they are where an installation would have them.

use std::collections::BTreeMap;

use crate::error::{Error, Result};

/// The drive that Windows will have.
const DRIVE: &str = "C:";

/// Directories by the names of their macros, relative to the root of the volume.
const DIRECTORIES: [(&str, &str); 26] = [
    ("runtime.bootdrive", ""),
    ("runtime.systemdrive", ""),
    ("runtime.systemroot", "Windows"),
    ("runtime.windows", "Windows"),
    ("runtime.system", r"Windows\System"),
    ("runtime.system32", r"Windows\System32"),
    ("runtime.drivers", r"Windows\System32\drivers"),
    ("runtime.wbem", r"Windows\System32\wbem"),
    ("runtime.inf", r"Windows\INF"),
    ("runtime.fonts", r"Windows\Fonts"),
    ("runtime.help", r"Windows\Help"),
    ("runtime.programfiles", "Program Files"),
    ("runtime.commonfiles", r"Program Files\Common Files"),
    ("runtime.programfilesx86", "Program Files (x86)"),
    ("runtime.commonfilesx86", r"Program Files (x86)\Common Files"),
    ("runtime.programdata", "ProgramData"),
    ("runtime.allusersprofile", "ProgramData"),
    ("runtime.allusers", "ProgramData"),
    ("runtime.documentssettings", "Users"),
    ("runtime.userprofile", r"Users\Default"),
    ("runtime.public", r"Users\Public"),
    ("runtime.desktop", r"Users\Public\Desktop"),
    ("runtime.commondesktop", r"Users\Public\Desktop"),
    ("runtime.startmenu", r"ProgramData\Microsoft\Windows\Start Menu"),
    ("runtime.commonstartmenu", r"ProgramData\Microsoft\Windows\Start Menu"),
    ("runtime.sysnative", r"Windows\System32"),
];

/// The values of macros in one manifest.
pub(super) struct Macros<'a> {
    strings: &'a BTreeMap<String, String>,
}

impl<'a> Macros<'a> {
    /// For a manifest with these texts, by their names in lower case.
    pub fn new(strings: &'a BTreeMap<String, String>) -> Self {
        Self { strings }
    }

    /// Expands a path in the image: names separated by `\`, without the drive.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) for an unknown macro and for names that a file cannot have.
    pub fn path(&self, text: &str) -> Result<String> {
        let path = expand(text, |name| directory(name).map(str::to_owned))?;
        let path = path.strip_prefix(r"\SystemRoot\").map(|rest| format!(r"Windows\{rest}")).unwrap_or(path);
        let is_drive = |path: &str| path.get(..2).is_some_and(|start| start.eq_ignore_ascii_case(DRIVE));
        let path = if is_drive(&path) { &path[2..] } else { &path };
        let names: Vec<&str> = path.split(['\\', '/']).filter(|name| !name.is_empty() && *name != ".").collect();
        let is_bad = |name: &&str| {
            *name == ".."
                || name.chars().any(|c| c < ' ' || r#":*?"<>|%"#.contains(c))
                || name.encode_utf16().count() > 255
        };
        match names.iter().find(|name| is_bad(name)) {
            Some(name) => Err(Error::corrupt(format!("`{text}` is not a path in an image: `{name}`"))),
            None => Ok(names.join("\\")),
        }
    }

    /// Expands text for the registry: directories are on the drive that Windows will have.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) for an unknown macro.
    pub fn text(&self, text: &str) -> Result<String> {
        expand(text, |name| {
            if let Some(path) = directory(name) {
                return Some(if path.is_empty() { DRIVE.to_owned() } else { format!(r"{DRIVE}\{path}") });
            }
            if let Some(variable) = prefixed(name, "env.") {
                return Some(format!("%{variable}%"));
            }
            let id = prefixed(name, "resourceString.").or(prefixed(name, "string."))?;
            self.strings.get(&id.to_ascii_lowercase()).cloned()
        })
    }

    /// Expands the path of a registry key.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) for an unknown macro.
    pub fn key(&self, text: &str) -> Result<String> {
        const SERVICES: &str = r"HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services";
        match text.get(..19).filter(|start| start.eq_ignore_ascii_case("$(runtime.services)")) {
            Some(start) => self.text(&text[start.len()..]).map(|rest| format!("{SERVICES}{rest}")),
            None => self.text(text),
        }
    }
}

fn directory(name: &str) -> Option<&'static str> {
    DIRECTORIES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|(_, path)| *path)
}

fn prefixed<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = (name.get(..prefix.len())?, &name[prefix.len()..]);
    (start.eq_ignore_ascii_case(prefix) && !rest.is_empty()).then_some(rest)
}

/// Replaces `$(NAME)` by what `value` gives.
fn expand(text: &str, value: impl Fn(&str) -> Option<String>) -> Result<String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("$(") {
        expanded.push_str(before);
        let Some((name, after)) = after.split_once(')') else {
            return Err(Error::corrupt(format!("the macro in `{text}` has no end")));
        };
        let unknown = || Error::corrupt(format!("unknown macro `$({name})` in `{text}`"));
        expanded.push_str(&value(name).ok_or_else(unknown)?);
        rest = after;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macros_become_paths_and_texts() {
        let strings = BTreeMap::from([("displayname".to_owned(), "Shown".to_owned())]);
        let macros = Macros::new(&strings);
        for (text, path) in [
            (r"$(runtime.system32)\", r"Windows\System32"),
            (r"$(Runtime.System32)\en-US\a.mui", r"Windows\System32\en-US\a.mui"),
            (r"$(runtime.bootDrive)\Boot\", "Boot"),
            (r"C:\Tools/x", r"Tools\x"),
            (r"\Windows\\.\a", r"Windows\a"),
        ] {
            assert_eq!(macros.path(text).unwrap(), path, "{text}");
        }
        for (text, expanded) in [
            (r"$(runtime.windows)\a $(runtime.fonts)", r"C:\Windows\a C:\Windows\Fonts"),
            (r"$(env.SystemRoot)\a", r"%SystemRoot%\a"),
            ("$(resourceString.displayName)!", "Shown!"),
            ("a$b", "a$b"),
        ] {
            assert_eq!(macros.text(text).unwrap(), expanded, "{text}");
        }
        let services = r"HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\x";
        assert_eq!(macros.key(r"$(runtime.Services)\x").unwrap(), services);
    }

    #[test]
    fn unknown_macros_and_paths_that_lead_elsewhere_are_refused() {
        let macros = Macros { strings: &BTreeMap::new() };
        let error = macros.text(r"x $(runtime.odd)\y").unwrap_err();
        assert_eq!(error.message(), r"unknown macro `$(runtime.odd)` in `x $(runtime.odd)\y`");
        for text in ["$(runtime.windows", "$(string.none)", "$(build.nttree)"] {
            assert!(macros.text(text).is_err(), "{text}");
        }
        for path in [r"$(runtime.windows)\..\..\x", r"D:\x", r"a:b", "a*", "%SystemRoot%\\a", "$(env.a)"] {
            assert!(macros.path(path).is_err(), "{path}");
        }
    }
}
