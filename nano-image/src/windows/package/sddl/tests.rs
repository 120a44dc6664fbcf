use proptest::prelude::*;

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
    assert_eq!((sid(4), sid(8)), (super::sid("BA").unwrap(), super::sid("BU").unwrap()));
    let dacl: Vec<_> = entries(&file, 16).into_iter().map(|(kind, flags, mask, _)| (kind, flags, mask)).collect();
    assert_eq!(dacl, [(1, 0, 0x12_0116), (0, 0x10, 0x1F_01FF), (0, 0x10, 0x1F_01FF)]);
    assert_eq!(control(&file), 0x8404);
    assert_eq!(entries(&file, 16)[2].3, super::sid("BA").unwrap(), "the creator is the owner");
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
        // A malformed parent gives nothing.
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
