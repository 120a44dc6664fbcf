//! Security descriptors in their text form (SDDL, [MS-DTYP] 2.5.1).

use super::value;

/// Names of well-known security identifiers.
const SIDS: [(&str, &str); 20] = [
    ("S-1-1-0", "WD"),
    ("S-1-3-0", "CO"),
    ("S-1-3-1", "CG"),
    ("S-1-3-4", "OW"),
    ("S-1-5-2", "NU"),
    ("S-1-5-4", "IU"),
    ("S-1-5-6", "SU"),
    ("S-1-5-7", "AN"),
    ("S-1-5-11", "AU"),
    ("S-1-5-12", "RC"),
    ("S-1-5-18", "SY"),
    ("S-1-5-19", "LS"),
    ("S-1-5-20", "NS"),
    ("S-1-5-32-544", "BA"),
    ("S-1-5-32-545", "BU"),
    ("S-1-5-32-546", "BG"),
    ("S-1-5-32-547", "PU"),
    ("S-1-15-2-1", "AC"),
    ("S-1-16-8192", "ME"),
    ("S-1-16-16384", "SI"),
];
/// Names of access masks: of files, of keys, generic.
const RIGHTS: [(u32, &str); 10] = [
    (0x001F_01FF, "FA"),
    (0x0012_0089, "FR"),
    (0x0012_0116, "FW"),
    (0x0012_00A0, "FX"),
    (0x000F_003F, "KA"),
    (0x0002_0019, "KR"),
    (0x1000_0000, "GA"),
    (0x8000_0000, "GR"),
    (0x4000_0000, "GW"),
    (0x2000_0000, "GX"),
];
const ACE_FLAGS: [(u8, &str); 7] =
    [(0x01, "OI"), (0x02, "CI"), (0x04, "NP"), (0x08, "IO"), (0x10, "ID"), (0x40, "SA"), (0x80, "FA")];
const CONTROL_DACL_PRESENT: u16 = 0x0004;
const CONTROL_SACL_PRESENT: u16 = 0x0010;

/// A self-relative descriptor as text; as hexadecimal digits if it is damaged.
pub(crate) fn text(descriptor: &[u8]) -> String {
    parse(descriptor).unwrap_or_else(|| value::hex(descriptor))
}

fn parse(bytes: &[u8]) -> Option<String> {
    let word = |at: usize| Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let offset = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?) as usize);
    let control = word(2)?;
    let mut text = String::new();
    for (name, at) in [("O", offset(4)?), ("G", offset(8)?)] {
        if at != 0 {
            text += &format!("{name}:{}", sid(bytes.get(at..)?)?);
        }
    }
    // Control bits: required to inherit, inherited, protected.
    for (name, at, present, shift) in
        [("D", offset(16)?, CONTROL_DACL_PRESENT, 0), ("S", offset(12)?, CONTROL_SACL_PRESENT, 1)]
    {
        if control & present == 0 {
            continue;
        }
        text += &format!("{name}:");
        for (bit, flag) in [(0x1000 << shift, "P"), (0x0100 << shift, "AR"), (0x0400 << shift, "AI")] {
            text += if control & bit != 0 { flag } else { "" };
        }
        text += &if at == 0 { "NO_ACCESS_CONTROL".to_owned() } else { acl(bytes.get(at..)?)? };
    }
    Some(text)
}

fn acl(bytes: &[u8]) -> Option<String> {
    let count = u16::from_le_bytes(*bytes.get(4..)?.first_chunk()?);
    let (mut text, mut rest) = (String::new(), bytes.get(8..)?);
    for _ in 0..count {
        let size = usize::from(u16::from_le_bytes(*rest.get(2..)?.first_chunk()?));
        let (ace, after) = rest.split_at_checked(size).filter(|_| size >= 8)?;
        rest = after;
        let mask = u32::from_le_bytes(*ace.get(4..)?.first_chunk()?);
        let kind = match ace[0] {
            0x00 => "A",
            0x01 => "D",
            0x02 => "AU",
            0x11 => "ML",
            // With conditions, objects or attributes.
            _ => {
                text += &format!("({})", value::hex(ace));
                continue;
            }
        };
        let flags: String = ACE_FLAGS.iter().filter(|(bit, _)| ace[1] & bit != 0).map(|(_, name)| *name).collect();
        let known = RIGHTS.iter().find(|(known, _)| *known == mask && kind != "ML");
        let rights = known.map_or_else(|| format!("{mask:#x}"), |(_, name)| (*name).to_owned());
        text += &format!("({kind};{flags};{rights};;;{})", sid(&ace[8..])?);
    }
    Some(text)
}

/// A security identifier, by its short name if it has one.
fn sid(bytes: &[u8]) -> Option<String> {
    let count = usize::from(*bytes.get(1)?);
    let authority = bytes.get(2..8)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    let parts = bytes.get(8..8 + 4 * count)?.chunks_exact(4);
    let mut text = format!("S-{}-{authority}", bytes[0]);
    for part in parts {
        text += &format!("-{}", u32::from_le_bytes(part.try_into().expect("4 bytes")));
    }
    let short = SIDS.iter().find(|(long, _)| *long == text);
    Some(short.map_or(text, |(_, short)| (*short).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_of_hives_are_told() {
        let bytes = crate::registry::descriptor_for(crate::registry::KEY_ALL_ACCESS, false);
        assert_eq!(text(&bytes), "O:BAG:SYD:(A;;KA;;;BA)(A;;KA;;;SY)");
        assert_eq!(text(&bytes[..30]), value::hex(&bytes[..30]));
    }
}
