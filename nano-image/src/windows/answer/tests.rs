//! Answer files of all kinds, and the remarks about them.

use super::*;
use crate::error::Result;
use crate::types::Architecture;

/// An answer file with `settings` of a component in a pass.
fn file(pass: &str, component: &str, settings: &str) -> String {
    whole(&section(pass, &self::component(component, "amd64", settings)))
}

fn whole(sections: &str) -> String {
    format!("<unattend xmlns=\"{NAMESPACE}\" xmlns:wcm=\"{WCM}\">{sections}</unattend>")
}

fn section(pass: &str, components: &str) -> String {
    format!("<settings pass=\"{pass}\">{components}</settings>")
}

fn component(name: &str, architecture: &str, settings: &str) -> String {
    format!(
        "<component name=\"{name}\" processorArchitecture=\"{architecture}\" publicKeyToken=\"{TOKEN}\" \
         language=\"neutral\" versionScope=\"nonSxS\">{settings}</component>"
    )
}

fn judge(text: &str) -> Vec<Remark> {
    let target = Target { architecture: Some(Architecture::Amd64), ..Target::default() };
    AnswerFile::parse(text.as_bytes()).unwrap().judge(text.as_bytes(), &target)
}

/// Codes of refused settings, and of told ones.
fn codes(text: &str) -> (Vec<&'static str>, Vec<&'static str>) {
    let of = |verdict| judge(text).iter().filter(|r| r.verdict == verdict).map(|r| r.code).collect();
    (of(Verdict::Refused), of(Verdict::Told))
}

const DEPLOYMENT: &str = "Microsoft-Windows-Deployment";

#[test]
fn what_windows_refuses_is_refused_with_its_line() {
    let shell = |settings: &str| file("specialize", SHELL_SETUP, settings);
    let oobe = |settings: &str| file("oobeSystem", SHELL_SETUP, settings);
    let run = |commands: &str| file("specialize", DEPLOYMENT, &format!("<RunSynchronous>{commands}</RunSynchronous>"));
    let command = |order: &str, path: &str| {
        format!("<RunSynchronousCommand wcm:action=\"add\">{order}<Path>{path}</Path></RunSynchronousCommand>")
    };
    let one = component(SHELL_SETUP, "amd64", "<TimeZone>UTC</TimeZone>");
    let long = "x".repeat(260);
    for (text, code) in [
        (shell("<TimeZone>UTC</TimeZone><TimeZone>UTC</TimeZone>"), "duplicate-setting"),
        (whole(&section("specialize", &format!("{one}{one}"))), "duplicate-component"),
        (whole(&format!("{0}{0}", section("specialize", &one))), "duplicate-component"),
        (whole(&section("specialise", &one)), "unknown-pass"),
        (whole(&section("", &one)), "unknown-pass"),
        (whole(&format!("<settings>{one}</settings>")), "missing-attribute"),
        (whole("<setting pass=\"specialize\"/>"), "unknown-section"),
        (whole(&section("specialize", "<TimeZone>UTC</TimeZone>")), "unknown-section"),
        (whole(&format!("x{}", section("specialize", &one))), "stray-text"),
        (whole(&section("specialize", &one.replace("publicKeyToken", "token"))), "missing-attribute"),
        (whole(&section("specialize", &one.replace("language", "culture"))), "missing-attribute"),
        (whole(&section("specialize", &one.replace("processorArchitecture", "arch"))), "missing-attribute"),
        (whole(&section("windowsPE", &one.replace(" name=", " id="))), "missing-attribute"),
        (whole(&section("specialize", &one.replace("amd64", "x64"))), "bad-attribute"),
        (whole(&section("specialize", &one.replace(TOKEN, "31bf"))), "bad-attribute"),
        (whole(&section("specialize", &one.replace("nonSxS", "any"))), "bad-attribute"),
        (shell("<ProductKey>AAAAA-BBBBB</ProductKey>"), "bad-value"),
        (shell("<TimeZone>Central Europe</TimeZone>"), "bad-value"),
        (shell("<ComputerName>a b</ComputerName>"), "bad-value"),
        (shell("<ComputerName><Name>a</Name></ComputerName>"), "bad-value"),
        (shell("<OOBE><HideEULAPage>true</HideEULAPage></OOBE>"), "wrong-pass"),
        (shell("<InputLocale>de-DE</InputLocale>"), "unknown-setting"),
        (file("oobeSystem", "Microsoft-Windows-Setup", "<UserData/>"), "wrong-pass"),
        (oobe("<OOBE><HideEULAPage>yes</HideEULAPage></OOBE>"), "bad-value"),
        (oobe("<OOBE><ProtectYourPC>4</ProtectYourPC></OOBE>"), "bad-value"),
        (oobe("<OOBE><NetworkLocation>Office</NetworkLocation></OOBE>"), "bad-value"),
        (oobe("<OOBE><ProtectYourPC>1</ProtectYourPC><ProtectYourPC>1</ProtectYourPC></OOBE>"), "duplicate-setting"),
        (run(&command("<Order>1</Order>", &long)), "bad-value"),
        (run(&command("<Order>1</Order>", "")), "bad-value"),
        (run(&command("<Order>0</Order>", "ver")), "bad-order"),
        (run(&command("<Order>501</Order>", "ver")), "bad-order"),
        (run(&command("<Order>one</Order>", "ver")), "bad-order"),
        (run(&command("", "ver")), "bad-order"),
        (run(&command("<Order>1</Order>", "ver").repeat(2)), "bad-order"),
        (run(&command("<Order>1</Order><WillReboot>Maybe</WillReboot>", "ver")), "bad-value"),
        (run(&command("<Order>1</Order>", "ver").replace("\"add\"", "\"append\"")), "bad-action"),
        (oobe("<UserAccounts><AdministratorPassword>x</AdministratorPassword></UserAccounts>"), "stray-text"),
        (
            oobe(
                "<UserAccounts><AdministratorPassword><Value>*x*</Value><PlainText>false</PlainText>\
                 </AdministratorPassword></UserAccounts>",
            ),
            "bad-password",
        ),
        (
            oobe(
                "<UserAccounts><LocalAccounts><LocalAccount wcm:action=\"add\"><Name>a/b</Name></LocalAccount>\
                 </LocalAccounts></UserAccounts>",
            ),
            "bad-value",
        ),
    ] {
        let (refused, _) = codes(&text);
        assert_eq!(refused, [code], "{text}\n{:#?}", judge(&text));
        let error = AnswerFile::refusal(&judge(&text)).unwrap();
        assert!(error.message().starts_with("line 1, column ") && error.offset().is_some(), "{error}");
    }
}

