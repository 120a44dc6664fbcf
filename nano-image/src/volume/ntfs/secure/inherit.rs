//! Security descriptors for files that the source gives none.
//!
//! A WIM captured without ACLs has no descriptors; Windows then lets a file inherit from its directory. This is that
//! rule ([MS-DTYP] 2.5.3.4, the inheritance of access control entries), for the entries that directories have.

/// `SECURITY_DESCRIPTOR` header: revision, zero, control, offsets of owner, group, SACL, DACL.
const HEADER_LEN: usize = 20;
/// Self-relative, DACL present.
const CONTROL: u16 = 0x8004;
const DACL_AUTO_INHERITED: u16 = 0x0400;

const OBJECT_INHERIT: u8 = 0x01;
const CONTAINER_INHERIT: u8 = 0x02;
const NO_PROPAGATE: u8 = 0x04;
const INHERIT_ONLY: u8 = 0x08;
const INHERITED: u8 = 0x10;

const SYSTEM: &[u8] = &[1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0];
const ADMINISTRATORS: &[u8] = &[1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0];
const USERS: &[u8] = &[1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x21, 2, 0, 0];
const CREATOR_OWNER: &[u8] = &[1, 1, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0];

/// Generic rights and the file rights they stand for ([MS-DTYP] 2.4.3; GENERIC_MAPPING of files).
const GENERIC: [(u32, u32); 4] =
    [(0x8000_0000, 0x0012_0089), (0x4000_0000, 0x0012_0116), (0x2000_0000, 0x0012_00A0), (0x1000_0000, 0x001F_01FF)];

/// Descriptor of a system file: `access` for SYSTEM and Administrators, owned by Administrators.
pub(super) fn system_descriptor(access: u32) -> Vec<u8> {
    let aces = [ace(0, access, SYSTEM), ace(0, access, ADMINISTRATORS)].concat();
    // Windows places the DACL first here, the owner and the group behind it.
    descriptor(CONTROL, ADMINISTRATORS, ADMINISTRATORS, 2, &aces)
}

/// Descriptor of a root directory that has none: full access for SYSTEM and Administrators, read for Users, and all
/// of it for what lies below.
fn default_root() -> Vec<u8> {
    let flags = OBJECT_INHERIT | CONTAINER_INHERIT;
    let aces =
        [ace(flags, 0x001F_01FF, SYSTEM), ace(flags, 0x001F_01FF, ADMINISTRATORS), ace(flags, 0x0012_00A9, USERS)];
    descriptor(CONTROL, ADMINISTRATORS, SYSTEM, 3, &aces.concat())
}

/// The descriptor that a new file or directory gets in a directory with the descriptor `parent`; `None` is the root
/// of a volume. A malformed parent gives the default one of a root.
pub(in super::super) fn inherited(parent: Option<&[u8]>, directory: bool) -> Vec<u8> {
    parent.and_then(|parent| inherit_from(parent, directory)).unwrap_or_else(default_root)
}

fn inherit_from(parent: &[u8], directory: bool) -> Option<Vec<u8>> {
    let word = |at: usize| Some(u32::from_le_bytes(parent.get(at..at + 4)?.try_into().ok()?) as usize);
    let (owner, group) = (sid_at(parent, word(4)?)?, sid_at(parent, word(8)?)?);
    let dacl = parent.get(word(16)?.max(1)..)?;
    let size = usize::from(u16::from_le_bytes([*dacl.get(2)?, *dacl.get(3)?]));
    let mut rest = dacl.get(8..size)?;
    let (mut aces, mut count) = (Vec::new(), 0);
    while rest.len() >= 8 {
        let length = usize::from(u16::from_le_bytes([rest[2], rest[3]]));
        if length < 8 {
            return None;
        }
        let (entry, tail) = rest.split_at_checked(length)?;
        rest = tail;
        for inherited in inherit_ace(entry, owner, directory).into_iter().flatten() {
            aces.extend_from_slice(&inherited);
            count += 1;
        }
    }
    if count == 0 {
        return None;
    }
    Some(descriptor(CONTROL | DACL_AUTO_INHERITED, owner, group, count, &aces))
}

