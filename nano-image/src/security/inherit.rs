//! What a new object inherits from the descriptor of its parent ([MS-DTYP] 2.5.3.4).

use super::class::{GENERIC, ObjectClass};
use super::descriptor::*;
use super::{constant, sid};

/// For a root directory without a descriptor: full access for SYSTEM and Administrators, read access for Users, all of
/// it inherited.
const ROOT: &str = "O:BAG:SYD:(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;0x1200a9;;;BU)";

/// The descriptor of a new file or directory in a directory with the descriptor `parent`; `None` for the root of a
/// volume. A malformed parent counts as a root without a descriptor.
pub(crate) fn inherited(parent: Option<&[u8]>, class: ObjectClass) -> Vec<u8> {
    let root = || constant(ROOT, ObjectClass::Directory);
    let Some(parent) = parent else { return root() };
    let parent = Descriptor::parse(parent).or_else(|_| Descriptor::parse(&root())).ok();
    Descriptor::default().completed(class, parent.as_ref()).to_bytes().unwrap_or_else(|_| root())
}

impl Descriptor {
    /// The full descriptor of a new object of `class`, for which `self` was asked, in a parent with the descriptor
    /// `parent`.
    ///
    /// A missing owner or group is taken from the parent, or else is SYSTEM. Inherited entries follow the given ones,
    /// unless the list is protected. If neither gives a DACL, it is the one that SYSTEM gives to new objects (the
    /// default DACL of its token).
    pub fn completed(mut self, class: ObjectClass, parent: Option<&Self>) -> Self {
        let of_parent = |account: fn(&Self) -> &Option<Vec<u8>>| parent.and_then(|parent| account(parent).clone());
        let owner = self.owner.take().or(of_parent(|parent| &parent.owner)).unwrap_or(sid::SYSTEM.to_vec());
        let group = self.group.take().or(of_parent(|parent| &parent.group)).unwrap_or(sid::SYSTEM.to_vec());
        if let Some(parent) = parent.filter(|_| class != ObjectClass::Service) {
            let lists = [
                (&mut self.dacl, &parent.dacl, DACL_PRESENT, 0),
                (&mut self.sacl, &parent.sacl, SACL_PRESENT, SACL_SHIFT),
            ];
            for (list, of_parent, present, shift) in lists {
                // A list that is marked as present but is missing grants everything, and needs no more entries.
                let grants_all = self.control & present != 0 && list.is_none();
                if grants_all || self.control & (DACL_PROTECTED << shift) != 0 {
                    continue;
                }
                let entries = handed_on(of_parent.as_deref().unwrap_or_default(), class, &owner, &group);
                if !entries.is_empty() {
                    list.get_or_insert_default().extend(entries);
                    self.control |= present | DACL_AUTO_INHERITED << shift;
                }
            }
        }
        if self.control & DACL_PRESENT == 0 {
            self.control |= DACL_PRESENT;
            let entry = |mask: u32, account: &str| {
                let rest = sid::parse(account).unwrap_or_default();
                Ace { kind: ALLOW, flags: 0, mask: class.map(mask), rest }
            };
            self.dacl = Some(vec![entry(0x1000_0000, "SY"), entry(0xA002_0000, "BA")]);
        }
        (self.owner, self.group) = (Some(owner), Some(group));
        self
    }
}

/// The entries that a new object of `class` inherits from those of its parent.
fn handed_on(entries: &[Ace], class: ObjectClass, owner: &[u8], group: &[u8]) -> Vec<Ace> {
    let is_container = class != ObjectClass::File;
    let mut all = Vec::new();
    for entry in entries {
        let propagation = entry.flags & (OBJECT_INHERIT | CONTAINER_INHERIT);
        let applies = propagation & if is_container { CONTAINER_INHERIT } else { OBJECT_INHERIT } != 0;
        let hands_on = is_container && propagation != 0 && entry.flags & NO_PROPAGATE == 0;
        let kept = entry.flags & !(OBJECT_INHERIT | CONTAINER_INHERIT | NO_PROPAGATE | INHERIT_ONLY) | INHERITED;
        let effective = effective(entry, class, owner, group);
        let is_same = (effective.mask, &effective.rest) == (entry.mask, &entry.rest);
        // One entry does for both, unless what applies here is more specific than what is inherited further.
        if applies && hands_on && is_same {
            all.push(Ace { flags: kept | propagation, ..effective });
            continue;
        }
        if applies {
            all.push(Ace { flags: kept, ..effective });
        }
        if hands_on {
            all.push(Ace { flags: kept | propagation | INHERIT_ONLY, ..entry.clone() });
        }
    }
    all
}

/// An entry as it applies to an object of `class`: "creator" accounts become its owner and group, generic rights become
/// specific.
fn effective(entry: &Ace, class: ObjectClass, owner: &[u8], group: &[u8]) -> Ace {
    let mut effective = entry.clone();
    // An integrity label holds a policy in the place of rights.
    if entry.mask & GENERIC != 0 && entry.kind != MANDATORY_LABEL {
        effective.mask = class.map(entry.mask);
    }
    let creator = entry.account().and_then(|account| match account {
        account if account == sid::CREATOR_OWNER => Some((owner, account.len())),
        account if account == sid::CREATOR_GROUP => Some((group, account.len())),
        _ => None,
    });
    if let Some((account, len)) = creator {
        effective.rest = [account, &entry.rest[len..]].concat();
    }
    effective
}
