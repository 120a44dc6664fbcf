//! Which identifiers of an image say "the same bytes", and which "the same disk".

use std::fs;

use crate::support::{Place, image_with_hives};

const SEED: &str = "2222222222222222222222222222222222222222222222222222222222222222";
/// Item of a VHDX's metadata ([MS-VHDX] 2.6.2.4), as it is stored.
const VIRTUAL_DISK_ID: [u8; 16] =
    [0xAB, 0x12, 0xCA, 0xBE, 0xE6, 0xB2, 0x23, 0x45, 0x93, 0xEF, 0xC3, 0x09, 0xE0, 0x00, 0xC7, 0x46];

/// Identifiers of the bytes, and of the disk.
#[derive(Debug, PartialEq, Eq)]
struct Ids {
    /// FileWriteGuid and DataWriteGuid of the VHDX, unique id of the VHD.
    bytes: [Vec<u8>; 3],
    /// VirtualDiskId of the VHDX, disk GUID.
    disk: [Vec<u8>; 2],
}

fn ids(place: &Place, more: &[&str]) -> Ids {
    let outputs = ["-o", "a.vhd", "--firmware", "uefi", "--force", "--seed", SEED, "--json"];
    let report = place.build("a.vhdx", &[&outputs[..], more].concat()).ok().json();
    let (vhdx, vhd) = (place.read("a.vhdx"), place.read("a.vhd"));
    let metadata = &vhdx[2 << 20..];
    let entry = metadata.chunks(32).find(|entry| entry.starts_with(&VIRTUAL_DISK_ID)).unwrap();
    let offset = u32::from_le_bytes(entry[16..20].try_into().unwrap()) as usize;
    let footer = &vhd[vhd.len() - 512..];
    Ids {
        bytes: [&vhdx[0x1_0010..0x1_0020], &vhdx[0x1_0020..0x1_0030], &footer[68..84]].map(<[u8]>::to_vec),
        disk: [metadata[offset..][..16].to_vec(), report["disk-id"].as_str().unwrap().into()],
    }
}

#[test]
fn what_says_the_same_bytes_follows_the_bytes() {
    let place = Place::new();
    fs::write(place.path("nano.wim"), image_with_hives()).unwrap();
    fs::write(place.path("motd"), "one").unwrap();
    fs::write(place.path("answer.xml"), "<unattend xmlns='urn:schemas-microsoft-com:unattend'/>").unwrap();
    let password = |text: &str| fs::write(place.path("password"), text).unwrap();
    password("Hunter2!");
    let flags = ["--copy", "motd", "--secret", "admin=file:password", "--unattend", "answer.xml"];
    let first = ids(&place, &flags);
    assert_eq!(ids(&place, &flags), first);
    let mut all = vec![first];
    let mut differs = |what: &str, other: Ids| {
        for known in &all {
            assert!(known.bytes.iter().zip(&other.bytes).all(|(one, other)| one != other), "{what}: {other:?}");
            assert_eq!(known.disk, other.disk, "{what}");
        }
        all.push(other);
    };
    password("Hunter3!");
    differs("the password", ids(&place, &flags));
    fs::write(place.path("motd"), "two").unwrap();
    differs("a copied file", ids(&place, &flags));
    fs::write(place.path("answer.xml"), "<unattend xmlns='urn:schemas-microsoft-com:unattend'></unattend>\n").unwrap();
    differs("the answer file", ids(&place, &flags));
    differs("a choice", ids(&place, &[&flags[..], &["--label", "Other"]].concat()));
    differs("nothing secret", ids(&place, &[]));

    // The file's identifier also follows the form of the file, the data's does not.
    let other = ids(&place, &["--block-size", "2M"]);
    let last = all.last().unwrap();
    assert_ne!(other.bytes[0], last.bytes[0]);
    assert_eq!((&other.bytes[1..], &other.disk), (&last.bytes[1..], &last.disk));
}

#[test]
fn the_cid_of_a_vmdk_follows_the_bytes() {
    let place = Place::new();
    for subformat in ["monolithicSparse", "streamOptimized"] {
        let cid = |password: &str| {
            fs::write(place.path("password"), password).unwrap();
            let flags = ["--subformat", subformat, "--secret", "admin=file:password", "--seed", SEED, "--force"];
            place.build("a.vmdk", &flags).ok();
            let bytes = place.read("a.vmdk");
            let at = bytes.windows(5).position(|window| window == b"\nCID=").unwrap() + 5;
            bytes[at..at + 8].to_vec()
        };
        let first = cid("Hunter2!");
        assert_eq!(cid("Hunter2!"), first);
        assert_ne!(cid("Hunter3!"), first, "{subformat}");
    }
}