#[test]
fn what_windows_accepts_is_not_refused() {
    let shell = |settings: &str| file("specialize", SHELL_SETUP, settings);
    let command = "<FirstLogonCommands><SynchronousCommand wcm:action=\"add\"><Order>1</Order><CommandLine>ver\
        </CommandLine><RequiresUserInput>False</RequiresUserInput></SynchronousCommand><SynchronousCommand \
        wcm:action=\"add\"><Order> 2 </Order><CommandLine><![CDATA[cmd /c \"a & b\"]]></CommandLine>\
        </SynchronousCommand></FirstLogonCommands>";
    let firewall = "<FirewallGroups><FirewallGroup wcm:action=\"add\" wcm:keyValue=\"a\"><Active>true</Active>\
        <Group>@FirewallAPI.dll,-28752</Group><Profile>all</Profile></FirewallGroup><FirewallGroup \
        wcm:action=\"add\" wcm:keyValue=\"b\"><Active>true</Active></FirewallGroup></FirewallGroups>";
    let interfaces = "<Interfaces><Interface wcm:action=\"add\"><Identifier>a</Identifier><UnicastIpAddresses><IpAddress \
        wcm:action=\"add\" wcm:keyValue=\"1\">10.0.0.5/24</IpAddress><IpAddress wcm:action=\"add\" \
        wcm:keyValue=\"2\">10.0.0.6/24</IpAddress></UnicastIpAddresses></Interface></Interfaces>";
    for text in [
        shell(
            "<!-- a --><ComputerName>web<!-- b -->-01</ComputerName><TimeZone>Romance Standard Time_dstoff</TimeZone>",
        ),
        shell("<ComputerName>*</ComputerName><CopyProfile>TRUE</CopyProfile>"),
        file("oobeSystem", SHELL_SETUP, command),
        file("specialize", "Networking-MPSSVC-Svc", firewall),
        file("specialize", "Microsoft-Windows-TCPIP", interfaces),
        whole("<cpi:offlineImage cpi:source=\"\" xmlns:cpi=\"urn:schemas-microsoft-com:cpi\" />"),
        whole(&section(
            "specialize",
            &[component(SHELL_SETUP, "amd64", "<A/>"), component(SHELL_SETUP, "wow64", "<A/>")].concat(),
        )),
        shell("<ProductKey>vdybn-27wpp-v4hqt-9vmd4-vmk7h</ProductKey>").replace("nonSxS", "NonSxS"),
    ] {
        assert_eq!(codes(&text).0, Vec::<&str>::new(), "{text}\n{:#?}", judge(&text));
    }
}

