//! The hives of an image, and the registry keys in them.

/// A hive of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HiveFile {
    /// Services, drivers, settings of the machine.
    System,
    /// Settings of Windows and programs.
    Software,
    /// Accounts.
    Sam,
    /// Secrets and policies of security.
    Security,
    /// Settings of the account SYSTEM.
    Default,
    /// The component store.
    Components,
    /// Drivers that Windows can start without.
    Drivers,
    /// Initial settings of new users.
    NewUser,
    /// Patterns of boot settings.
    BcdTemplate,
}

/// Root keys that are in a hive of an image, with their paths in the hive.
const ROOTS: [(&str, HiveFile, &str); 11] = [
    (r"HKEY_LOCAL_MACHINE\SYSTEM", HiveFile::System, ""),
    (r"HKEY_LOCAL_MACHINE\SOFTWARE", HiveFile::Software, ""),
    (r"HKEY_LOCAL_MACHINE\SAM", HiveFile::Sam, ""),
    (r"HKEY_LOCAL_MACHINE\SECURITY", HiveFile::Security, ""),
    (r"HKEY_LOCAL_MACHINE\COMPONENTS", HiveFile::Components, ""),
    (r"HKEY_LOCAL_MACHINE\DRIVERS", HiveFile::Drivers, ""),
    (r"HKEY_CLASSES_ROOT", HiveFile::Software, "Classes"),
    (r"HKEY_CURRENT_USER", HiveFile::NewUser, ""),
    (r"HKEY_USERS\Default", HiveFile::NewUser, ""),
    (r"HKEY_USERS\.DEFAULT", HiveFile::Default, ""),
    (r"HKEY_USERS\S-1-5-18", HiveFile::Default, ""),
];
/// Short names of root keys.
const SHORT: [(&str, &str); 5] = [
    ("HKLM", "HKEY_LOCAL_MACHINE"),
    ("HKU", "HKEY_USERS"),
    ("HKCR", "HKEY_CLASSES_ROOT"),
    ("HKCU", "HKEY_CURRENT_USER"),
    ("HKCC", "HKEY_CURRENT_CONFIG"),
];
/// The name of the control set in use while Windows runs.
pub(super) const CURRENT: &str = "CurrentControlSet";
/// What `HKEY_CURRENT_CONFIG` stands for, in the SYSTEM hive.
const PROFILE: &str = r"CurrentControlSet\Hardware Profiles\0001";

/// Position of a registry key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HiveKey {
    /// The hive.
    pub file: HiveFile,
    /// Path in the hive. It may begin with `CurrentControlSet`, which [`ImageEdit::resolve`](super::ImageEdit::resolve)
    /// replaces.
    pub path: String,
}

impl HiveFile {
    /// All hives, in the order of their numbers.
    pub(super) const ALL: [Self; 9] = [
        Self::System,
        Self::Software,
        Self::Sam,
        Self::Security,
        Self::Default,
        Self::Components,
        Self::Drivers,
        Self::NewUser,
        Self::BcdTemplate,
    ];

    /// Path in the image.
    pub const fn path(self) -> &'static str {
        match self {
            Self::System => r"Windows\System32\config\SYSTEM",
            Self::Software => r"Windows\System32\config\SOFTWARE",
            Self::Sam => r"Windows\System32\config\SAM",
            Self::Security => r"Windows\System32\config\SECURITY",
            Self::Default => r"Windows\System32\config\DEFAULT",
            Self::Components => r"Windows\System32\config\COMPONENTS",
            Self::Drivers => r"Windows\System32\config\DRIVERS",
            Self::NewUser => r"Users\Default\NTUSER.DAT",
            Self::BcdTemplate => r"Windows\System32\config\BCD-Template",
        }
    }
}

impl HiveKey {
    /// Where `key` is, e.g. `HKLM\SYSTEM\CurrentControlSet\Control`; `None` if it is not in a hive file.
    pub fn find(key: &str) -> Option<Self> {
        let key = with_long_root(key);
        if let Some(rest) = below(&key, "HKEY_CURRENT_CONFIG") {
            return Some(Self { file: HiveFile::System, path: join(PROFILE, rest) });
        }
        let found = ROOTS.iter().find_map(|(root, file, prefix)| Some((*file, *prefix, below(&key, root)?)));
        found.map(|(file, prefix, rest)| Self { file, path: join(prefix, rest) })
    }

    /// Whether `key` begins with a root of the registry.
    pub fn has_root(key: &str) -> bool {
        let key = with_long_root(key);
        SHORT.iter().any(|(_, root)| below(&key, root).is_some())
    }
}

/// `key` with the long name of its root, trimmed of `\`.
fn with_long_root(key: &str) -> String {
    let key = key.trim_matches('\\');
    let (root, rest) = key.split_once('\\').unwrap_or((key, ""));
    let long = SHORT.iter().find(|(short, _)| root.eq_ignore_ascii_case(short)).map_or(root, |(_, long)| long);
    join(long, rest)
}

/// The path `rest` below `path`.
fn join(path: &str, rest: &str) -> String {
    let parts = [path, rest].into_iter().filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("\\")
}

/// The part of `path` below `root`; empty for the root itself.
pub(super) fn below<'a>(path: &'a str, root: &str) -> Option<&'a str> {
    let (start, rest) = path.split_at_checked(root.len())?;
    let is_below = start.eq_ignore_ascii_case(root) && (rest.is_empty() || rest.starts_with('\\'));
    is_below.then(|| rest.trim_start_matches('\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_by_long_and_short_roots_in_any_case() {
        let found = |key: &str| HiveKey::find(key).map(|place| (place.file, place.path));
        for (key, file, path) in [
            (r"HKEY_LOCAL_MACHINE\SYSTEM\Select", HiveFile::System, "Select"),
            (r"hklm\software", HiveFile::Software, ""),
            (r"HKLM\SAM\", HiveFile::Sam, ""),
            (r"HKCR\.txt", HiveFile::Software, r"Classes\.txt"),
            (r"hkey_users\.default\Ä", HiveFile::Default, "Ä"),
            (r"HKU\S-1-5-18\A", HiveFile::Default, "A"),
            (r"HKU\DEFAULT\A", HiveFile::NewUser, "A"),
            (r"HKCU\Control Panel", HiveFile::NewUser, "Control Panel"),
            (r"HKCC\Software", HiveFile::System, r"CurrentControlSet\Hardware Profiles\0001\Software"),
        ] {
            assert_eq!(found(key), Some((file, path.into())), "{key}");
        }
        for key in [r"HKLM\HARDWARE\X", r"HKLM\SYSTEMS", r"HKU\S-1-5-19", "HKLM", "X", ""] {
            assert_eq!(found(key), None, "{key}");
        }
        assert!(HiveKey::has_root(r"HKLM\HARDWARE") && !HiveKey::has_root("X"));
    }

    #[test]
    fn numbers_are_places_in_the_list() {
        for (number, file) in HiveFile::ALL.into_iter().enumerate() {
            assert_eq!(file as usize, number);
        }
    }
}