/// What a child gets of one entry: the entry that applies to it, and for a directory the one that it hands on.
fn inherit_ace(entry: &[u8], owner: &[u8], directory: bool) -> [Option<Vec<u8>>; 2] {
    let flags = entry[1];
    let applies = flags & if directory { CONTAINER_INHERIT } else { OBJECT_INHERIT } != 0;
    let hands_on = directory && flags & NO_PROPAGATE == 0 && flags & (OBJECT_INHERIT | CONTAINER_INHERIT) != 0;
    let propagation = flags & (OBJECT_INHERIT | CONTAINER_INHERIT);
    let mask = u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
    // Object entries have other fields behind the mask; only the plain allow and deny entries are mapped.
    let sid = if entry[0] <= 1 { &entry[8..] } else { &[][..] };
    let mapped = GENERIC.iter().fold(
        mask,
        |mask, (generic, rights)| {
            if mask & generic != 0 { mask & !generic | rights } else { mask }
        },
    );
    let specific = mapped != mask || sid == CREATOR_OWNER;
    let keep = |flags: u8, mask: u32, sid: Option<&[u8]>| {
        let mut bytes = entry.to_vec();
        bytes[1] = flags | INHERITED;
        bytes[4..8].copy_from_slice(&mask.to_le_bytes());
        if let Some(sid) = sid {
            bytes.truncate(8);
            bytes.extend_from_slice(sid);
            let length = (bytes.len() as u16).to_le_bytes();
            bytes[2..4].copy_from_slice(&length);
        }
        bytes
    };
    if applies && hands_on && !specific {
        return [Some(keep(propagation, mask, None)), None];
    }
    let own_sid = (sid == CREATOR_OWNER).then_some(owner);
    let effective = applies.then(|| keep(0, if entry[0] <= 1 { mapped } else { mask }, own_sid));
    [effective, hands_on.then(|| keep(propagation | INHERIT_ONLY, mask, None))]
}

fn sid_at(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let sid = bytes.get(at.max(1)..)?;
    sid.get(..8 + 4 * usize::from(*sid.get(1)?))
}

fn ace(flags: u8, mask: u32, sid: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, flags];
    bytes.extend_from_slice(&(8 + sid.len() as u16).to_le_bytes());
    bytes.extend_from_slice(&mask.to_le_bytes());
    bytes.extend_from_slice(sid);
    bytes
}

fn descriptor(control: u16, owner: &[u8], group: &[u8], count: u16, aces: &[u8]) -> Vec<u8> {
    let dacl_len = 8 + aces.len();
    let owner_at = HEADER_LEN + dacl_len;
    let mut bytes = vec![1, 0];
    bytes.extend_from_slice(&control.to_le_bytes());
    for offset in [owner_at, owner_at + owner.len(), 0, HEADER_LEN] {
        bytes.extend_from_slice(&(offset as u32).to_le_bytes());
    }
    bytes.extend_from_slice(&[2, 0]);
    bytes.extend_from_slice(&(dacl_len as u16).to_le_bytes());
    bytes.extend_from_slice(&count.to_le_bytes());
    bytes.extend_from_slice(&[0, 0]);
    bytes.extend_from_slice(aces);
    bytes.extend_from_slice(owner);
    bytes.extend_from_slice(group);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gets_what_its_directory_hands_on() {
        let root = inherited(None, true);
        let directory = inherited(Some(&root), true);
        let file = inherited(Some(&directory), false);
        let aces = |descriptor: &[u8]| descriptor[HEADER_LEN + 8..HEADER_LEN + 28][..8].to_vec();
        assert_eq!(aces(&directory), [0, 0x13, 20, 0, 0xFF, 0x01, 0x1F, 0]);
        assert_eq!(aces(&file), [0, 0x10, 20, 0, 0xFF, 0x01, 0x1F, 0]);
    }

    #[test]
    fn creator_owner_becomes_the_owner_and_generic_rights_are_mapped() {
        let aces = ace(OBJECT_INHERIT | CONTAINER_INHERIT | INHERIT_ONLY, 0x1000_0000, CREATOR_OWNER);
        let parent = descriptor(CONTROL, SYSTEM, SYSTEM, 1, &aces);
        let child = inherited(Some(&parent), true);
        assert_eq!(child[HEADER_LEN + 4..HEADER_LEN + 6], [2, 0], "one entry applies, one is handed on");
        let effective = &child[HEADER_LEN + 8..];
        assert_eq!((effective[1], &effective[4..8], &effective[8..20]), (0x10, &[0xFF, 1, 0x1F, 0][..], SYSTEM));
        assert_eq!(effective[20 + 1], 0x1B);
    }

    #[test]
    fn malformed_parents_do_no_harm() {
        for length in 0..40 {
            inherited(Some(&vec![0xFF; length]), true);
            inherited(Some(&vec![0x01; length]), false);
        }
    }
}