#[test]
fn what_windows_ignores_is_told() {
    let setup = "<UserData><ProductKey><Key>x</Key></ProductKey></UserData><DiskConfiguration/>";
    let cases = [
        (
            file("windowsPE", "Microsoft-Windows-Setup", setup),
            "pass-never-runs",
            "(UserData/ProductKey, DiskConfiguration)",
        ),
        (file("auditUser", DEPLOYMENT, "<Reseal/>"), "pass-never-runs", "Reseal"),
        (
            file("generalize", "Microsoft-Windows-PnpSysprep", "<PersistAllDeviceInstalls/>"),
            "pass-never-runs",
            "sysprep",
        ),
        (file("specialize", "Microsoft-Windows-Shell-Setpu", "<TimeZone>UTC</TimeZone>"), "unknown-component", "Setpu"),
        (file("specialize", SHELL_SETUP, "<Nonsense/>"), "unknown-setting", "Nonsense"),
        (
            file(
                "oobeSystem",
                SHELL_SETUP,
                "<FirstLogonCommands><SynchronousCommand><Order>1</Order><CommandLine>ver\
                </CommandLine></SynchronousCommand></FirstLogonCommands>",
            ),
            "no-action",
            "wcm:action",
        ),
        (
            whole(&section("specialize", &component(SHELL_SETUP, "x86", "<ComputerName>a b</ComputerName>"))),
            "foreign-architecture",
            "amd64",
        ),
        (
            file("specialize", SHELL_SETUP, "<A/>").replace("<settings", "<settings xmlns=''"),
            "no-namespace",
            "settings",
        ),
        (file("specialize", UNATTENDED_JOIN, "<ComputerName>a</ComputerName>"), "misplaced-name", "0x80220001"),
    ];
    for (text, code, word) in cases {
        let (refused, told) = codes(&text);
        let all = judge(&text);
        assert_eq!((refused.len(), told.contains(&code)), (0, true), "{text}\n{all:#?}");
        let remark = all.iter().find(|remark| remark.code == code).unwrap();
        assert!(remark.message.contains(word), "{remark}");
    }
    let near = judge(&file("specialize", "Microsoft-Windows-Shell-Setpu", ""));
    assert_eq!(near[0].hint.as_deref(), Some("did you mean Microsoft-Windows-Shell-Setup?"));
}

#[test]
fn faults_in_passes_that_never_run_are_only_told() {
    let text = file("windowsPE", SHELL_SETUP, "<TimeZone>x</TimeZone><TimeZone>y</TimeZone>");
    let (refused, told) = codes(&text);
    assert!(refused.is_empty() && told.contains(&"bad-value") && told.contains(&"duplicate-setting"), "{told:?}");
}

#[test]
fn what_comes_into_force_is_said_with_its_page() {
    let all = judge(&file("oobeSystem", SHELL_SETUP, "<TimeZone>UTC</TimeZone>"));
    let [applied] = &all[..] else { panic!("{all:#?}") };
    assert_eq!((applied.verdict, applied.setting.as_deref()), (Verdict::Applied, Some("TimeZone")));
    assert!(applied.page.as_ref().unwrap().ends_with("unattend/microsoft-windows-shell-setup-timezone"));
}

