//! The names that the component store derives from identities, and the hash in them.
//!
//! Microsoft documents none of this; the tests compare it with names in real stores.

use super::identity::AssemblyIdentity;

/// The base of all sums: 2³³ − 9.
const BASE: u64 = 0x1_FFFF_FFF7;
/// The longest name, language and deployment name that are not shortened, in characters.
const MAX_NAME: usize = 40;
const MAX_CULTURE: usize = 8;
const MAX_DEPLOYMENT: usize = 24;
/// The longest names in values of the COMPONENTS hive that are not shortened, in characters.
const MAX_FILE: usize = 25;
const MAX_UPDATE: usize = 60;

/// The hash of the bytes of `text`. Most names are converted to lower case before.
pub fn hash(text: &[u8]) -> u64 {
    let mut sums = [0u32; 4];
    for (index, byte) in text.iter().enumerate() {
        let sum = &mut sums[index % 4];
        *sum = sum.wrapping_mul(0x1_003F).wrapping_add((*byte).into());
    }
    // The weights are the powers of BASE.
    let weights = [0x1E5_FFFF_FD27, 0xFFFF_FFDC_0000_0051, BASE, 1];
    sums.iter().zip(weights).fold(0, |hash, (sum, weight)| u64::from(*sum).wrapping_mul(weight).wrapping_add(hash))
}

impl AssemblyIdentity {
    /// Name of the component's manifest, its folder in WinSxS and its key in the COMPONENTS hive, e.g.
    /// `amd64_microsoft-windows-defrag_31bf3856ad364e35_10.0.14393.0_none_316bfc567179b46c`.
    pub fn key_form(&self) -> String {
        self.key(true)
    }

    /// The same without the version. The component's winner is listed under it.
    pub fn versionless_key_form(&self) -> String {
        self.key(false)
    }

    /// Name of the key of a deployment in the COMPONENTS hive.
    pub fn deployment_key(&self) -> String {
        let name = shortened(&self.name, MAX_DEPLOYMENT);
        format!("{name}_{}_{}_{:016x}", self.token(), self.version, self.pseudo_key(true))
    }

    /// The package identifier, `Name~token~arch~lang~version`.
    pub fn package_id(&self) -> String {
        let language = self.language.as_deref().unwrap_or_default();
        format!("{}~{}~{}~{language}~{}", self.name, self.public_key_token, self.architecture, self.version)
    }

    /// The identity in the notation of the COMPONENTS hive.
    pub fn identity_text(&self) -> String {
        let mut text = format!("{}, Culture={}", self.name, self.language.as_deref().unwrap_or("neutral"));
        if let Some(kind) = &self.kind {
            text += &format!(", Type={kind}");
        }
        text += &format!(
            ", Version={}, PublicKeyToken={}, ProcessorArchitecture={}",
            self.version, self.public_key_token, self.architecture
        );
        match self.version_scope.as_deref() {
            Some(scope) if scope.eq_ignore_ascii_case("nonSxS") => text += ", versionScope=NonSxS",
            Some(scope) => text += &format!(", versionScope={scope}"),
            None => {}
        }
        text
    }

    fn key(&self, with_version: bool) -> String {
        let version = if with_version { format!("{}_", self.version) } else { String::new() };
        format!(
            "{}_{}_{}_{version}{}_{:016x}",
            self.architecture,
            shortened(&self.name, MAX_NAME),
            self.token(),
            self.language.as_deref().map_or("none".into(), |language| shortened(language, MAX_CULTURE)),
            self.pseudo_key(with_version)
        )
    }

    fn token(&self) -> String {
        match self.public_key_token.as_str() {
            "" => "none".into(),
            token => token.to_ascii_lowercase(),
        }
    }

    /// The hash at the end of a key form, over all attributes that are there, as written.
    fn pseudo_key(&self, with_version: bool) -> u64 {
        let (version, architecture) = (self.version.to_string(), self.architecture.word());
        let given = |text: &'_ str| !text.is_empty();
        let fields = [
            ("name", Some(self.name.as_str())),
            ("culture", self.language.as_deref()),
            ("type", self.kind.as_deref()),
            ("version", with_version.then_some(version.as_str())),
            ("publickeytoken", Some(self.public_key_token.as_str()).filter(|text| given(text))),
            ("processorarchitecture", Some(&*architecture).filter(|text| given(text))),
            ("versionscope", self.version_scope.as_deref()),
        ];
        let fields = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
        fields.fold(0, |key: u64, (name, value)| {
            let name = hash(name.as_bytes()).wrapping_mul(BASE);
            let value = hash(value.to_ascii_lowercase().as_bytes());
            key.wrapping_mul(BASE).wrapping_add(name).wrapping_add(value)
        })
    }
}

