mod expected;

use std::path::Path;
use std::sync::Arc;

use fixtures::CabBuilder;
use fixtures::cab::Method;
use fixtures::packages::{Cabinet, Form, Identity, Manifests, Package, State, What, nano};
use sha2::{Digest as _, Sha256};

use super::*;
use crate::content::BlobStore as _;
use crate::registry::{Hive, ValueKind};
use crate::tree::{FileTree, NodeId};
use crate::types::Architecture;
use crate::types::FileTime;
use crate::windows::edit::testing::edit;
use crate::windows::package::base::Bases;
use crate::windows::package::cabinet::CabinetSource;
use crate::windows::package::installed::Installed;
use crate::windows::package::payload::Produced;
use crate::windows::package::resolve::{Choice, Given, Purpose, Request, resolve};
use crate::windows::package::testing::{self, image};

const TIME: FileTime = FileTime(132_000_000_000_000_000);

/// An image after an installation.
struct Done {
    tree: FileTree,
    store: Overlay,
    report: InstallReport,
}

impl Done {
    fn bytes(&self, node: NodeId) -> Vec<u8> {
        match self.tree[node].data.as_ref().unwrap() {
            Content::Bytes(bytes) => bytes.to_vec(),
            Content::Blob { id, len } => self.store.read_blob(*id, *len).unwrap(),
        }
    }

    fn file(&self, path: &str) -> Vec<u8> {
        self.bytes(self.tree.find(path).unwrap_or_else(|| panic!("no {path}")))
    }

    fn hive(&self, path: &str) -> Hive {
        Hive::parse(self.file(path)).unwrap()
    }

    fn value(&self, hive: &'static str, key: &str, name: &str) -> crate::registry::Value {
        let hive = self.hive(&format!(r"Windows\System32\config\{hive}"));
        let found = hive.find(key).unwrap_or_else(|| panic!("no {key}"));
        hive.value(found, name).unwrap_or_else(|| panic!("no {name} in {key}"))
    }

    fn gaps(&self) -> Vec<(&str, &str)> {
        let gaps = self.report.packages.iter().flat_map(|package| &package.not_applied);
        gaps.map(|gap| (gap.element.as_str(), gap.why.as_str())).collect()
    }
}

/// The image before.
fn before() -> State {
    fixtures::scenes::nano_cbs_state("ServerDatacenterNano")
}

fn install(cabinets: &[Vec<u8>], strict: bool) -> Result<Done> {
    install_onto(image(&before()), cabinets, strict)
}

