use proptest::prelude::*;

use super::descriptor::*;
use super::*;

const TRUSTED_INSTALLER: &str = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464";

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// Kind, flags, rights and account of the entries of the list whose offset is at `field` of a descriptor.
fn entries(descriptor: &[u8], field: usize) -> Vec<(u8, u8, u32, Vec<u8>)> {
    let list = &descriptor[word(descriptor, field) as usize..];
    let count = u16::from_le_bytes([list[4], list[5]]);
    let mut at = 8;
    let entries = (0..count).map(|_| {
        let entry = &list[at..];
        let len = usize::from(u16::from_le_bytes([entry[2], entry[3]]));
        at += len;
        (entry[0], entry[1], word(entry, 4), entry[8..len].to_vec())
    });
    let entries: Vec<_> = entries.collect();
    assert_eq!(at, usize::from(u16::from_le_bytes([list[2], list[3]])));
    entries
}

fn control(descriptor: &[u8]) -> u16 {
    u16::from_le_bytes([descriptor[2], descriptor[3]])
}

#[test]
fn the_descriptor_of_system_files() {
    let sddl = format!(
        "O:{TRUSTED_INSTALLER}G:{TRUSTED_INSTALLER}D:P(A;;FA;;;{TRUSTED_INSTALLER})(A;;GRGX;;;BA)(A;;GRGX;;;S-1-15-2-1)\
         S:(AU;FASA;0x000D0116;;;WD)"
    );
    let descriptor = compile(&sddl, ObjectClass::File, None).unwrap();
    assert_eq!(control(&descriptor), 0x9014);
    let owner = &descriptor[word(&descriptor, 4) as usize..];
    assert_eq!(owner[..8], [1, 6, 0, 0, 0, 0, 0, 5]);
    assert_eq!((word(owner, 8), word(owner, 12), word(owner, 28)), (80, 956_008_885, 2_271_478_464));
    let dacl = entries(&descriptor, 16);
    assert_eq!(dacl[0], (0, 0, 0x1F_01FF, owner[..32].to_vec()));
    assert_eq!(dacl[1], (0, 0, 0x12_00A9, vec![1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0]));
    assert_eq!(dacl[2].3, [1, 2, 0, 0, 0, 0, 0, 15, 2, 0, 0, 0, 1, 0, 0, 0]);
    assert_eq!(entries(&descriptor, 12), [(2, 0xC0, 0xD_0116, vec![1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0])]);
}

#[test]
fn generic_rights_are_those_of_the_class_and_are_handed_on_as_they_are() {
    let directory = compile("O:SYG:SYD:P(A;CIOI;GRGX;;;BU)(A;OICIIO;GA;;;CO)", ObjectClass::Directory, None).unwrap();
    let rights: Vec<_> = entries(&directory, 16).into_iter().map(|(_, flags, mask, _)| (flags, mask)).collect();
    assert_eq!(rights, [(0, 0x12_00A9), (0x0B, 0xA000_0000), (0x0B, 0x1000_0000)]);
    for (class, mask) in
        [(ObjectClass::Key, 0x2_0019), (ObjectClass::Service, 0x2_008D), (ObjectClass::File, 0x12_0089)]
    {
        let descriptor = compile("D:P(A;;GR;;;SY)", class, None).unwrap();
        assert_eq!(entries(&descriptor, 16)[0].2, mask);
    }
    let key = compile("D:P(A;CI;KR;;;BU)(A;;CCDCLCSWRPWPSDRC;;;NO)", ObjectClass::Key, None).unwrap();
    let rights: Vec<_> = entries(&key, 16).into_iter().map(|(_, flags, mask, _)| (flags, mask)).collect();
    assert_eq!(rights, [(2, 0x2_0019), (0, 0x3_003F)]);
}

