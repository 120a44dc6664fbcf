//! Files in a list: what each is, in a line.

/// Letters of attribute bits, in the order of attrib.exe.
const LETTERS: [(u32, char); 14] = [
    (0x20, 'A'),
    (0x4, 'S'),
    (0x2, 'H'),
    (0x1, 'R'),
    (0x1000, 'O'),
    (0x2000, 'I'),
    (0x10, 'D'),
    (0x100, 'T'),
    (0x200, 'P'),
    (0x400, 'L'),
    (0x800, 'C'),
    (0x4000, 'E'),
    (0x8000, 'V'),
    (0x80, 'N'),
];
const TAG_JUNCTION: u32 = 0xA000_0003;
const TAG_SYMLINK: u32 = 0xA000_000C;

/// Attribute bits as letters.
pub(super) fn attribute_text(bits: u32) -> String {
    let letters = LETTERS.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, letter)| *letter);
    let mut text: String = letters.collect();
    let rest = LETTERS.iter().fold(bits, |bits, (bit, _)| bits & !bit);
    if rest != 0 {
        text += &format!("+{rest:#x}");
    }
    text
}

/// Where a junction or symbolic link leads ([MS-FSCC] 2.1.2.4, 2.1.2.5); `None`: it is neither, or damaged.
pub(super) fn reparse_target(data: &[u8]) -> Option<String> {
    let word = |at: usize| Some(usize::from(u16::from_le_bytes(*data.get(at..)?.first_chunk()?)));
    let tag = u32::from_le_bytes(*data.first_chunk()?);
    let (name, names) = match tag {
        TAG_JUNCTION => ("junction", 16),
        TAG_SYMLINK => ("symbolic link", 20),
        _ => return None,
    };
    // The name that is followed, not the one that is shown.
    let (offset, len) = (word(8)?, word(10)?);
    let units = data.get(names + offset..names + offset + len)?.chunks_exact(2);
    let units: Vec<u16> = units.map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
    Some(format!("{name} to {}", String::from_utf16_lossy(&units)))
}