/// Name of the value that lists the file `name` of a component in the COMPONENTS hive: `f!…`, in lower case. A name
/// that is long or has special characters is cut, has `_` in place of these, and ends with a hash.
pub fn truncated_file(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    if lower.len() <= MAX_FILE && lower.chars().all(is_plain) {
        return format!("f!{lower}");
    }
    let start: String = lower.chars().take(MAX_FILE).map(|c| if is_plain(c) { c } else { '_' }).collect();
    format!("f!{start}_{:016x}", hash(lower.as_bytes()))
}

/// The name of a component in the names of its manifest and folder: in lower case, shortened.
pub fn shortened_component(name: &str) -> String {
    shortened(name, MAX_NAME)
}

/// Whether `name` can be an output of [`truncated_file`].
pub fn is_truncated_file(name: &str) -> bool {
    let Some(name) = name.strip_prefix("f!") else { return false };
    if name.len() <= MAX_FILE && name.chars().all(is_plain) {
        return true;
    }
    let Some((start, hash)) = name.rsplit_once('_') else { return false };
    let is_hash = hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    let len = start.chars().count();
    // A name that was cut has its full length; another one must have a special character.
    is_hash
        && start.chars().all(|c| is_plain(c) || c == '_')
        && (len == MAX_FILE || len < MAX_FILE && start.contains('_'))
}

fn is_plain(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-')
}

/// Name of the value which says that an update of a package has planned (`p`), staged (`s`) or installed (`i`) a
/// deployment: `i!CBS_…`.
pub fn truncated_update(prefix: char, package_id: &str, update: &str) -> String {
    truncated_id(prefix, &format!("{package_id}.{update}"))
}

/// The same for the identifier of package and update, `Name~token~arch~lang~version.update`.
pub fn truncated_id(prefix: char, id: &str) -> String {
    let id = id.to_ascii_lowercase();
    match id.char_indices().nth(MAX_UPDATE) {
        Some((end, _)) => format!("{prefix}!CBS_{}_{:016x}", &id[..end], hash(id.as_bytes())),
        None => format!("{prefix}!CBS_{id}"),
    }
}