#[test]
fn files_that_are_no_answer_files_are_refused_with_their_place() {
    for (text, place) in [
        ("<a/>", "line 1, column 1: "),
        ("<unattend/>", "line 1, column 1: "),
        (
            "<?xml version=\"1.0\"?>\n<unattend xmlns='urn:schemas-microsoft-com:unattend'>\n <settings>",
            "line 3, column 2",
        ),
        (
            "<unattend xmlns='urn:schemas-microsoft-com:unattend'>\n\n <a wcm:action='add'/></unattend>",
            "line 3, column 2",
        ),
        ("<unattend xmlns='urn:schemas-microsoft-com:unattend'>\n<x:a/></unattend>", "line 2, column 1"),
        ("", "line 1, column 1"),
    ] {
        let error = AnswerFile::parse(text.as_bytes()).unwrap_err();
        assert!(error.message().starts_with(place) && error.offset().is_some(), "{text}: {error}");
    }
}

#[test]
fn settings_are_added_to_what_is_there_and_removed_with_what_held_them() {
    let text = file("oobeSystem", SHELL_SETUP, "<RegisteredOwner>me</RegisteredOwner>");
    let mut file = AnswerFile::parse(text.as_bytes()).unwrap();
    file.is_for(Architecture::Amd64);
    file.set("oobeSystem", SHELL_SETUP, &["UserAccounts", "AdministratorPassword", "Value"], "v");
    file.set("specialize", SHELL_SETUP, &["ComputerName"], "web-01");
    for command in ["ver", "dir"] {
        let fields = [("CommandLine", command)];
        file.add_item("oobeSystem", SHELL_SETUP, &["FirstLogonCommands"], "SynchronousCommand", true, &fields);
    }
    let bytes = file.to_bytes();
    let again = AnswerFile::parse(&bytes).unwrap();
    assert_eq!(again.text("oobeSystem", SHELL_SETUP, &["RegisteredOwner"]).unwrap(), "me");
    assert_eq!(again.text("specialize", SHELL_SETUP, &["ComputerName"]).unwrap(), "web-01");
    let items = |field| again.items("oobeSystem", SHELL_SETUP, &["FirstLogonCommands"], "SynchronousCommand", field);
    assert_eq!(
        (items("Order"), items("CommandLine")),
        (vec!["1".into(), "2".into()], vec!["ver".into(), "dir".into()])
    );
    let remarks = again.judge(&bytes, &Target { architecture: Some(Architecture::Amd64), ..Target::default() });
    assert!(remarks.iter().all(|remark| remark.verdict == Verdict::Applied), "{remarks:#?}");
    assert_eq!(String::from_utf8(bytes).unwrap().matches("<component").count(), 2);
    file.remove("specialize", SHELL_SETUP, "ComputerName");
    assert!(!String::from_utf8(file.to_bytes()).unwrap().contains("specialize"));
}

#[test]
fn components_of_other_architectures_count_for_nothing() {
    let name = |architecture: &str| {
        component(SHELL_SETUP, architecture, &format!("<ComputerName>name-{architecture}</ComputerName>"))
    };
    let text = whole(&section("specialize", &(name("amd64") + &name("x86") + &name("arm64"))));
    for architecture in [Architecture::Amd64, Architecture::Arm64, Architecture::X86] {
        let mut file = AnswerFile::parse(text.as_bytes()).unwrap();
        file.is_for(architecture);
        assert_eq!(file.texts("specialize", SHELL_SETUP, &["ComputerName"]), [format!("name-{architecture}")]);
        file.set("specialize", SHELL_SETUP, &["ComputerName"], "new");
        let written = String::from_utf8(file.to_bytes()).unwrap();
        assert_eq!((written.matches("name-").count(), written.matches("new").count()), (2, 1));
    }
}

#[test]
fn a_name_under_unattended_join_is_taken_as_that_of_shell_setup() {
    let text = file("offlineServicing", UNATTENDED_JOIN, "<ComputerName>web-01</ComputerName>")
        .replace("<settings", "<settings wasPassProcessed=\"true\"");
    assert_eq!(codes(&text).1, ["pass-was-processed", "misplaced-name"]);
    let mut file = AnswerFile::parse(text.as_bytes()).unwrap();
    file.repair().unwrap();
    assert_eq!(file.text("offlineServicing", SHELL_SETUP, &["ComputerName"]).unwrap(), "web-01");
    let text = String::from_utf8(file.to_bytes()).unwrap();
    assert!(!text.contains(UNATTENDED_JOIN) && !text.contains(PROCESSED), "{text}");
}

