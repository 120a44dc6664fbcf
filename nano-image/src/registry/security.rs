//! Security descriptors: items that keys share, with a count of their users, linked in a ring.

use std::collections::BTreeMap;

use super::cells::{Cell, corrupt};
use super::format::*;
use super::hive::{Hive, KeyId};
use crate::error::{Error, Result};
use crate::security::{ObjectClass, constant, fault};

impl Hive {
    /// Sets the self-relative descriptor of `key`. Its subkeys keep theirs.
    pub fn set_security(&mut self, key: KeyId, descriptor: &[u8]) -> Result<()> {
        let old = self.live(key.0)?.security.get();
        check_descriptor(descriptor)?;
        let new = self.item_for(descriptor, old)?;
        if new != old {
            self.add_reference(new)?;
            self.touch(key.0)?.security = new.into();
            self.drop_reference(old)?;
        }
        Ok(())
    }

    /// The descriptor in the item `cell`.
    pub(super) fn descriptor(&self, cell: Cell) -> Option<&[u8]> {
        let (item, rest) = self.cells.read::<KeySecurity>(cell).filter(|(item, _)| item.signature == SK)?;
        rest.get(..item.len.get() as usize)
    }

    pub(super) fn add_reference(&mut self, cell: Cell) -> Result<()> {
        if cell == NO_CELL {
            return Ok(());
        }
        *self.descriptors.references.entry(cell).or_insert(0) += 1;
        let (item, _) = self.cells.write::<KeySecurity>(cell)?;
        item.references = item.references.get().saturating_add(1).into();
        Ok(())
    }

    pub(super) fn drop_reference(&mut self, cell: Cell) -> Result<()> {
        let Some(count) = self.descriptors.references.get_mut(&cell) else { return Ok(()) };
        *count = count.saturating_sub(1);
        let unused = *count == 0;
        let (item, _) = self.cells.write::<KeySecurity>(cell)?;
        item.references = item.references.get().saturating_sub(1).into();
        if !unused {
            return Ok(());
        }
        let (next, previous) = (item.next.get(), item.previous.get());
        if let Some(bytes) = self.descriptor(cell).map(<[u8]>::to_vec)
            && let Some(by_bytes) = &mut self.descriptors.by_bytes
            && by_bytes.get(&bytes) == Some(&cell)
        {
            by_bytes.remove(&bytes);
        }
        self.descriptors.references.remove(&cell);
        self.cells.write::<KeySecurity>(next)?.0.previous = previous.into();
        self.cells.write::<KeySecurity>(previous)?.0.next = next.into();
        self.cells.free(cell)
    }

    /// The item with `descriptor`. A new item is linked into the ring after `neighbour` and has no users yet.
    pub(super) fn item_for(&mut self, descriptor: &[u8], neighbour: Cell) -> Result<Cell> {
        if self.descriptors.by_bytes.is_none() {
            let mut by_bytes = BTreeMap::new();
            for cell in self.descriptors.references.keys() {
                if let Some(bytes) = self.descriptor(*cell) {
                    by_bytes.entry(bytes.to_vec()).or_insert(*cell);
                }
            }
            self.descriptors.by_bytes = Some(by_bytes);
        }
        if let Some(cell) = self.descriptors.by_bytes.as_ref().and_then(|items| items.get(descriptor)) {
            return Ok(*cell);
        }
        let cell = self.cells.allocate(size_of::<KeySecurity>() + descriptor.len())?;
        // A hive without any descriptor starts a new ring.
        let ring = match self.descriptors.references.contains_key(&neighbour) {
            true => Some(neighbour),
            false => self.descriptors.references.keys().next().copied(),
        };
        let next = match ring {
            Some(ring) => {
                let next = self.cells.read::<KeySecurity>(ring).ok_or_else(|| corrupt("no descriptor", ring))?.0.next;
                self.cells.write::<KeySecurity>(ring)?.0.next = cell.into();
                self.cells.write::<KeySecurity>(next.get())?.0.previous = cell.into();
                next.get()
            }
            None => cell,
        };
        let (item, rest) = self.cells.write::<KeySecurity>(cell)?;
        *item = KeySecurity {
            signature: SK,
            reserved: [0; 2],
            next: next.into(),
            previous: ring.unwrap_or(cell).into(),
            references: 0.into(),
            len: (descriptor.len() as u32).into(),
        };
        rest[..descriptor.len()].copy_from_slice(descriptor);
        self.descriptors.references.insert(cell, 0);
        if let Some(by_bytes) = &mut self.descriptors.by_bytes {
            by_bytes.insert(descriptor.to_vec(), cell);
        }
        Ok(cell)
    }
}

/// Access right: everything (KEY_ALL_ACCESS).
pub const KEY_ALL_ACCESS: u32 = 0x000F_003F;

/// A self-relative descriptor for a key ([MS-DTYP] 2.4.6). Owner is Administrators, group is SYSTEM; Administrators get
/// the access rights `administrators`, SYSTEM gets all. With `inherit`, keys that Windows later creates below it
/// inherit both.
pub fn descriptor_for(administrators: u32, inherit: bool) -> Vec<u8> {
    let flags = if inherit { "CI" } else { "" };
    let sddl = format!("O:BAG:SYD:(A;{flags};{administrators:#x};;;BA)(A;{flags};KA;;;SY)");
    constant(&sddl, ObjectClass::Key)
}

/// Refuses a descriptor that would make Windows treat the hive as damaged.
pub(super) fn check_descriptor(descriptor: &[u8]) -> Result<()> {
    match fault(descriptor) {
        Some(fault) => Err(Error::corrupt(format!("bad security descriptor of a registry key: {fault}"))),
        None => Ok(()),
    }
}