/// `text` in lower case, without characters that names may not have. If it is longer than `max`, its middle is replaced
/// by `..`.
fn shortened(text: &str, max: usize) -> String {
    let mut text = text.to_ascii_lowercase();
    text.retain(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
    match text.len() > max {
        true => format!("{}..{}", &text[..max / 2 - 1], &text[text.len() - (max / 2 - 1)..]),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::windows::package::architecture::AssemblyArchitecture;

    const TOKEN: &str = "31bf3856ad364e35";

    fn component(name: &str, version: &str, architecture: &str) -> AssemblyIdentity {
        AssemblyIdentity {
            name: name.into(),
            version: version.parse().unwrap(),
            architecture: AssemblyArchitecture::named(architecture),
            language: None,
            public_key_token: TOKEN.into(),
            kind: None,
            version_scope: Some("nonSxS".into()),
        }
    }

    #[test]
    fn key_forms_of_real_components() {
        let vectors = [
            ("Microsoft-Windows-Defrag", "10.0.14393.0", "amd64", "amd64_microsoft-windows-defrag", "316bfc567179b46c"),
            ("Microsoft-Windows-Defrag", "10.0.14393.0", "x86", "x86_microsoft-windows-defrag", "d54d60d2b91c4336"),
            (
                "Microsoft-Windows-Defrag-ScheduleClient",
                "10.0.14393.0",
                "amd64",
                "amd64_microsoft-windows-defrag-scheduleclient",
                "5d688503eaf49e43",
            ),
            (
                "Microsoft-Windows-ServicingStack",
                "10.0.19041.1",
                "amd64",
                "amd64_microsoft-windows-servicingstack",
                "bf506ecc66a800df",
            ),
            (
                "Microsoft-Windows-Dedup-Service",
                "10.0.20348.2849",
                "amd64",
                "amd64_microsoft-windows-dedup-service",
                "773c336e9bd2bbfb",
            ),
            ("Microsoft-Windows-USP", "6.1.7601.22171", "x86", "x86_microsoft-windows-usp", "af477f18d00f9c82"),
            (
                "Microsoft-Windows-StartMenuExperienceHost.AppxMain",
                "10.0.26100.7309",
                "amd64",
                "amd64_microsoft-windows-s..riencehost.appxmain",
                "9707d6de62619e8c",
            ),
        ];
        for (name, version, architecture, start, key) in vectors {
            let expected = format!("{start}_{TOKEN}_{version}_none_{key}");
            assert_eq!(component(name, version, architecture).key_form(), expected);
        }
        let defrag = component("Microsoft-Windows-Defrag", "10.0.14393.0", "amd64");
        let expected = "amd64_microsoft-windows-defrag_31bf3856ad364e35_none_53ba52aa53599b43";
        assert_eq!(defrag.versionless_key_form(), expected);
    }

    #[test]
    fn type_and_language_count() {
        let mut controls = component("Microsoft.Windows.Common-Controls", "6.0.19041.1110", "amd64");
        (controls.kind, controls.version_scope) = (Some("win32".into()), None);
        controls.public_key_token = "6595b64144ccf1df".into();
        let expected = "amd64_microsoft.windows.common-controls_6595b64144ccf1df_6.0.19041.1110_none_60b5254171f9507e";
        assert_eq!(controls.key_form(), expected);
        let mut driver = component("dual_netvg63a.inf", "10.0.26100.1", "amd64");
        driver.kind = Some("dualModeDriver".into());
        let expected = "amd64_dual_netvg63a.inf_31bf3856ad364e35_10.0.26100.1_none_9162a10543917fc7";
        assert_eq!(driver.key_form(), expected);
        let mut resources = component("MultiPoint-SrcRes.Resources", "10.0.26100.1", "amd64");
        resources.language = Some("en-US".into());
        let expected = "amd64_multipoint-srcres.resources_31bf3856ad364e35_10.0.26100.1_en-us_6ab3ac0cf789ac3d";
        assert_eq!(resources.key_form(), expected);
    }

    #[test]
    fn deployments_and_packages() {
        let dedup = component("Microsoft-Windows-Dedup-Deployment", "10.0.20348.2849", "amd64");
        let expected = "microsoft-w..-deployment_31bf3856ad364e35_10.0.20348.2849_f8f9ef63a3376fad";
        assert_eq!(dedup.deployment_key(), expected);
        let id = "Microsoft-Windows-Dedup-Deployment~31bf3856ad364e35~amd64~~10.0.20348.2849";
        assert_eq!(dedup.package_id(), id);
        let expected = "Microsoft-Windows-Dedup-Deployment, Culture=neutral, Version=10.0.20348.2849, \
                        PublicKeyToken=31bf3856ad364e35, ProcessorArchitecture=amd64, versionScope=NonSxS";
        assert_eq!(dedup.identity_text(), expected);
    }

    #[test]
    fn shortened_names_of_values() {
        assert_eq!(truncated_file("A.dll"), "f!a.dll");
        for (name, expected) in [
            ("proactive-telemetry-events.js", "f!proactive-telemetry-event_8ac43a41e5030538"),
            ("proactive-telemetry-interfaces.js", "f!proactive-telemetry-inter_58073761d33f144b"),
        ] {
            assert_eq!(truncated_file(name), expected);
        }
        let update = truncated_update(
            'i',
            "Package_4_for_KB948610~31bf3856ad364e35~x86~~6.0.6001.2123",
            "948610-238_neutral_GDR",
        );
        let expected = "i!CBS_package_4_for_kb948610~31bf3856ad364e35~x86~~6.0.6001.2123.9_9239eb5df3a843a1";
        assert_eq!(update, expected);
        assert_eq!(truncated_update('p', "a~b~c~~1.0.0.0", "U"), "p!CBS_a~b~c~~1.0.0.0.u");
        assert_eq!(truncated_file(&"é".repeat(30)).chars().count(), 2 + 25 + 17, "no character is cut");
        // As in exports of Windows Server 2016.
        assert_eq!(truncated_file("SAPI_onecore.dll"), "f!sapi_onecore.dll_fd2920efaedb8a9f");
        assert_eq!(truncated_file(r"Windows\System32\load.bat"), "f!windows_system32_load.bat_a70da65509d214d0");
        for name in ["a.dll", "SAPI_onecore.dll", "ä.dll", "long-name-of-some-library.resources.dll", "_"] {
            assert!(is_truncated_file(&truncated_file(name)), "{name}");
        }
        for other in ["a.dll", "f!a_b.dll", "f!A.dll", "f!a.dll_fd2920efaedb8a9f", "f!a_b.dll_fd2920efaedb8a9"] {
            assert!(!is_truncated_file(other), "{other}");
        }
    }

    /// All test vectors, if they lie beside the repository.
    #[cfg(feature = "internals")]
    #[test]
    fn collected_key_forms() {
        let Some(path) = fixtures::outside::shared("data/cbs/keyform_oracle.csv") else { return };
        let table = std::fs::read_to_string(path).unwrap();
        let mut lines = table.lines();
        let heads: Vec<&str> = lines.next().unwrap().split(',').collect();
        let mut count = 0;
        for line in lines {
            let fields: Vec<&str> = line.split(',').collect();
            let field = |name| fields[heads.iter().position(|head| *head == name).unwrap()];
            let attributes = [
                ("name", field("name")),
                ("culture", field("culture")),
                ("type", field("type")),
                ("version", field("version")),
                ("publicKeyToken", field("publicKeyToken")),
                ("processorArchitecture", field("arch")),
                ("versionScope", field("versionScope")),
            ];
            let identity = AssemblyIdentity::from_attributes(attributes).unwrap();
            assert_eq!(identity.key_form(), field("expected_keyform"));
            assert_eq!(
                AssemblyIdentity::from_identity_text(&identity.identity_text()).unwrap().key_form(),
                identity.key_form()
            );
            count += 1;
        }
        assert!(count > 50);
    }
}