#[test]
fn many_settings_of_one_name_cost_no_more_than_others() {
    let items = "<SynchronousCommand wcm:action=\"add\"><Order>1</Order></SynchronousCommand>".repeat(15_000);
    let text = file("oobeSystem", SHELL_SETUP, &format!("<FirstLogonCommands>{items}</FirstLogonCommands>"));
    assert_eq!(codes(&text).0.len(), 14_999);
}

#[test]
fn what_the_image_has_decides() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let (languages, time_zones) = (names(&["en-US"]), names(&["UTC", "Mars Standard Time"]));
    let architecture = Some(Architecture::Amd64);
    let target = Target { architecture, languages: &languages, time_zones: &time_zones, components: None };
    let codes = |text: &str| {
        let remarks = AnswerFile::parse(text.as_bytes()).unwrap().judge(text.as_bytes(), &target);
        remarks.into_iter().filter(|r| r.verdict != Verdict::Applied).map(|r| (r.verdict, r.code)).collect::<Vec<_>>()
    };
    let zone = |zone: &str| file("specialize", SHELL_SETUP, &format!("<TimeZone>{zone}</TimeZone>"));
    assert_eq!(codes(&zone("mars standard time_dstoff")), []);
    assert_eq!(codes(&zone("Romance Standard Time")), [(Verdict::Refused, "not-in-image")]);
    let language = |name: &str| {
        let settings = format!("<UILanguage>{name}</UILanguage><UserLocale>fr-FR</UserLocale>");
        file("oobeSystem", "Microsoft-Windows-International-Core", &settings)
    };
    assert_eq!(codes(&language("EN-us")), []);
    assert_eq!(codes(&language("de-DE")), [(Verdict::Told, "not-in-image")]);
    let account = "<UserAccounts><LocalAccounts><LocalAccount wcm:action=\"add\"><Name>Web</Name></LocalAccount>\
        </LocalAccounts></UserAccounts>";
    let named = section("specialize", &component(SHELL_SETUP, "amd64", "<ComputerName>WEB</ComputerName>"));
    let both = whole(&(named + &section("oobeSystem", &component(SHELL_SETUP, "amd64", account))));
    assert_eq!(codes(&both), [(Verdict::Told, "account-is-computer")]);
}

/// The component store of an image, as far as answer files need it: names and manifests.
struct Store(Vec<(String, Vec<u8>)>);

impl Store {
    /// A manifest of `name` that declares `schema`.
    fn with(mut self, name: &str, version: &str, schema: &str) -> Self {
        let file = format!("amd64_{}_{TOKEN}_{version}_none_0123456789abcdef.manifest", name.to_lowercase());
        let manifest = format!(
            "<assembly xmlns=\"urn:schemas-microsoft-com:asm.v3\" xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\">\
             <assemblyIdentity name=\"{name}\"/><configuration xmlns:wcm=\"{WCM}\"><configurationSchema>\
             <xsd:schema targetNamespace=\"{name}\">{schema}</xsd:schema></configurationSchema></configuration></assembly>"
        );
        self.0.push((file, manifest.into_bytes()));
        self
    }

    fn judge(&self, text: &str) -> Vec<(Verdict, &'static str, String)> {
        let mut answer = AnswerFile::parse(text.as_bytes()).unwrap();
        answer.is_for(Architecture::Amd64);
        let mut setup = ImageSetup { architecture: Some(Architecture::Amd64), ..ImageSetup::default() };
        setup.read_components(&answer, &Manifests::new(self).unwrap(), self);
        let remarks = answer.judge(text.as_bytes(), &setup.target());
        let faults = remarks.into_iter().filter(|remark| remark.verdict != Verdict::Applied);
        faults.map(|remark| (remark.verdict, remark.code, remark.hint.unwrap_or(remark.message))).collect()
    }
}

impl crate::windows::edit::ImageFiles for Store {
    fn names(&self, path: &str) -> Result<Vec<String>> {
        assert_eq!(path, r"Windows\WinSxS\Manifests");
        Ok(self.0.iter().map(|(name, _)| name.clone()).collect())
    }

