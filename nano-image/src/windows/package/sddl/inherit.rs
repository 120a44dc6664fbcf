//! Entries of access control lists, and what an object gets of those of its parent ([MS-DTYP] 2.5.3.4).

use super::{CONTAINER_INHERIT, GENERIC, INHERIT_ONLY, INHERITED, NO_PROPAGATE, OBJECT_INHERIT, ObjectClass};

const CREATOR_OWNER: &[u8] = &[1, 1, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0];

/// An entry of a list ([MS-DTYP] 2.4.4): kind, flags, rights, account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub kind: u8,
    pub flags: u8,
    pub mask: u32,
    pub sid: Vec<u8>,
}

impl Entry {
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.kind, self.flags];
        bytes.extend_from_slice(&(8 + self.sid.len() as u16).to_le_bytes());
        bytes.extend_from_slice(&self.mask.to_le_bytes());
        bytes.extend_from_slice(&self.sid);
        bytes
    }
}

/// Parts of a self-relative descriptor.
pub(super) struct Parts<'a> {
    pub owner: &'a [u8],
    pub group: &'a [u8],
    /// Entries of the DACL that allow or deny.
    entries: Vec<Entry>,
}

/// Takes a descriptor apart; `None` if it is malformed.
pub(super) fn parts(descriptor: &[u8]) -> Option<Parts<'_>> {
    let word = |at: usize| Some(u32::from_le_bytes(descriptor.get(at..at + 4)?.try_into().ok()?) as usize);
    let sid_at = |at: usize| {
        let sid = descriptor.get(at.max(1)..)?;
        sid.get(..8 + 4 * usize::from(*sid.get(1)?))
    };
    let (owner, group) = (sid_at(word(4)?)?, sid_at(word(8)?)?);
    let mut entries = Vec::new();
    if word(16)? != 0 {
        let dacl = descriptor.get(word(16)?..)?;
        let mut rest = dacl.get(8..usize::from(u16::from_le_bytes([*dacl.get(2)?, *dacl.get(3)?])))?;
        while let Some((header, _)) = rest.split_at_checked(8) {
            let len = usize::from(u16::from_le_bytes([header[2], header[3]]));
            let (entry, after) = rest.split_at_checked(len.max(8))?;
            // Other kinds have more than an account behind the rights.
            if header[0] <= 1 {
                let mask = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
                entries.push(Entry { kind: header[0], flags: header[1], mask, sid: entry[8..].to_vec() });
            }
            rest = after;
        }
    }
    Some(Parts { owner, group, entries })
}

/// What a new object of `class`, owned by `owner`, gets of the entries of its parent.
pub(super) fn inherited_entries(parent: &Parts<'_>, owner: &[u8], class: ObjectClass) -> Vec<Entry> {
    let is_container = class != ObjectClass::File;
    let mut entries = Vec::new();
    for entry in &parent.entries {
        let propagation = entry.flags & (OBJECT_INHERIT | CONTAINER_INHERIT);
        let applies = propagation & if is_container { CONTAINER_INHERIT } else { OBJECT_INHERIT } != 0;
        let hands_on = is_container && propagation != 0 && entry.flags & NO_PROPAGATE == 0;
        let is_creator = entry.sid == CREATOR_OWNER;
        let inherited = |flags: u8, mask: u32, sid: &[u8]| Entry {
            flags: flags | INHERITED,
            mask,
            sid: sid.to_vec(),
            ..entry.clone()
        };
        if applies && hands_on && !is_creator && entry.mask & GENERIC == 0 {
            entries.push(inherited(propagation, entry.mask, &entry.sid));
            continue;
        }
        if applies {
            entries.push(inherited(0, class.map(entry.mask), if is_creator { owner } else { &entry.sid }));
        }
        if hands_on {
            entries.push(inherited(propagation | INHERIT_ONLY, entry.mask, &entry.sid));
        }
    }
    entries
}
