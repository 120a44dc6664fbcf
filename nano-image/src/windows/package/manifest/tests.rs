//! Manifests with everything that their schema allows.

use proptest::prelude::*;

use super::*;
use crate::registry::ValueKind;

const IDENTITY: &str = r#"<assemblyIdentity name="Fixture-Part" version="10.0.14393.0" processorArchitecture="amd64"
    language="neutral" buildType="release" publicKeyToken="31bf3856ad364e35" versionScope="nonSxS"/>"#;

fn parse(content: &str) -> Manifest {
    try_parse(content).unwrap()
}

fn try_parse(content: &str) -> Result<Manifest> {
    let text = format!("<assembly xmlns='urn:schemas-microsoft-com:asm.v3'>{IDENTITY}{content}</assembly>");
    Manifest::parse(text.as_bytes())
}

#[test]
fn files_and_directories() {
    let manifest = parse(
        r#"<file name="resources.pri" destinationName="r.pri" destinationPath="$(runtime.system32)\" sourceName="neutral.pri"
            importPath="$(build.nttree)\" writeableType="static"><securityDescriptor name="S"/><link destination="$(runtime.windows)\l"/>
            <h:hash xmlns:h="urn:schemas-microsoft-com:asm.v2" xmlns:d="http://www.w3.org/2000/09/xmldsig#"><d:Transforms>
            <d:Transform Algorithm="urn:schemas-microsoft-com:HashTransforms.Identity"/></d:Transforms>
            <d:DigestMethod Algorithm="http://www.w3.org/2000/09/xmldsig#sha1"/><d:DigestValue>2jmj7l5rSw0yVb/vlWAYkK/YBwk=</d:DigestValue>
            </h:hash></file><file name="a" sourceName=""><lodctr/></file>
            <directories><directory destinationPath="$(runtime.programData)\X" owner="true"><securityDescriptor name="T"/></directory></directories>"#,
    );
    let file = &manifest.files[0];
    assert_eq!(file.payload_names().collect::<Vec<_>>(), ["neutral.pri", "resources.pri"]);
    assert_eq!((file.installed_name(), file.security.as_deref(), file.writeable), ("r.pri", Some("S"), true));
    assert_eq!(file.links, [r"$(runtime.windows)\l"]);
    let digest = file.digest.as_ref().unwrap();
    assert_eq!((digest.algorithm, digest.value[..2].to_vec()), (DigestAlgorithm::Sha1, vec![0xDA, 0x39]));
    assert_eq!((&manifest.files[1].source_name, &manifest.files[1].destination_path), (&None, &None));
    assert_eq!(manifest.directories[0].security.as_deref(), Some("T"));
    assert_eq!(manifest.not_applied.len(), 1);
    assert_eq!(manifest.not_applied[0].element, "lodctr");
}

#[test]
fn digests_that_are_none_are_refused() {
    for value in ["", "2jmj", "!"] {
        let error = try_parse(&format!(
            "<file name='a'><hash xmlns='urn:schemas-microsoft-com:asm.v2'><DigestMethod Algorithm='x#sha256'/>\
             <DigestValue>{value}</DigestValue></hash></file>"
        ));
        assert!(error.unwrap_err().message().contains("digest"), "{value}");
    }
    let other =
        parse("<file name='a'><hash><DigestMethod Algorithm='x#md5'/><DigestValue>AA==</DigestValue></hash></file>");
    assert!(other.files[0].digest.is_none() && other.not_applied[0].why.contains("md5"));
}