    fn read_file(&self, path: &str, _: u64) -> Result<Option<Vec<u8>>> {
        Ok(self.0.iter().find(|(name, _)| path.ends_with(name.as_str())).map(|(_, bytes)| bytes.clone()))
    }
}

/// Settings in the form of Windows' own manifests.
const DECLARED: &str = r#"
    <xsd:simpleType name="Level"><xsd:restriction base="xsd:integer"><xsd:minInclusive value="1"/>
      <xsd:maxInclusive value="3"/></xsd:restriction></xsd:simpleType>
    <xsd:complexType name="Screens"><xsd:sequence>
      <xsd:element name="HideEULAPage" type="xsd:boolean" minOccurs="0"/>
      <xsd:element name="ProtectYourPC" type="Level" minOccurs="0"/></xsd:sequence></xsd:complexType>
    <xsd:element name="TimeZone" type="xsd:string" wcm:passes="specialize"/>
    <xsd:element name="Novelty" type="Level" wcm:passes="specialize,oobeSystem"/>
    <xsd:element name="OOBE" type="Screens" wcm:passes="oobeSystem"/>"#;

#[test]
fn the_manifests_of_an_image_decide_which_settings_there_are() {
    let store = Store(Vec::new())
        .with(SHELL_SETUP, "10.0.20348.1", "")
        .with(SHELL_SETUP, "10.0.20348.900", DECLARED)
        .with("Microsoft-Windows-Novelty", "10.0.1.1", "<xsd:element name=\"A\" wcm:passes=\"specialize\"/>")
        .with("Microsoft-Windows-Empty", "10.0.1.1", "")
        .with("Microsoft-Windows-Odd", "10.0.1.1", "<xsd:element ref=\"A\"/><xsd:element name=\"B\"/>");
    let shell = |pass: &str, settings: &str| file(pass, SHELL_SETUP, settings);
    let fine: [String; 5] = [
        shell("specialize", "<TimeZone>UTC</TimeZone><Novelty>3</Novelty>"),
        shell("oobeSystem", "<OOBE><HideEULAPage>true</HideEULAPage><ProtectYourPC>3</ProtectYourPC></OOBE>"),
        file("specialize", "microsoft-windows-novelty", "<A>any text</A>"),
        // If a manifest is not wholly understood, the table is used, which says nothing about it.
        file("specialize", "Microsoft-Windows-Odd", "<B>1</B>"),
        // What does not take effect is not in the image either.
        file("windowsPE", "Microsoft-Windows-Setup", "<UserData><AcceptEula>true</AcceptEula></UserData>"),
    ];
    for text in &fine {
        let remarks = store.judge(text);
        assert!(remarks.iter().all(|(_, code, _)| *code == "pass-never-runs"), "{text}: {remarks:?}");
    }
    for (text, verdict, code, says) in [
        (shell("specialize", "<Noveltie>3</Noveltie>"), Verdict::Refused, "not-in-image", "did you mean `Novelty`"),
        // Documented, and present in other images.
        (shell("specialize", "<CopyProfile>true</CopyProfile>"), Verdict::Refused, "not-in-image", "leave it out"),
        (shell("oobeSystem", "<TimeZone>UTC</TimeZone>"), Verdict::Refused, "wrong-pass", "specialize"),
        (shell("specialize", "<Novelty>4</Novelty>"), Verdict::Refused, "not-in-image", "from 1 to 3"),
        (shell("specialize", "<Novelty>1</Novelty><Novelty>2</Novelty>"), Verdict::Refused, "duplicate-setting", "one"),
        (
            shell("oobeSystem", "<OOBE><HideEULA>true</HideEULA></OOBE>"),
            Verdict::Refused,
            "not-in-image",
            "HideEULAPage",
        ),
        (shell("oobeSystem", "<OOBE><HideEULAPage>yes</HideEULAPage></OOBE>"), Verdict::Refused, "bad-value", "true"),
        (file("specialize", "Microsoft-Windows-Novelti", "<A/>"), Verdict::Told, "not-in-image", "windows-novelty"),
        (file("specialize", "Microsoft-Windows-Shell-Setpu", "<A/>"), Verdict::Told, "not-in-image", SHELL_SETUP),
        (file("specialize", "Microsoft-Windows-IE-ESC", "<A/>"), Verdict::Told, "not-in-image", "another edition"),
        (file("specialize", "Microsoft-Windows-Empty", "<A/>"), Verdict::Told, "not-in-image", "once more"),
        (file("specialize", "Microsoft-Windows-Odd", "<C/>"), Verdict::Told, "not-in-image", "leave it out"),
    ] {
        let remarks = store.judge(&text);
        assert!(
            matches!(&remarks[..], [(v, c, hint)] if (*v, *c) == (verdict, code) && hint.contains(says)),
            "{text}: {remarks:?}"
        );
    }
    // An image without manifests says nothing.
    let none = Store(Vec::new()).judge(&shell("specialize", "<CopyProfile>true</CopyProfile>"));
    assert_eq!(none, []);
}

