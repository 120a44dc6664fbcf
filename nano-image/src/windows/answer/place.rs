//! Converts positions in a file to lines and columns.

/// Converts positions to lines and columns. Positions should be asked for in ascending order.
pub(super) struct Lines<'a> {
    bytes: &'a [u8],
    /// If the file is UTF-16: which byte of a unit is the low one.
    utf16: Option<usize>,
    at: usize,
    line: u64,
    column: u64,
}

impl<'a> Lines<'a> {
    /// Of the whole file.
    pub fn new(bytes: &'a [u8]) -> Self {
        let (utf16, at) = match bytes {
            [0xFF, 0xFE, ..] => (Some(0), 2),
            [0xFE, 0xFF, ..] => (Some(1), 2),
            [0xEF, 0xBB, 0xBF, ..] => (None, 3),
            _ => (None, 0),
        };
        Self { bytes, utf16, at, line: 1, column: 1 }
    }

    /// Line and column, both from 1, of the byte `offset`. If it lies before the last one that was asked for, counting
    /// starts again.
    pub fn place(&mut self, offset: u64) -> (u64, u64) {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX).min(self.bytes.len());
        if offset < self.at {
            *self = Self::new(self.bytes);
        }
        while self.at < offset {
            let is_new_line = match self.utf16 {
                None => self.bytes[self.at] == b'\n',
                Some(low) => self.bytes.get(self.at..self.at + 2).is_some_and(|u| u[low] == b'\n' && u[1 - low] == 0),
            };
            // A UTF-8 character is counted at its first byte; a surrogate pair counts as two.
            let is_character = self.utf16.is_some() || self.bytes[self.at] & 0xC0 != 0x80;
            self.at += if self.utf16.is_some() { 2 } else { 1 };
            if is_new_line {
                (self.line, self.column) = (self.line + 1, 1);
            } else {
                self.column += u64::from(is_character);
            }
        }
        (self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::text::to_utf16;

    #[test]
    fn lines_and_columns_are_those_of_editors() {
        let text = "a\r\nöb\n\nc";
        let utf8 = [&[0xEF, 0xBB, 0xBF], text.as_bytes()].concat();
        let utf16 = [&[0xFF, 0xFE], &to_utf16(text)[..]].concat();
        let big: Vec<u8> = [0xFE, 0xFF].into_iter().chain(text.encode_utf16().flat_map(u16::to_be_bytes)).collect();
        let plain = text.as_bytes().to_vec();
        for (bytes, places) in
            [(utf8, [3, 6, 8, 11]), (utf16, [2, 8, 10, 16]), (big, [2, 8, 10, 16]), (plain, [0, 3, 5, 8])]
        {
            let mut lines = Lines::new(&bytes);
            assert_eq!(places.map(|at| lines.place(at)), [(1, 1), (2, 1), (2, 2), (4, 1)], "{bytes:?}");
            assert_eq!(lines.place(0), (1, 1));
            assert_eq!(lines.place(u64::MAX).0, 4);
        }
        assert_eq!(Lines::new(&[0xFF, 0xFE, b'\n']).place(9), (1, 2));
    }
}
