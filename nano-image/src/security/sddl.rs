//! Descriptors as text (SDDL, [MS-DTYP] 2.5.1): parsed and printed.

use super::class::{GENERIC, ObjectClass};
use super::descriptor::*;
use super::sid;
use crate::error::{Error, Result};

/// A list that is marked as present but is missing.
const NO_LIST: &str = "NO_ACCESS_CONTROL";
/// Flags of a DACL; those of a SACL are shifted by one bit.
const LIST_FLAGS: [(&str, u16); 3] =
    [("P", DACL_PROTECTED), ("AR", DACL_AUTO_INHERIT_REQ), ("AI", DACL_AUTO_INHERITED)];
const KINDS: [(u8, &str); 4] = [(ALLOW, "A"), (DENY, "D"), (AUDIT, "AU"), (MANDATORY_LABEL, "ML")];
const FLAGS: [(u8, &str); 7] = [
    (OBJECT_INHERIT, "OI"),
    (CONTAINER_INHERIT, "CI"),
    (NO_PROPAGATE, "NP"),
    (INHERIT_ONLY, "IO"),
    (INHERITED, "ID"),
    (0x40, "SA"),
    (0x80, "FA"),
];
/// Rights: single ones, and names for sets of them.
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
/// The sets of rights that are used when a descriptor is printed: of files, of keys, generic.
const SHOWN: [&str; 10] = ["FA", "FR", "FW", "FX", "KA", "KR", "GA", "GR", "GW", "GX"];

/// The parts that `text` gives of a descriptor for an object of `class`.
pub(super) fn parse(text: &str, class: ObjectClass) -> Result<Descriptor> {
    Parser { text, rest: text, class }.descriptor()
}

/// A self-relative descriptor as text; `None` if it is damaged. Entries of other types are printed as bytes in
/// hexadecimal.
pub(crate) fn text(bytes: &[u8]) -> Option<String> {
    let descriptor = Descriptor::parse(bytes).ok()?;
    let mut text = String::new();
    for (name, account) in [("O", &descriptor.owner), ("G", &descriptor.group)] {
        if let Some(account) = account {
            text += &format!("{name}:{}", sid::text(account)?);
        }
    }
    let lists = [("D", &descriptor.dacl, DACL_PRESENT, 0), ("S", &descriptor.sacl, SACL_PRESENT, SACL_SHIFT)];
    for (name, entries, present, shift) in lists {
        if descriptor.control & present == 0 {
            continue;
        }
        text += &format!("{name}:");
        let flags = LIST_FLAGS.iter().filter(|(_, flag)| descriptor.control & (flag << shift) != 0);
        text.extend(flags.map(|(name, _)| *name));
        match entries {
            Some(entries) => text.extend(entries.iter().map(entry_text)),
            None => text += NO_LIST,
        }
    }
    Some(text)
}

fn entry_text(entry: &Ace) -> String {
    let kind = KINDS.iter().find(|(kind, _)| *kind == entry.kind);
    let account = entry.account().filter(|account| account.len() == entry.rest.len()).and_then(sid::text);
    let (Some((_, kind)), Some(account)) = (kind, account) else {
        let header = [&[entry.kind, entry.flags][..], &entry.mask.to_be_bytes()].concat();
        return format!("({}{})", hex::encode(header), hex::encode(&entry.rest));
    };
    let flags: String = FLAGS.iter().filter(|(bit, _)| entry.flags & bit != 0).map(|(_, name)| *name).collect();
    let mut shown = RIGHTS.iter().filter(|(name, _)| entry.kind != MANDATORY_LABEL && SHOWN.contains(name));
    let rights = shown.find(|(_, mask)| *mask == entry.mask);
    let rights = rights.map_or_else(|| format!("{:#x}", entry.mask), |(name, _)| (*name).to_owned());
    format!("({kind};{flags};{rights};;;{account})")
}

/// A list that is being read; no entries means that the list is missing.
struct List {
    control: u16,
    entries: Option<Vec<Ace>>,
}

struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
    class: ObjectClass,
}