/// The manifests of Windows are compressed with the servicing stack's dictionary.
#[cfg(feature = "internals")]
#[test]
fn compressed_manifests_are_read() {
    use fixtures::packages::wcp;
    struct Compressed(Store);
    impl crate::windows::edit::ImageFiles for Compressed {
        fn names(&self, path: &str) -> Result<Vec<String>> {
            match path {
                r"Windows\WinSxS" => Ok(vec!["amd64_microsoft-windows-servicingstack_x_10.0.1.1_none_y".into()]),
                _ => self.0.names(path),
            }
        }

        fn read_file(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
            let dictionary = wcp::dictionary();
            match path.ends_with("wcp.dll") {
                true => Ok(Some(wcp::wcp_dll(&dictionary))),
                false => Ok(self.0.read_file(path, limit)?.map(|text| fixtures::dcm::dcm(&text, &dictionary))),
            }
        }
    }
    let store = Compressed(Store(Vec::new()).with(SHELL_SETUP, "10.0.20348.900", DECLARED));
    let text = file("specialize", SHELL_SETUP, "<CopyProfile>true</CopyProfile>");
    let answer = AnswerFile::parse(text.as_bytes()).unwrap();
    let mut setup = ImageSetup::default();
    setup.read_components(&answer, &Manifests::new(&store).unwrap(), &store);
    let remarks = answer.judge(text.as_bytes(), &setup.target());
    assert!(remarks.iter().any(|remark| remark.code == "not-in-image" && remark.verdict == Verdict::Refused));
}

#[test]
fn what_is_refused_does_not_come_into_force() {
    let counts = |pass: &str, component: &str, text: &str| {
        let text = file(pass, component, text);
        let remarks = AnswerFile::parse(text.as_bytes()).unwrap().judge(text.as_bytes(), &Target::default());
        let of = |verdict| remarks.iter().filter(|remark| remark.verdict == verdict).count();
        (of(Verdict::Refused), of(Verdict::Told), of(Verdict::Applied))
    };
    let oobe = "<OOBE><ProtectYourPC>9</ProtectYourPC><HideEULAPage>true</HideEULAPage></OOBE><TimeZone>UTC</TimeZone>";
    assert_eq!(counts("oobeSystem", SHELL_SETUP, oobe), (1, 0, 1), "OOBE is refused, the time zone is not");
    assert_eq!(counts("specialize", SHELL_SETUP, "<ProductKey>1</ProductKey>"), (1, 0, 0));
    // Documented, but not seen to be refused.
    let run = "<RunSynchronous><RunSynchronousCommand wcm:action='add'><Order>1</Order><Path>a</Path>\
        </RunSynchronousCommand></RunSynchronous>";
    assert_eq!(counts("oobeSystem", "Microsoft-Windows-Deployment", run), (0, 1, 1));
    assert_eq!(counts("specialize", "Microsoft-Windows-Deployment", run), (0, 0, 1));
    // A build applies some of offlineServicing.
    let offline = "<RegisteredOwner>me</RegisteredOwner><OfflineUserAccounts><OfflineAdministratorPassword><Value>x</Value>\
        </OfflineAdministratorPassword><OfflineLocalAccounts><LocalAccount wcm:action='add'><Name>x</Name></LocalAccount>\
        </OfflineLocalAccounts></OfflineUserAccounts>";
    assert_eq!(counts("offlineServicing", SHELL_SETUP, offline), (0, 2, 1));
}