fn install_onto(mut tree: FileTree, cabinets: &[Vec<u8>], strict: bool) -> Result<Done> {
    let sources: Vec<CabinetSource> = cabinets
        .iter()
        .enumerate()
        .map(|(index, bytes)| CabinetSource { path: format!("{index}.cab").into(), data: Arc::new(bytes.clone()) })
        .collect();
    let options = InstallOptions { architecture: Architecture::Amd64, scratch: None, strict };
    let dictionary = testing::plain();
    let (report, store) = edit(&mut tree, TIME, |image| {
        let read = sources.iter().map(|source| testing::open(source, &dictionary));
        let read: Vec<_> = read.collect::<Result<_>>()?;
        let given = read.iter().map(|cabinet| Given { cabinet, purpose: Purpose::Package });
        let (given, installed): (Vec<Given<'_>>, _) = (given.collect(), &Installed::read(image)?);
        let architecture = Architecture::Amd64;
        let resolution =
            resolve(&Request { given: &given, store: None, features: Choice::default(), installed, architecture })?;
        let sources: Vec<_> = read.iter().map(|cabinet| &cabinet.source).collect();
        let files = Produced::make(&sources, &resolution, &Bases::new(image.tree, &image.blobs), &())?;
        let payload = files.add_to(&mut image.blobs)?;
        apply(image, &payload, &resolution, &options, &())
    })?;
    Ok(Done { tree, store, report })
}

fn plain(cabinet: &Cabinet) -> Vec<u8> {
    cabinet.to_bytes(Form { method: Method::Mszip, manifests: Manifests::Plain })
}

/// A package with one component: the contents of its manifest besides the identity, and its files.
fn package(name: &str, version: &str, content: &str, files: &[(&str, &[u8])]) -> Vec<u8> {
    let identity = Identity::component(name).version(version);
    let xml = |identity: &Identity| {
        format!(
            "<assemblyIdentity name=\"{}\" version=\"{version}\" processorArchitecture=\"amd64\" language=\"neutral\" \
             publicKeyToken=\"31bf3856ad364e35\" versionScope=\"nonSxS\"/>",
            identity.name
        )
    };
    let manifest =
        format!("<assembly xmlns=\"urn:schemas-microsoft-com:asm.v3\">{}{content}</assembly>", xml(&identity));
    let root = Identity::package(&format!("{name}-Package")).version(version);
    let root = Package::new(root, &[nano::foundation_identity()], [What::Component(identity.clone())]);
    let mut all = vec![("update.mum".to_owned(), root.mum()), ("update.cat".to_owned(), root.catalog())];
    all.push((format!("{}.manifest", identity.key_form()), manifest.into_bytes()));
    let folder = identity.key_form();
    all.extend(files.iter().map(|(name, bytes)| (format!(r"{folder}\{name}"), bytes.to_vec())));
    CabBuilder::new().folder(Method::Stored, all.iter().map(|(name, bytes)| (&name[..], bytes.clone()))).to_bytes()
}

/// A package of one component with one file.
fn one_file(name: &str, version: &str, attributes: &str, bytes: &[u8]) -> Vec<u8> {
    package(name, version, &format!(r#"<file name="a.dll" {attributes}/>"#), &[("a.dll", bytes)])
}

#[test]
fn everything_that_a_manifest_can_ask_for() {
    let content = r#"
      <file name="part.exe" destinationPath="$(runtime.system32)\Part\" destinationName="run.exe" attributes="readonly"><securityDescriptor name="F"/>
        <link destination="$(runtime.programData)\Part\run2.exe"/></file>
      <file name="state.dat" sourceName="" destinationPath="$(runtime.programData)\Part" writeableType="dynamic"/>
      <file name="only.dll"/>
      <directories><directory destinationPath="$(runtime.programData)\Part\Empty" owner="true"><securityDescriptor name="D"/></directory></directories>
      <registryKeys>
        <registryKey keyName="HKEY_LOCAL_MACHINE\System\CurrentControlset\Control\Part\"><securityDescriptor name="K"/>
          <registryValue name="Path" valueType="REG_EXPAND_SZ" value="$(runtime.system32)\Part $(resourceString.shown)"/>
          <registryValue name="Q" valueType="REG_QWORD" value="0A88000000000000"/><registryValue name="E" valueType="REG_BINARY"/></registryKey>
        <registryKey keyName="HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion">
          <registryValue name="CurrentBuild" valueType="REG_SZ" value="other" mutable="true"/></registryKey>
        <registryKey keyName="HKEY_CLASSES_ROOT\.part"><registryValue name="" valueType="REG_SZ" value="Part"/></registryKey>
        <registryKey keyName="HKEY_USERS\.DEFAULT\Part"/><registryKey keyName="HKEY_CURRENT_USER\Part"/>
        <registryKey keyName="HKEY_CURRENT_CONFIG\Part"/><registryKey keyName="HKEY_LOCAL_MACHINE\HARDWARE\Part"/>
        <registryKey keyName="HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Svchost">
          <registryValue name="netsvcs" valueType="REG_MULTI_SZ" operationHint="append" value="&quot;schedule&quot;,&quot;New&quot;"/></registryKey>
      </registryKeys>
      <configuration xmlns:w="http://schemas.microsoft.com/WMIConfig/2002/State" xmlns:x="http://www.w3.org/2001/XMLSchema"><configurationSchema><x:schema>
        <x:element default="true" name="On" type="x:boolean" w:handler="regkey('HKEY_LOCAL_MACHINE\SOFTWARE\Part')"/></x:schema></configurationSchema></configuration>
      <memberships><categoryMembership><id typeName="Service"/><categoryInstance>
        <serviceData name="part" type="win32ShareProcess" start="auto" errorControl="normal" imagePath="%SystemRoot%\p.exe" dependOnService="RPCSS">
        <failureActions resetPeriod="86400"><actions><action delay="60000" type="restartService"/></actions></failureActions>
        <serviceTrigger action="start" subtype="DOMAIN_JOIN" type="DomainJoin"><triggerData type="string" value="x"/></serviceTrigger>
        <securityDescriptor name="S"/></serviceData></categoryInstance></categoryMembership>
        <categoryMembership><id typeName="SvcHost"/><categoryInstance subcategory="netsvcs"><serviceGroup position="first" serviceName="part"/></categoryInstance></categoryMembership></memberships>
      <firewallRule InternalName="Part-In" Action="Allow" Dir="In" Active="TRUE" Protocol="6" LPort="99" Name="Part"/>
      <instrumentation><events xmlns="http://schemas.microsoft.com/win/2004/08/events"><provider name="Part" guid="{1ce20aba-9851-4421-9430-1ddeb766e809}"
        resourceFileName="$(runtime.system32)\part.dll"><channels><importChannel name="System"/><channel name="Part/Admin" type="Admin" enabled="true" isolation="System"/></channels></provider></events></instrumentation>
      <localization><resources culture="en-US"><stringTable><string id="shown" value="Text"/></stringTable></resources></localization>
      <trustInfo><security><accessControl><securityDescriptorDefinitions>
        <securityDescriptorDefinition name="F" sddl="O:SYG:SYD:P(A;;FA;;;SY)"/><securityDescriptorDefinition name="D" sddl="O:BAG:SYD:P(A;OICI;FA;;;BA)"/>
        <securityDescriptorDefinition name="K" sddl="O:SYG:SYD:P(A;CI;KA;;;SY)"/><securityDescriptorDefinition name="S" sddl="D:(A;;CCLCSWLORC;;;AU)"/>
      </securityDescriptorDefinitions></accessControl></security></trustInfo><bfsvc/>"#;
    let files: [(&str, &[u8]); 3] = [("part.exe", b"program"), ("state.dat", b"state"), ("only.dll", b"")];
    let done = install(&[package("Part", "1.0.0.0", content, &files)], false).unwrap();
    let gaps = [
        ("bfsvc", "boot files are put into place when the image is built"),
        ("registryKey", "the key is in no hive of an image"),
    ];
    assert_eq!(done.gaps(), gaps);
    let key_form = Identity::component("Part").version("1.0.0.0").key_form();
    let node = |path: &str| done.tree.find(path).unwrap_or_else(|| panic!("no {path}"));
    let program = node(r"Windows\System32\Part\run.exe");
    assert_eq!(
        (node(&format!(r"Windows\WinSxS\{key_form}\part.exe")), node(r"ProgramData\Part\run2.exe")),
        (program, program)
    );
    assert_eq!(done.tree[program].attributes & 1, 1);
    let state = [node(r"ProgramData\Part\state.dat"), node(&format!(r"Windows\WinSxS\{key_form}\state.dat"))];
    assert!(state[0] != state[1] && done.bytes(state[0]) == b"state" && done.bytes(state[1]) == b"state");
    assert_eq!(done.file(&format!(r"Windows\WinSxS\{key_form}\only.dll")), b"");
    let protected = |node: NodeId| done.tree.descriptors()[done.tree[node].security.unwrap().0 as usize][3] & 0x10 != 0;
    assert!(protected(program) && protected(node(r"ProgramData\Part\Empty")));

    let system = |key: &str, name: &str| done.value("SYSTEM", &format!(r"ControlSet001\{key}"), name);
    assert_eq!(system(r"Control\Part", "Path").text().unwrap(), r"C:\Windows\System32\Part Text");
    assert_eq!(system(r"Control\Part", "Q").as_qword(), Some(0x880A));
    assert!(system(r"Control\Part", "E").data.is_empty());
    let hive = done.hive(r"Windows\System32\config\SYSTEM");
    assert_eq!(hive.security(hive.find(r"ControlSet001\Control\Part").unwrap()).unwrap()[3] & 0x10, 0x10);
    assert!(
        hive.find("CurrentControlSet").is_none() && hive.find(r"ControlSet001\Hardware Profiles\0001\Part").is_some()
    );
    assert!(done.hive(r"Windows\System32\config\DEFAULT").find("Part").is_some());
    assert!(done.hive(r"Users\Default\NTUSER.DAT").find("Part").is_some());
    let software = |key: &str, name: &str| done.value("SOFTWARE", key, name);
    assert_eq!(software(r"Classes\.part", "").text().unwrap(), "Part");
    assert_eq!(software("Part", "On").as_dword(), Some(1));
    let version = r"Microsoft\Windows NT\CurrentVersion";
    assert_eq!(software(version, "CurrentBuild").text().unwrap(), "14393", "it may stay as it is");
    let groups = software(&format!(r"{version}\Svchost"), "netsvcs").texts().unwrap();
    assert_eq!(groups, ["part", "Schedule", "Winmgmt", "New"]);

    assert_eq!(system(r"Services\part", "Start").as_dword(), Some(2));
    assert_eq!(system(r"Services\part", "ImagePath").kind, ValueKind::EXPAND_SZ);
    let failure = system(r"Services\part", "FailureActions").data;
    let words: Vec<u32> = failure.chunks(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect();
    assert_eq!(words, [86400, 0, 0, 1, 0x14, 1, 60000]);
    assert_eq!(system(r"Services\part\TriggerInfo\0", "Type").as_dword(), Some(3));
    assert_eq!(system(r"Services\part\TriggerInfo\0", "GUID").data[..4], [0xba, 0x0a, 0xe2, 0x1c]);
    assert_eq!(system(r"Services\part\TriggerInfo\0", "Data0").data, [0x78, 0, 0, 0]);
    assert_eq!(system(r"Services\part\Security", "Security").data[2..4], [4, 0x80]);
    let rule = system(r"Services\SharedAccess\Parameters\FirewallPolicy\FirewallRules", "Part-In").text().unwrap();
    assert_eq!(rule, "v2.10|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=99|Name=Part|");
    let winevt = r"Microsoft\Windows\CurrentVersion\WINEVT";
    let publisher = format!(r"{winevt}\Publishers\{{1ce20aba-9851-4421-9430-1ddeb766e809}}");
    assert_eq!(software(&publisher, "ResourceFileName").text().unwrap(), r"C:\Windows\System32\part.dll");
    assert_eq!(software(&format!(r"{publisher}\ChannelReferences\1"), "Id").as_dword(), Some(16));
    assert_eq!(software(&format!(r"{winevt}\Channels\Part/Admin"), "Isolation").as_dword(), Some(1));
}

#[test]
fn a_later_version_keeps_its_links() {
    let to = r#"destinationPath="$(runtime.system32)""#;
    let (old, new) = (one_file("One", "1.0.0.0", to, b"old"), one_file("Two", "2.0.0.0", to, b"new"));
    for cabinets in [[old.clone(), new.clone()], [new, old]] {
        let done = install(&cabinets, true).unwrap();
        assert_eq!(done.file(r"Windows\System32\a.dll"), b"new");
        let store = Identity::component("One").version("1.0.0.0").key_form();
        assert_eq!(done.file(&format!(r"Windows\WinSxS\{store}\a.dll")), b"old");
    }
    // A file that belongs to no component is replaced; a directory is not.
    let mut tree = image(&before());
    tree.write_file(r"Windows\System32\A.DLL", vec![1], crate::tree::Times::default()).unwrap();
    let done = install_onto(tree, &[one_file("One", "1.0.0.0", to, b"old")], true).unwrap();
    assert_eq!(done.file(r"Windows\System32\a.dll"), b"old");
    let names = done.tree[done.tree.find(r"Windows\System32").unwrap()].children.as_ref().unwrap();
    assert_eq!(names.keys().filter(|name| name.eq_ignore_case(&"a.dll".into())).count(), 1);
    let mut tree = image(&before());
    tree.create_directories(r"Windows\System32\a.dll", crate::tree::Times::default()).unwrap();
    assert!(install_onto(tree, &[one_file("One", "1.0.0.0", to, b"")], true).is_err());
}

#[test]
fn faults_name_cabinet_component_and_file() {
    let digest = |kind: &str, value: &str| {
        format!(
            "<file name='a.dll'><hash xmlns='urn:schemas-microsoft-com:asm.v2'><DigestMethod Algorithm='x#{kind}'/>\
             <DigestValue>{value}</DigestValue></hash></file>"
        )
    };
    let (sha1, sha256) = ("qZk+NkcGgWq6PiVxeFDCbJzQ2J0=", "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
    for (kind, value) in [("sha1", sha1), ("sha256", sha256)] {
        install(&[package("Part", "1.0.0.0", &digest(kind, value), &[("a.dll", b"abc")])], true).unwrap();
        let error =
            install(&[package("Part", "1.0.0.0", &digest(kind, value), &[("a.dll", b"abd")])], true).err().unwrap();
        assert_eq!((error.kind(), error.path()), (crate::error::ErrorKind::Corrupt, Some(Path::new("0.cab"))));
        assert!(error.message().contains("component `amd64_part_") && error.message().contains("`a.dll`"), "{error}");
    }
    let missing = install(&[package("Part", "1.0.0.0", "<file name='b.dll'/>", &[])], true).err().unwrap();
    assert!(
        missing.message().contains("`b.dll` is missing") && missing.path() == Some(Path::new("0.cab")),
        "{missing}"
    );
    let unknown = [
        "<file name='a.dll' destinationPath='$(runtime.odd)'/>",
        "<directories><directory destinationPath='$(runtime.odd)'/></directories>",
        r"<registryKeys><registryKey keyName='HKLM\SOFTWARE\A'><registryValue name='a' value='$(runtime.odd)'/></registryKey></registryKeys>",
        "<memberships><categoryMembership><id typeName='Service'/><categoryInstance><serviceData name='a' imagePath='$(runtime.odd)'/></categoryInstance></categoryMembership></memberships>",
    ];
    for content in unknown {
        let error = install(&[package("Part", "1.0.0.0", content, &[("a.dll", b"")])], false).err().unwrap();
        assert!(error.message().contains("unknown macro `$(runtime.odd)`"), "{error}");
        assert!(error.message().contains("component `amd64_part_"), "{error}");
    }
    for name in [r"..\..\x", "a:b"] {
        let content = format!("<file name='{name}' sourceName='a.dll' destinationPath='$(runtime.system32)'/>");
        assert!(install(&[package("Part", "1.0.0.0", &content, &[("a.dll", b"")])], false).is_err(), "{name}");
    }
}

#[test]
fn gaps_are_errors_if_nothing_may_be_left_out() {
    let content = r#"<bfsvc/><taskScheduler/><file name="a.dll"><securityDescriptor name="none"/></file>
        <registryKeys><registryKey keyName="HKLM\BCD00000000\A"/></registryKeys>"#;
    let cabinet = package("Part", "1.0.0.0", content, &[("a.dll", b"")]);
    assert_eq!(install(std::slice::from_ref(&cabinet), false).unwrap().gaps().len(), 4);
    let error = install(&[cabinet], true).err().unwrap();
    assert!(error.message().starts_with("4 things that the packages ask for are not done: "), "{error}");
    for part in ["bfsvc", "taskScheduler", "`none`", r"registryKey `HKLM\BCD00000000\A` of `amd64_part_"] {
        assert!(error.message().contains(part), "{part}: {error}");
    }
}

#[test]
fn the_same_packages_give_the_same_image() {
    let cabinets =
        [plain(&nano::guest()), one_file("One", "1.0.0.0", r#"destinationPath="$(runtime.system32)""#, b"x")];
    let describe = || {
        let done = install(&cabinets, true).unwrap();
        let nodes = (0..done.tree.node_count() as u32).map(|number| format!("{:?}", done.tree[NodeId(number)]));
        (nodes.collect::<Vec<_>>(), done.report)
    };
    assert!(describe() == describe());
}

#[test]
fn installing_again_changes_nothing() {
    let cabinet = plain(&nano::guest());
    let once = install(std::slice::from_ref(&cabinet), true).unwrap();
    let count = once.tree.node_count();
    let twice = install_onto(once.tree, &[cabinet], true).unwrap();
    assert_eq!(twice.tree.node_count(), count);
    assert!(twice.report.packages.iter().all(|package| package.bytes_added == 0));
}

#[test]
fn what_does_not_fit_into_memory_goes_to_the_scratch_folder() {
    let folder = tempfile::tempdir().unwrap();
    let big = vec![7u8; 40 << 20];
    let package = |name: &str| one_file(name, "1.0.0.0", r#"destinationPath="$(runtime.system32)""#, &big);
    let sources: Vec<CabinetSource> =
        ["One", "Two"].map(|name| CabinetSource { path: name.into(), data: Arc::new(package(name)) }).into();
    let what = crate::windows::package::Install { cabinets: sources, ..Default::default() };
    let run = |scratch| {
        let mut tree = image(&before());
        let options = InstallOptions { architecture: Architecture::Amd64, scratch, strict: false };
        let install = |image: &mut ImageEdit<'_>| crate::windows::package::install(image, &what, &options, &());
        let (report, store) = edit(&mut tree, TIME, install)?;
        Ok::<_, Error>(Done { tree, store, report })
    };
    let error = run(None).map(|_| ()).unwrap_err();
    assert!(error.hint().is_some(), "{error}");
    let done = run(Some(folder.path())).unwrap();
    for name in ["One", "Two"] {
        let key_form = Identity::component(name).version("1.0.0.0").key_form();
        assert!(done.file(&format!(r"{STORE}\{key_form}\a.dll")) == big);
    }
    drop(done);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
