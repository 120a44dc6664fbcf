//! Security descriptors from their text form (SDDL, [MS-DTYP] 2.5.1) to the self-relative form that files, keys and
//! services keep ([MS-DTYP] 2.4.6).
//!
//! Written here because no library does it without Windows.

mod inherit;
mod sid;

use crate::error::{Error, Result};
use inherit::{Entry, inherited_entries, parts};
use sid::sid;

/// What a descriptor is for: decides what generic rights stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectClass {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A registry key.
    Key,
    /// A service: nothing is inherited.
    Service,
}

const DACL_PRESENT: u16 = 0x0004;
const SACL_PRESENT: u16 = 0x0010;
const DACL_AUTO_INHERIT_REQ: u16 = 0x0100;
const DACL_AUTO_INHERITED: u16 = 0x0400;
const DACL_PROTECTED: u16 = 0x1000;
const SELF_RELATIVE: u16 = 0x8000;
/// Flags of the SACL are those of the DACL, one bit on.
const SACL_SHIFT: u16 = 1;

/// Flags of entries ([MS-DTYP] 2.4.4.1).
const OBJECT_INHERIT: u8 = 0x01;
const CONTAINER_INHERIT: u8 = 0x02;
const NO_PROPAGATE: u8 = 0x04;
const INHERIT_ONLY: u8 = 0x08;
const INHERITED: u8 = 0x10;

const GENERIC: u32 = 0xF000_0000;
const HEADER_LEN: usize = 20;
/// No list of entries may be longer.
const MAX_ACL: usize = 0xFFFF;

/// The descriptor that `sddl` describes for a new object of `class` below one with the descriptor `parent`.
///
/// Owner and group that are not given are those of the parent (SYSTEM without one); entries that the parent hands on
/// follow those given, unless the list is protected. Generic rights become those of the class.
///
/// # Errors
/// [`Corrupt`](crate::ErrorKind::Corrupt) for text that is not SDDL, [`Unsupported`](crate::ErrorKind::Unsupported) for
/// what is not handled: object and conditional entries, accounts of a domain.
pub fn compile(sddl: &str, class: ObjectClass, parent: Option<&[u8]>) -> Result<Vec<u8>> {
    Parser { text: sddl, rest: sddl, class }.descriptor(parent)
}

/// A list of entries under construction.
struct List {
    control: u16,
    entries: Vec<Entry>,
}

struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
    class: ObjectClass,
}

impl<'a> Parser<'a> {
    fn descriptor(mut self, parent: Option<&[u8]>) -> Result<Vec<u8>> {
        let (mut owner, mut group, mut dacl, mut sacl) = (None, None, None, None);
        while !self.rest.trim_start().is_empty() {
            self.rest = self.rest.trim_start();
            let Some((section, rest)) = self.rest.split_at_checked(2) else { return Err(self.bad("it ends early")) };
            self.rest = rest;
            let is_new = match section {
                "O:" => owner.replace(self.account()?).is_none(),
                "G:" => group.replace(self.account()?).is_none(),
                "D:" => dacl.replace(self.list()?).is_none(),
                "S:" => sacl.replace(self.list()?).is_none(),
                _ => return Err(self.bad(&format!("`{section}` begins no part of it"))),
            };
            if !is_new {
                return Err(self.bad(&format!("`{section}` occurs twice")));
            }
        }
        const SYSTEM: &[u8] = &[1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0];
        let from = parent.and_then(parts);
        let owner = owner.unwrap_or_else(|| from.as_ref().map_or(SYSTEM, |parent| parent.owner).to_vec());
        let group = group.unwrap_or_else(|| from.as_ref().map_or(SYSTEM, |parent| parent.group).to_vec());
        let mut dacl = dacl.unwrap_or(List { control: DACL_PRESENT | DACL_AUTO_INHERITED, entries: Vec::new() });
        if dacl.control & DACL_PROTECTED == 0
            && self.class != ObjectClass::Service
            && let Some(parent) = &from
        {
            let known = dacl.entries.len();
            dacl.entries.extend(inherited_entries(parent, &owner, self.class));
            if dacl.entries.len() > known {
                dacl.control |= DACL_AUTO_INHERITED;
            }
        }
        self.assemble(&owner, &group, &dacl, sacl.as_ref())
    }