#[test]
fn registry_and_settings() {
    let manifest = parse(
        r#"<registryKeys><registryKey keyName="HKEY_LOCAL_MACHINE\Software\K\"><registryValue name="" valueType="REG_SZ" value="x"/>
            <registryValue name="m" valueType="00020001" mutable="true"/><registryValue name="l" valueType="REG_MULTI_SZ" operationHint="append" value="&quot;a&quot;"/>
            <registryValue name="bad" valueType="REG_ODD"/><overridable name="o"/><securityDescriptor name="S"/></registryKey></registryKeys>
        <c:configuration xmlns:c="urn:schemas-microsoft-com:asm.v3" xmlns:w="http://schemas.microsoft.com/WMIConfig/2002/State"
            xmlns:x="http://www.w3.org/2001/XMLSchema"><c:configurationSchema><x:schema>
            <x:element default="2" name="A" type="x:unsignedInt" w:handler="regkey('HKLM\SYSTEM\K')"/>
            <x:element default="t" name="B" w:legacyName="C" type="x:string" w:legacyType="REG_EXPAND_SZ" w:handler="regkey('HKLM\SYSTEM\K')"/>
            <x:element default="1" name="D" type="x:integer" w:dataOnly="true" w:passes="specialize" w:handler="regkey('HKLM\SYSTEM\K')"/>
            <x:element name="E" type="x:integer" w:handler="regkey('HKLM\SYSTEM\K')"/>
            <x:element default="1" name="F" type="x:integer" w:handler="file('x')"/>
            <x:element name="G"><x:complexType><x:sequence><x:element name="H" default="1"/></x:sequence></x:complexType></x:element>
            </x:schema></c:configurationSchema></c:configuration>"#,
    );
    let key = &manifest.registry[0];
    assert_eq!((key.path.as_str(), key.security.as_deref()), (r"HKEY_LOCAL_MACHINE\Software\K\", Some("S")));
    let values: Vec<_> = key.values.iter().map(|v| (v.name.as_str(), v.kind(), v.keep_existing, v.operation)).collect();
    let expected = [
        ("", Some(ValueKind::SZ), false, Operation::Replace),
        ("m", Some(ValueKind(0x20001)), true, Operation::Replace),
        ("l", Some(ValueKind::MULTI_SZ), false, Operation::Append),
        ("bad", None, false, Operation::Replace),
    ];
    assert_eq!(values, expected);
    let settings: Vec<_> = manifest.settings.iter().map(|s| (s.name.as_str(), s.kind, s.default.as_str())).collect();
    assert_eq!(settings, [("A", ValueKind::DWORD, "2"), ("C", ValueKind::EXPAND_SZ, "t")]);
    let names: Vec<_> = manifest.not_applied.iter().filter_map(|item| item.name.as_deref()).collect();
    assert_eq!(names, ["F", "G"]);
}

#[test]
fn services_with_triggers_and_groups() {
    let manifest = parse(
        r#"<memberships><categoryMembership><id typeName="Service"/><categoryInstance subcategory="svc">
            <serviceData name="svc" type="win32ShareProcess" start="delayedAuto" errorControl="normal" imagePath="%SystemRoot%\a.exe"
              dependOnService="A, B" objectName="LocalSystem" tag="5" sidType="restricted" odd="x">
              <failureActions resetPeriod="86400"><actions><action delay="60000" type="restartService"/><action delay="0" type="none"/></actions></failureActions>
              <serviceTrigger action="start" subtype="WNF_STATE_CHANGE" type="WnfStateEvent"><triggerData type="binary" value="7518BCA3"/></serviceTrigger>
              <serviceTrigger action="stop" subtype="{4f27f2de-14e2-430b-a549-7cd48cbc8245}" type="2"/>
              <serviceTrigger action="stop" subtype="what" type="2"/>
              <securityDescriptor name="S"/></serviceData></categoryInstance></categoryMembership>
            <categoryMembership><id typeName="SvcHost"/><categoryInstance subcategory="netsvcs"><serviceGroup position="first" serviceName="svc"/></categoryInstance></categoryMembership>
            <categoryMembership><id typeName="BootCritical"/></categoryMembership><categoryMembership><id typeName="Odd"/></categoryMembership></memberships>"#,
    );
    let service = &manifest.services[0];
    let numbers =
        [("Type", 0x20), ("Start", 2), ("DelayedAutostart", 1), ("ErrorControl", 1), ("Tag", 5), ("ServiceSidType", 3)];
    assert_eq!(service.numbers, numbers);
    assert_eq!(service.lists, [("DependOnService", vec!["A".to_owned(), "B".to_owned()])]);
    let failure = service.failure.as_ref().unwrap();
    assert_eq!((failure.reset_period, failure.actions.len(), failure.actions[0].delay), (86400, 2, 60000));
    let triggers: Vec<_> = service.triggers.iter().map(|t| (t.kind, t.action, t.data.len())).collect();
    assert_eq!(triggers, [(7, 1, 1), (2, 2, 0)]);
    assert_eq!(service.triggers[0].subtype.to_string(), "2d7a2816-0c5e-45fc-9ce7-570e5ecde9c9");
    let group = ServiceGroup { group: "netsvcs".into(), service: "svc".into(), is_first: true };
    assert_eq!(manifest.service_groups, [group]);
    let elements: Vec<_> = manifest.not_applied.iter().map(|item| item.element.as_str()).collect();
    assert_eq!(elements, ["serviceData", "serviceTrigger", "categoryMembership"]);
}

#[test]
fn firewall_rules_and_events() {
    let manifest = parse(
        r#"<firewallRule xmlns="x" Name="@a,-1" internalName="A-In" Direction="In" Action="Allow" active="true" protocol="TCP" LPort="80,443"
            profile="Domain, Private" Group="@a,-2"/>
        <instrumentation><e:events xmlns:e="http://schemas.microsoft.com/win/2004/08/events"><e:provider name="P" guid="{1ce20aba-9851-4421-9430-1ddeb766e809}"
            symbol="S" resourceFileName="%SystemRoot%\a.dll"><e:channels><e:importChannel name="System" chid="s"/>
            <e:channel name="P/Operational" chid="o" type="Operational" enabled="true" isolation="System"><e:logging><e:maxSize>65536</e:maxSize></e:logging></e:channel></e:channels>
            <e:events/></e:provider></e:events><counters/></instrumentation>"#,
    );
    let rule = &manifest.firewall_rules[0];
    let fields: Vec<String> = rule.fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let expected = "Action=Allow|Active=TRUE|Dir=In|Protocol=6|Profile=Domain|Profile=Private|LPort=80|LPort=443|Name=@a,-1|EmbedCtxt=@a,-2";
    assert_eq!((rule.id.as_str(), fields.join("|").as_str()), ("A-In", expected));
    let provider = &manifest.event_providers[0];
    assert_eq!(provider.files, [("ResourceFileName", r"%SystemRoot%\a.dll".to_owned())]);
    let channel = &provider.channels[0];
    assert_eq!((channel.kind, channel.isolation, channel.enabled, channel.max_size), (1, 1, true, Some(65536)));
    assert_eq!(provider.imported[0].name, "System");
    assert_eq!(manifest.not_applied[0].element, "counters");
}

#[test]
fn dependencies_strings_and_descriptors() {
    let manifest = parse(&format!(
        "<deployment/><dependency discoverable='no' resourceType='Resources'><dependentAssembly dependencyType='prerequisite'>{}</dependentAssembly></dependency>\
         <dependency><dependentAssembly>{IDENTITY}</dependentAssembly></dependency>\
         <dependency><dependentAssembly dependencyType='odd'>{IDENTITY}</dependentAssembly></dependency>\
         <localization><resources culture='en-US'><stringTable><string id='displayName' value='Shown'/></stringTable></resources></localization>\
         <trustInfo><security><accessControl><securityDescriptorDefinitions><securityDescriptorDefinition name='S' sddl='D:'/></securityDescriptorDefinitions>\
         <trustees/></accessControl></security></trustInfo><migration/><rescache xmlns='urn:schemas-microsoft-com:rescache.v1'/>\
         <odd xmlns='x'/><bfsvc/><genericCommands/>",
        IDENTITY.replace("neutral", "*")
    ));
    let kinds: Vec<_> =
        manifest.dependencies.iter().map(|d| (d.kind, d.resources, d.identity.language.as_deref())).collect();
    assert_eq!(kinds, [(DependencyKind::Prerequisite, true, Some("*")), (DependencyKind::Install, false, None)]);
    assert!(manifest.is_deployment);
    assert_eq!(manifest.strings["displayname"], "Shown");
    assert_eq!(manifest.security["S"], "D:");
    let elements: Vec<_> = manifest.not_applied.iter().map(|item| item.element.as_str()).collect();
    assert_eq!(elements, ["dependentAssembly", "trustees", "odd", "bfsvc", "genericCommands"]);
}

#[test]
fn what_is_no_manifest_is_refused() {
    for text in ["<a/>", "<assembly/>", "<assembly xmlns='urn:schemas-microsoft-com:asm.v3'/>", "DCM\u{1}"] {
        assert!(Manifest::parse(text.as_bytes()).is_err(), "{text}");
    }
    assert!(try_parse("<file/>").is_err());
}

/// Reads manifests of Windows, if there are some on this machine.
#[cfg(feature = "internals")]
#[test]
fn manifests_of_windows_are_read() {
    let Some(shared) = fixtures::outside::shared("data/cbs") else { return };
    for (folder, ending) in [("dcm", ".manifest.xml"), ("remin-core/remin-sku-foundation-package", ".manifest")] {
        let mut count = 0;
        for path in std::fs::read_dir(shared.join(folder)).unwrap().map(|file| file.unwrap().path()) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let Some(stem) = name.strip_suffix(ending) else { continue };
            let manifest = Manifest::parse(&std::fs::read(&path).unwrap()).unwrap_or_else(|e| panic!("{name}: {e}"));
            if folder == "dcm" {
                assert_eq!((manifest.identity.key_form().as_str(), &manifest.not_applied[..]), (stem, &[][..]));
            }
            count += 1;
        }
        assert!(count > 3, "{folder}: {count}");
    }
}

proptest! {
    #[test]
    fn no_text_is_a_panic(element in "[a-zA-Z]{0,12}", attribute in "[a-zA-Z:]{1,12}", value in ".{0,40}") {
        let value = value.replace(['&', '<', '"'], "");
        let parts = [
            format!("<{element} {attribute}=\"{value}\"/>"),
            format!("<file name=\"{value}\" {attribute}=\"{value}\"><hash><DigestMethod Algorithm=\"x#sha256\"/><DigestValue>{value}</DigestValue></hash></file>"),
            format!("<registryKeys><registryKey keyName=\"{value}\"><registryValue valueType=\"{value}\" value=\"{value}\"/></registryKey></registryKeys>"),
            format!("<memberships><categoryMembership><id/><categoryInstance><serviceData name=\"a\" {attribute}=\"{value}\"/></categoryInstance></categoryMembership></memberships>"),
        ];
        for part in parts {
            let _ = try_parse(&part);
        }
        for kind in ["REG_DWORD", "REG_QWORD", "REG_MULTI_SZ", "00020001"].map(|name| registry::value_kind(name).unwrap()) {
            let _ = (decode_value(kind, &value), decode_default(kind, &value));
        }
    }
}
