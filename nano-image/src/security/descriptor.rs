//! The self-relative form of descriptors ([MS-DTYP] 2.4.6), in which files, keys and services store them.

use super::sid;
use crate::error::{Error, Result};

/// Bits of the control field.
pub(super) const DACL_PRESENT: u16 = 0x0004;
pub(super) const SACL_PRESENT: u16 = 0x0010;
pub(super) const DACL_AUTO_INHERIT_REQ: u16 = 0x0100;
pub(super) const DACL_AUTO_INHERITED: u16 = 0x0400;
pub(super) const DACL_PROTECTED: u16 = 0x1000;
const SELF_RELATIVE: u16 = 0x8000;
/// The flags of the SACL are those of the DACL, shifted by one bit.
pub(super) const SACL_SHIFT: u16 = 1;

/// Types of entries (2.4.4.1) that can be read and written as text.
pub(super) const ALLOW: u8 = 0x00;
pub(super) const DENY: u8 = 0x01;
pub(super) const AUDIT: u8 = 0x02;
pub(super) const MANDATORY_LABEL: u8 = 0x11;
/// Types with GUIDs between rights and account. A list that contains one has another revision.
const WITH_OBJECT: [u8; 8] = [0x05, 0x06, 0x07, 0x08, 0x0B, 0x0C, 0x0F, 0x10];

/// Flags of entries (2.4.4.1).
pub(super) const OBJECT_INHERIT: u8 = 0x01;
pub(super) const CONTAINER_INHERIT: u8 = 0x02;
pub(super) const NO_PROPAGATE: u8 = 0x04;
pub(super) const INHERIT_ONLY: u8 = 0x08;
pub(super) const INHERITED: u8 = 0x10;

const HEADER_LEN: usize = 20;
const LIST_HEADER_LEN: usize = 8;
const ENTRY_HEADER_LEN: usize = 8;

/// A security descriptor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Descriptor {
    /// The control bits of the lists; the bit for the self-relative form is left out.
    pub(super) control: u16,
    pub(super) owner: Option<Vec<u8>>,
    pub(super) group: Option<Vec<u8>>,
    /// What is audited. A list can be missing and yet be marked as present (see `dacl`).
    pub(super) sacl: Option<Vec<Ace>>,
    /// Who may do what. If it is missing but marked as present, everybody may do everything.
    pub(super) dacl: Option<Vec<Ace>>,
}

/// An entry of a list (2.4.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ace {
    pub kind: u8,
    pub flags: u8,
    pub mask: u32,
    /// The bytes behind the rights: in most types the account, then data of that type.
    pub rest: Vec<u8>,
}

impl Descriptor {
    /// Parses a self-relative descriptor.
    ///
    /// # Errors
    /// A message that says what is wrong. Windows would call a volume with such a descriptor damaged.
    pub fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let header = bytes.first_chunk::<HEADER_LEN>().ok_or("shorter than its header")?;
        if header[0] != 1 {
            return Err("unknown revision");
        }
        let control = u16::from_le_bytes([header[2], header[3]]);
        if control & SELF_RELATIVE == 0 {
            return Err("not self-relative");
        }
        // A part lies behind the header; offset 0 means that there is none.
        let part = |at: usize| {
            let offset = u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]) as usize;
            match offset {
                0 => Ok(None),
                1..HEADER_LEN => Err(()),
                _ => bytes.get(offset..).map(Some).ok_or(()),
            }
        };
        let account = |at: usize| match part(at) {
            Ok(None) => Ok(None),
            Ok(Some(bytes)) => sid::at_start(bytes).map(|sid| Some(sid.to_vec())).ok_or("bad owner or group"),
            Err(()) => Err("bad owner or group"),
        };
        let list = |at: usize| match part(at) {
            Ok(None) => Ok(None),
            Ok(Some(bytes)) => entries(bytes).map(Some).ok_or("bad access control list"),
            Err(()) => Err("bad access control list"),
        };
        let (owner, group, sacl, dacl) = (account(4)?, account(8)?, list(12)?, list(16)?);
        Ok(Self { control: control & !SELF_RELATIVE, owner, group, sacl, dacl })
    }

    /// The self-relative form, with the lists first as Windows writes it.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) if a list is too long.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = vec![0; HEADER_LEN];
        let mut offsets = [0; 4];
        for (index, entries) in [(2, &self.sacl), (3, &self.dacl)] {
            if let Some(entries) = entries {
                offsets[index] = bytes.len() as u32;
                bytes.extend(list(entries)?);
            }
        }
        for (index, account) in [(0, &self.owner), (1, &self.group)] {
            if let Some(account) = account {
                offsets[index] = bytes.len() as u32;
                bytes.extend_from_slice(account);
            }
        }
        bytes[0] = 1;
        bytes[2..4].copy_from_slice(&(self.control | SELF_RELATIVE).to_le_bytes());
        for (field, offset) in bytes[4..HEADER_LEN].chunks_exact_mut(4).zip(offsets) {
            field.copy_from_slice(&offset.to_le_bytes());
        }
        Ok(bytes)
    }
}

impl Ace {
    /// The account, for types that have it directly behind the rights.
    pub fn account(&self) -> Option<&[u8]> {
        if WITH_OBJECT.contains(&self.kind) { None } else { sid::at_start(&self.rest) }
    }
}

/// What is wrong with a self-relative descriptor; `None` if nothing is.
pub(crate) fn fault(bytes: &[u8]) -> Option<&'static str> {
    Descriptor::parse(bytes).err()
}

/// The entries of the list (2.4.5) at the start of `bytes`.
fn entries(bytes: &[u8]) -> Option<Vec<Ace>> {
    let [2 | 4, _, len_low, len_high, count_low, count_high, ..] = *bytes else { return None };
    let mut rest = bytes.get(LIST_HEADER_LEN..usize::from(u16::from_le_bytes([len_low, len_high])))?;
    let mut entries = Vec::new();
    for _ in 0..u16::from_le_bytes([count_low, count_high]) {
        let [kind, flags, len_low, len_high, ..] = *rest else { return None };
        let len = usize::from(u16::from_le_bytes([len_low, len_high]));
        let (entry, after) = rest.split_at_checked(len)?;
        let mask = u32::from_le_bytes(*entry.get(4..)?.first_chunk()?);
        entries.push(Ace { kind, flags, mask, rest: entry[ENTRY_HEADER_LEN..].to_vec() });
        rest = after;
    }
    Some(entries)
}

/// A list.
fn list(entries: &[Ace]) -> Result<Vec<u8>> {
    let too_long = || Error::corrupt("bad security descriptor: it has too many entries");
    let revision = if entries.iter().any(|entry| WITH_OBJECT.contains(&entry.kind)) { 4 } else { 2 };
    let mut body = Vec::new();
    for Ace { kind, flags, mask, rest } in entries {
        let len = u16::try_from(ENTRY_HEADER_LEN + rest.len()).map_err(|_| too_long())?;
        body.extend_from_slice(&[*kind, *flags]);
        body.extend_from_slice(&len.to_le_bytes());
        body.extend_from_slice(&mask.to_le_bytes());
        body.extend_from_slice(rest);
    }
    let len = u16::try_from(LIST_HEADER_LEN + body.len()).map_err(|_| too_long())?;
    let mut bytes = vec![revision, 0];
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(&(entries.len() as u16).to_le_bytes());
    bytes.extend_from_slice(&[0, 0]);
    bytes.extend(body);
    Ok(bytes)
}