    fn assemble(&self, owner: &[u8], group: &[u8], dacl: &List, sacl: Option<&List>) -> Result<Vec<u8>> {
        let mut control = SELF_RELATIVE | dacl.control;
        let mut bytes = vec![0; HEADER_LEN];
        let mut offsets = [0u32; 4];
        if let Some(sacl) = sacl {
            control |= SACL_PRESENT | (sacl.control & !DACL_PRESENT) << SACL_SHIFT;
            offsets[2] = bytes.len() as u32;
            bytes.extend(self.acl(&sacl.entries)?);
        }
        offsets[3] = bytes.len() as u32;
        bytes.extend(self.acl(&dacl.entries)?);
        for (offset, sid) in [(0, owner), (1, group)] {
            offsets[offset] = bytes.len() as u32;
            bytes.extend_from_slice(sid);
        }
        bytes[0] = 1;
        bytes[2..4].copy_from_slice(&control.to_le_bytes());
        for (index, offset) in offsets.into_iter().enumerate() {
            bytes[4 + 4 * index..][..4].copy_from_slice(&offset.to_le_bytes());
        }
        Ok(bytes)
    }

    /// An ACL ([MS-DTYP] 2.4.5).
    fn acl(&self, entries: &[Entry]) -> Result<Vec<u8>> {
        let body: Vec<u8> = entries.iter().flat_map(Entry::to_bytes).collect();
        if body.len() + 8 > MAX_ACL {
            return Err(self.bad("it has too many entries"));
        }
        let mut bytes = vec![2, 0];
        bytes.extend_from_slice(&(8 + body.len() as u16).to_le_bytes());
        bytes.extend_from_slice(&(entries.len() as u16).to_le_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend(body);
        Ok(bytes)
    }

    /// The account that comes next.
    fn account(&mut self) -> Result<Vec<u8>> {
        let len = match self.rest.starts_with("S-") || self.rest.starts_with("s-") {
            true => 2 + self.rest[2..].bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'-').count(),
            false => 2,
        };
        let Some((name, rest)) = self.rest.split_at_checked(len) else { return Err(self.bad("it ends early")) };
        self.rest = rest;
        self.sid(name)
    }

    fn sid(&self, name: &str) -> Result<Vec<u8>> {
        // Accounts of the machine's or a domain, which are not known before the first boot.
        const OF_DOMAIN: [&str; 20] = [
            "DA", "DG", "DU", "DC", "DD", "LA", "LG", "EA", "SA", "PA", "CA", "RS", "AP", "RO", "CN", "KA", "EK", "PW",
            "CY", "HO",
        ];
        let known = sid(name);
        known.ok_or_else(|| match OF_DOMAIN.contains(&name) {
            true => self.unsupported(&format!("the account `{name}` is one of a domain")),
            false => self.bad(&format!("the account `{name}` is not known")),
        })
    }

    /// Flags and entries of a list.
    fn list(&mut self) -> Result<List> {
        let mut list = List { control: DACL_PRESENT, entries: Vec::new() };
        loop {
            let rest = self.rest;
            let flag = [("P", DACL_PROTECTED), ("AR", DACL_AUTO_INHERIT_REQ), ("AI", DACL_AUTO_INHERITED)]
                .into_iter()
                .find_map(|(name, flag)| Some((rest.strip_prefix(name)?, flag)));
            if let Some((rest, flag)) = flag {
                list.control |= flag;
                self.rest = rest;
            } else if let Some(entry) = rest.strip_prefix('(') {
                let Some((entry, rest)) = entry.split_once(')') else { return Err(self.bad("an entry has no end")) };
                self.rest = rest.trim_start();
                self.entry(entry, &mut list.entries)?;
            } else {
                return Ok(list);
            }
        }
    }