#[test]
fn what_is_not_given_comes_from_the_parent() {
    let parent =
        compile("O:BAG:BUD:P(A;OICI;FA;;;BA)(A;OICIIO;GA;;;CO)(A;;FR;;;WD)", ObjectClass::Directory, None).unwrap();
    let file = compile("D:(D;;FW;;;AN)", ObjectClass::File, Some(&parent)).unwrap();
    let sid = |offset: usize| file[word(&file, offset) as usize..][..16].to_vec();
    assert_eq!((sid(4), sid(8)), (sid::parse("BA").unwrap(), sid::parse("BU").unwrap()));
    let dacl: Vec<_> = entries(&file, 16).into_iter().map(|(kind, flags, mask, _)| (kind, flags, mask)).collect();
    assert_eq!(dacl, [(1, 0, 0x12_0116), (0, 0x10, 0x1F_01FF), (0, 0x10, 0x1F_01FF)]);
    assert_eq!(control(&file), 0x8404);
    assert_eq!(entries(&file, 16)[2].3, sid::parse("BA").unwrap(), "the creator is the owner");
    let directory = compile("O:SY", ObjectClass::Directory, Some(&parent)).unwrap();
    let dacl: Vec<_> = entries(&directory, 16).into_iter().map(|(_, flags, mask, _)| (flags, mask)).collect();
    assert_eq!(dacl, [(0x13, 0x1F_01FF), (0x10, 0x1F_01FF), (0x1B, 0x1000_0000)]);
    let protected = compile("D:PAI(A;;FR;;;WD)", ObjectClass::File, Some(&parent)).unwrap();
    assert_eq!((entries(&protected, 16).len(), control(&protected)), (1, 0x9404));
    let service = compile("D:(A;;CCLCSWLORC;;;AU)S:(AU;FA;WD;;;WD)", ObjectClass::Service, Some(&parent)).unwrap();
    assert_eq!((entries(&service, 16)[0].2, entries(&service, 16).len()), (0x2_008D, 1));
    let empty = compile("O:SYG:SYD:AIS:", ObjectClass::Key, None).unwrap();
    assert_eq!((entries(&empty, 16).len(), entries(&empty, 12).len(), control(&empty)), (0, 0, 0x8414));
}

#[test]
fn what_is_not_sddl_is_refused() {
    let long = format!("D:{}", "(A;;FR;;;WD)".repeat(4000));
    for sddl in [
        "(inherit)",
        "X:",
        "O:",
        "O:ZZ",
        "O:S-1-",
        "O:S-1-5",
        "O:SYO:SY",
        "D:(",
        "D:(A;;FR;;;ZZ)",
        "D:(A;XX;FR;;;WD)",
        "D:(A;;XX;;;WD)",
        "D:(A;;F;;;WD)",
        "D:(OA;;FR;bf967aba-0de6-11d0-a285-00aa003049e2;;WD)",
        "D:(XA;;FR;;;WD;(x))",
        "D:é",
        &long,
    ] {
        assert!(compile(sddl, ObjectClass::File, None).is_err(), "{sddl}");
    }
    for length in 0..40 {
        // Nothing is inherited from a malformed parent.
        let parent = vec![0xFF; length];
        assert_eq!(entries(&compile("D:", ObjectClass::File, Some(&parent)).unwrap(), 16), []);
    }
}

proptest! {
    #[test]
    fn no_text_is_a_panic(text in "[OGDSPAI:();0-9x-]{0,60}|([OGDS]:(P|AI)?(\\(A;(CI|OI)?;(FA|GA|KR);;;(SY|BA|S-1-5-9)\\))*){0,3}|.{0,30}", parent in prop::collection::vec(any::<u8>(), 0..80)) {
        for class in [ObjectClass::File, ObjectClass::Directory, ObjectClass::Key, ObjectClass::Service] {
            let _ = compile(&text, class, Some(&parent));
        }
    }
}