impl<'a> Parser<'a> {
    fn descriptor(mut self) -> Result<Descriptor> {
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
        let flags = |list: &Option<List>| list.as_ref().map_or(0, |list| list.control | DACL_PRESENT);
        let (dacl_flags, sacl_flags) = (flags(&dacl), flags(&sacl));
        let present = if sacl_flags == 0 { 0 } else { SACL_PRESENT };
        let control = dacl_flags | present | (sacl_flags & !DACL_PRESENT) << SACL_SHIFT;
        let entries = |list: Option<List>| list.and_then(|list| list.entries);
        Ok(Descriptor { control, owner, group, sacl: entries(sacl), dacl: entries(dacl) })
    }

    /// Reads the account that comes next.
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
        // Accounts of the machine or its domain, whose SIDs are not known before the first boot.
        const OF_DOMAIN: [&str; 20] = [
            "DA", "DG", "DU", "DC", "DD", "LA", "LG", "EA", "SA", "PA", "CA", "RS", "AP", "RO", "CN", "KA", "EK", "PW",
            "CY", "HO",
        ];
        let known = sid::parse(name);
        known.ok_or_else(|| match OF_DOMAIN.contains(&name) {
            true => self.unsupported(&format!("the account `{name}` is one of a domain")),
            false => self.bad(&format!("the account `{name}` is not known")),
        })
    }

    /// Reads flags and entries of a list.
    fn list(&mut self) -> Result<List> {
        let (mut control, mut entries) = (0, Vec::new());
        if let Some(rest) = self.rest.strip_prefix(NO_LIST) {
            self.rest = rest;
            return Ok(List { control, entries: None });
        }
        loop {
            let rest = self.rest;
            let flag = LIST_FLAGS.iter().find_map(|(name, flag)| Some((rest.strip_prefix(name)?, flag)));
            if let Some((rest, flag)) = flag {
                control |= flag;
                self.rest = rest;
            } else if let Some(entry) = rest.strip_prefix('(') {
                let Some((entry, rest)) = entry.split_once(')') else { return Err(self.bad("an entry has no end")) };
                self.rest = rest.trim_start();
                self.entry(entry, &mut entries)?;
            } else {
                return Ok(List { control, entries: Some(entries) });
            }
        }
    }

    /// Reads `type;flags;rights;object;inherited object;account`.
    fn entry(&self, text: &str, entries: &mut Vec<Ace>) -> Result<()> {
        let fields: Vec<&str> = text.split(';').map(str::trim).collect();
        const OTHER_KINDS: [&str; 13] = ["AL", "OA", "OD", "OU", "OL", "RA", "SP", "TL", "FL", "XA", "XD", "XU", "ZA"];
        if OTHER_KINDS.contains(&fields[0]) {
            return Err(self.unsupported(&format!("entries such as `({text})` are not handled")));
        }
        let &[kind, flags, rights, "", "", account] = &fields[..] else {
            return Err(self.bad(&format!("`({text})` is not an entry")));
        };
        let kind = KINDS.iter().find(|(_, name)| *name == kind).map(|(kind, _)| *kind);
        let kind = kind.ok_or_else(|| self.bad(&format!("entries of the type `{}` are not known", fields[0])))?;
        let bits = codes(flags, &FLAGS.map(|(bit, name)| (name, u32::from(bit))));
        let flags = bits.ok_or_else(|| self.bad(&format!("the flags `{flags}` are not known")))? as u8;
        let mask = self.rights(rights)?;
        let rest = self.sid(account)?;
        let hands_on = flags & (OBJECT_INHERIT | CONTAINER_INHERIT) != 0;
        // Inherited entries keep their generic rights, which mean something else for other classes of objects.
        if mask & GENERIC != 0 && hands_on && flags & INHERIT_ONLY == 0 {
            let own = flags & !(OBJECT_INHERIT | CONTAINER_INHERIT | NO_PROPAGATE);
            entries.push(Ace { kind, flags: own, mask: self.class.map(mask), rest: rest.clone() });
            entries.push(Ace { kind, flags: flags | INHERIT_ONLY, mask, rest });
        } else {
            let mask = if flags & INHERIT_ONLY == 0 { self.class.map(mask) } else { mask };
            entries.push(Ace { kind, flags, mask, rest });
        }
        Ok(())
    }

    fn rights(&self, text: &str) -> Result<u32> {
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