    /// Reads `type;flags;rights;object;inherited object;account`.
    fn entry(&self, text: &str, entries: &mut Vec<Entry>) -> Result<()> {
        let fields: Vec<&str> = text.split(';').map(str::trim).collect();
        const OTHER_KINDS: [&str; 13] = ["AL", "OA", "OD", "OU", "OL", "RA", "SP", "TL", "FL", "XA", "XD", "XU", "ZA"];
        if OTHER_KINDS.contains(&fields[0]) {
            return Err(self.unsupported(&format!("entries such as `({text})` are not handled")));
        }
        let &[kind, flags, rights, "", "", account] = &fields[..] else {
            return Err(self.bad(&format!("`({text})` is no entry")));
        };
        let kind = match kind {
            "A" => 0x00,
            "D" => 0x01,
            "AU" => 0x02,
            "ML" => 0x11,
            _ => return Err(self.bad(&format!("entries of the type `{kind}` are not known"))),
        };
        const FLAGS: [(&str, u32); 7] = [
            ("OI", OBJECT_INHERIT as u32),
            ("CI", CONTAINER_INHERIT as u32),
            ("NP", NO_PROPAGATE as u32),
            ("IO", INHERIT_ONLY as u32),
            ("ID", INHERITED as u32),
            ("SA", 0x40),
            ("FA", 0x80),
        ];
        let flags = codes(flags, &FLAGS).ok_or_else(|| self.bad(&format!("the flags `{flags}` are not known")))? as u8;
        let mask = self.rights(rights)?;
        let sid = self.sid(account)?;
        let hands_on = flags & (OBJECT_INHERIT | CONTAINER_INHERIT) != 0;
        // What is handed on keeps its generic rights, as they stand for others in other objects.
        if mask & GENERIC != 0 && hands_on && flags & INHERIT_ONLY == 0 {
            let own = flags & !(OBJECT_INHERIT | CONTAINER_INHERIT | NO_PROPAGATE);
            entries.push(Entry { kind, flags: own, mask: self.class.map(mask), sid: sid.clone() });
            entries.push(Entry { kind, flags: flags | INHERIT_ONLY, mask, sid });
        } else {
            let mask = if flags & INHERIT_ONLY == 0 { self.class.map(mask) } else { mask };
            entries.push(Entry { kind, flags, mask, sid });
        }
        Ok(())
    }

    fn rights(&self, text: &str) -> Result<u32> {
        const RIGHTS: [(&str, u32); 28] = [
            ("GA", 0x1000_0000),
            ("GX", 0x2000_0000),
            ("GW", 0x4000_0000),
            ("GR", 0x8000_0000),
            ("SD", 0x0001_0000),
            ("RC", 0x0002_0000),
            ("WD", 0x0004_0000),
            ("WO", 0x0008_0000),
            ("CC", 0x001),
            ("DC", 0x002),
            ("LC", 0x004),
            ("SW", 0x008),
            ("RP", 0x010),
            ("WP", 0x020),
            ("DT", 0x040),
            ("LO", 0x080),
            ("CR", 0x100),
            ("FA", 0x001F_01FF),
            ("FR", 0x0012_0089),
            ("FW", 0x0012_0116),
            ("FX", 0x0012_00A0),
            ("KA", 0x000F_003F),
            ("KR", 0x0002_0019),
            ("KW", 0x0002_0006),
            ("KX", 0x0002_0019),
            ("NW", 0x1),
            ("NR", 0x2),
            ("NX", 0x4),
        ];
        let number = match text.strip_prefix("0x").or(text.strip_prefix("0X")) {
            Some(hex) => u32::from_str_radix(hex, 16).ok(),
            None => text.parse().ok(),
        };
        let rights = number.or_else(|| codes(text, &RIGHTS));
        rights.ok_or_else(|| self.bad(&format!("the rights `{text}` are not known")))
    }

    fn bad(&self, why: &str) -> Error {
        Error::corrupt(format!("bad security descriptor `{}`: {why}", self.text))
    }

    fn unsupported(&self, why: &str) -> Error {
        Error::unsupported(format!("the security descriptor `{}` is not applied: {why}", self.text))
    }
}

impl ObjectClass {
    /// Replaces generic rights by the ones they stand for (GENERIC_MAPPING of winnt.h, winreg and winsvc.h).
    pub(in crate::windows::package::sddl) fn map(self, mask: u32) -> u32 {
        let [read, write, execute, all] = match self {
            Self::File | Self::Directory => [0x0012_0089, 0x0012_0116, 0x0012_00A0, 0x001F_01FF],
            Self::Key => [0x0002_0019, 0x0002_0006, 0x0002_0019, 0x000F_003F],
            Self::Service => [0x0002_008D, 0x0002_0002, 0x0002_0170, 0x000F_01FF],
        };
        let rights = [(0x8000_0000, read), (0x4000_0000, write), (0x2000_0000, execute), (0x1000_0000, all)];
        let mapped = rights.into_iter().filter(|(generic, _)| mask & generic != 0);
        mapped.fold(mask & !GENERIC, |mask, (_, rights)| mask | rights)
    }
}

/// Codes of two letters, one after another.
fn codes(text: &str, names: &[(&str, u32)]) -> Option<u32> {
    let mut value = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let (code, after) = rest.split_at_checked(2)?;
        value |= names.iter().find(|(name, _)| *name == code)?.1;
        rest = after;
    }
    Some(value)
}

#[cfg(test)]
mod tests;