/// What Windows itself does: the root of a volume that it formats, and what `icacls` prints for a directory and a file
/// that an administrator creates there.
#[test]
fn inheritance_is_that_of_windows() {
    let root = "O:BAG:SYD:PAI(A;OICI;FA;;;BA)(A;OICI;FA;;;SY)(A;OICI;0x1200a9;;;BU)(A;CI;0x4;;;BU)(A;CIIO;0x2;;;BU)\
        (A;;0x1301bf;;;AU)(A;OICIIO;0xe0010000;;;AU)";
    let root = compile(root, ObjectClass::Directory, None).unwrap();
    let child = |class| text(&inherited(Some(&root), class)).unwrap();
    assert_eq!(
        child(ObjectClass::Directory),
        "O:BAG:SYD:AI(A;OICIID;FA;;;BA)(A;OICIID;FA;;;SY)(A;OICIID;0x1200a9;;;BU)(A;CIID;0x4;;;BU)(A;CIID;0x2;;;BU)\
         (A;ID;0x1301bf;;;AU)(A;OICIIOID;0xe0010000;;;AU)"
    );
    assert_eq!(
        child(ObjectClass::File),
        "O:BAG:SYD:AI(A;ID;FA;;;BA)(A;ID;FA;;;SY)(A;ID;0x1200a9;;;BU)(A;ID;0x1301bf;;;AU)"
    );
}

/// Cases of [MS-DTYP] 2.5.3.4, each in all classes that inherit.
#[test]
fn every_rule_of_inheritance() {
    let child = |entries: &str, class| {
        let parent = compile(&format!("O:BAG:BU{entries}"), class, None).unwrap();
        text(&inherited(Some(&parent), class)).unwrap()
    };
    for (entries, directory, file) in [
        ("D:P(A;OI;FR;;;BU)", "D:AI(A;OIIOID;FR;;;BU)", "D:AI(A;ID;FR;;;BU)"),
        ("D:P(A;OICINP;FR;;;BU)", "D:AI(A;ID;FR;;;BU)", "D:AI(A;ID;FR;;;BU)"),
        ("D:P(D;OICIIO;GW;;;BU)", "D:AI(D;ID;FW;;;BU)(D;OICIIOID;GW;;;BU)", "D:AI(D;ID;FW;;;BU)"),
        ("D:P(A;OICIIO;GA;;;CO)", "D:AI(A;ID;FA;;;BA)(A;OICIIOID;GA;;;CO)", "D:AI(A;ID;FA;;;BA)"),
        ("D:P(A;OICIIO;FR;;;CG)", "D:AI(A;ID;FR;;;BU)(A;OICIIOID;FR;;;CG)", "D:AI(A;ID;FR;;;BU)"),
        ("D:P(A;;FA;;;WD)", "D:(A;;FA;;;SY)(A;;0x1200a9;;;BA)", "D:(A;;FA;;;SY)(A;;0x1200a9;;;BA)"),
        (
            "D:P(A;OICI;FR;;;BU)S:(AU;OICISA;FW;;;WD)(AU;FA;FW;;;WD)(ML;OICI;0x1;;;ME)",
            "D:AI(A;OICIID;FR;;;BU)S:AI(AU;OICIIDSA;FW;;;WD)(ML;OICIID;0x1;;;ME)",
            "D:AI(A;ID;FR;;;BU)S:AI(AU;IDSA;FW;;;WD)(ML;ID;0x1;;;ME)",
        ),
    ] {
        assert_eq!(child(entries, ObjectClass::Directory), format!("O:BAG:BU{directory}"), "{entries}");
        let parent = compile(&format!("O:BAG:BU{entries}"), ObjectClass::Directory, None).unwrap();
        assert_eq!(text(&inherited(Some(&parent), ObjectClass::File)).unwrap(), format!("O:BAG:BU{file}"), "{entries}");
    }
    let key = compile("O:BAG:BUD:P(A;CIIO;GR;;;BU)", ObjectClass::Key, None).unwrap();
    let key = compile("D:(A;;KA;;;SY)", ObjectClass::Key, Some(&key)).unwrap();
    assert_eq!(text(&key).unwrap(), "O:BAG:BUD:AI(A;;KA;;;SY)(A;ID;KR;;;BU)(A;CIIOID;GR;;;BU)");
}

