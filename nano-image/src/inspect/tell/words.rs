//! Attribute bits and times as text.

use crate::types::FileTime;

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

/// Attribute bits as letters.
pub(crate) fn attribute_text(bits: u32) -> String {
    let letters = LETTERS.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, letter)| *letter);
    let mut text: String = letters.collect();
    let rest = LETTERS.iter().fold(bits, |bits, (bit, _)| bits & !bit);
    if rest != 0 {
        text += &format!("+{rest:#x}");
    }
    text
}

/// A time in UTC to its last digit.
pub(crate) fn time_text(time: FileTime) -> String {
    let (year, month, day, hour, minute, second) = time.civil();
    let ticks = time.0 % 10_000_000;
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{ticks:07}")
}

/// Date (high half) and time (low half) of FAT.
pub(crate) fn fat_time_text(time: u32) -> String {
    let (date, clock) = (time >> 16, time & 0xFFFF);
    let (year, month, day) = (1980 + (date >> 9), date >> 5 & 15, date & 31);
    let (hour, minute, second) = (clock >> 11, clock >> 5 & 63, (clock & 31) * 2);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}