/// Entries with conditions or GUIDs are inherited together with the data behind their rights.
#[test]
fn entries_of_other_kinds_are_handed_on() {
    let everyone = sid::parse("WD").unwrap();
    let condition = [&sid::CREATOR_OWNER[..], b"artx"].concat();
    let object = [&[1, 0, 0, 0][..], &[7; 16], &everyone].concat();
    let entry = |kind, rest| Ace { kind, flags: OBJECT_INHERIT, mask: 0x8000_0000, rest };
    let parent = Descriptor {
        control: DACL_PRESENT,
        owner: Some(sid::parse("BA").unwrap()),
        dacl: Some(vec![entry(0x09, condition), entry(0x05, object.clone())]),
        ..Descriptor::default()
    };
    let child = Descriptor::parse(&inherited(Some(&parent.to_bytes().unwrap()), ObjectClass::File)).unwrap();
    let dacl = child.dacl.unwrap();
    let got: Vec<_> = dacl.iter().map(|entry| (entry.kind, entry.flags, entry.mask, &entry.rest[..])).collect();
    let conditional = [&sid::parse("BA").unwrap()[..], b"artx"].concat();
    assert_eq!(got, [(0x09, INHERITED, 0x12_0089, &conditional[..]), (0x05, INHERITED, 0x12_0089, &object[..])]);
}

#[test]
fn descriptors_become_text_and_text_becomes_them() {
    for sddl in [
        "O:BAG:SYD:(A;;KA;;;BA)(A;;KA;;;SY)",
        "O:SYG:SYD:PAI(A;OICI;0x1301bf;;;S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464)S:(ML;;0x1;;;HI)",
        "O:BAG:BAD:NO_ACCESS_CONTROLS:AR(AU;SAFA;FA;;;WD)",
        "O:BAG:BAD:",
    ] {
        let bytes = compile(sddl, ObjectClass::Key, None).unwrap();
        assert_eq!(text(&bytes).unwrap(), sddl);
        assert_eq!(Descriptor::parse(&bytes).unwrap().to_bytes().unwrap(), bytes);
        assert_eq!(text(&bytes[..30]), None);
    }
}

/// Owner S-1-1-0, a DACL with one entry for it.
fn one_entry() -> Vec<u8> {
    let sid = [1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
    let mut bytes = vec![1, 0, 4, 0x80, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0, 0];
    bytes.extend(sid);
    bytes.extend([2, 0, 28, 0, 1, 0, 0, 0]);
    bytes.extend([0, 0, 20, 0, 0xff, 1, 0x1f, 0]);
    bytes.extend(sid);
    bytes
}

#[test]
fn faults_of_descriptors_are_found() {
    let good = one_entry();
    assert_eq!(fault(&good), None);
    let mut bare = vec![1, 0, 0, 0x80];
    bare.resize(20, 0);
    assert_eq!(fault(&bare), None);
    for len in 0..good.len() {
        assert!(fault(&good[..len]).is_some(), "{len}");
    }
    for (at, value) in [(0, 2), (3, 0), (4, 19), (16, 200), (20, 2), (21, 16), (32, 3), (34, 7), (36, 2), (42, 3)] {
        let mut bad = good.clone();
        bad[at] = value;
        assert!(fault(&bad).is_some(), "{at}");
    }
}

proptest! {
    #[test]
    fn what_is_read_is_written_back(bytes in prop::collection::vec(any::<u8>(), 0..90), at in 0usize..44, value: u8) {
        let mut near = one_entry();
        near[at] = value;
        for bytes in [bytes, near] {
            inherited(Some(&bytes), ObjectClass::Directory);
            if let Ok(descriptor) = Descriptor::parse(&bytes) {
                let written = descriptor.to_bytes().unwrap();
                prop_assert_eq!(Descriptor::parse(&written).unwrap(), descriptor);
            }
        }
    }
}
