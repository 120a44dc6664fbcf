//! The length of an instruction for AMD64 (§11.10). This is not a general decoder: it must give the same lengths as the
//! decoder of the deltas' makers, including its mistakes.

/// Longest instruction.
pub(super) const MAX_LEN: usize = 15;

/// An instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Instruction {
    /// Its length in bytes, at least 1.
    pub len: usize,
    /// Where in it the 32-bit distance is, which counts from the end of the instruction; `None` if it has none.
    pub field: Option<usize>,
}

/// What follows an opcode: [`NONE`] or one of the others, and immediate bytes.
type Class = u8;
const NONE: Class = 0;
const INVALID: Class = 1;
const MODRM: Class = 2;
/// Distance of 1 byte or 4.
const NEAR: Class = 3;
const FAR: Class = 4;
/// An address of 8 or 4 bytes.
const ADDRESS: Class = 5;
const FORM: Class = 0x0F;
/// Immediates: of 1 byte; of 4 or 2; of 8, 4 or 2; of 2; of 3; and of 1, 4 or 2 for some of the opcodes.
const BYTE: Class = 0x10;
const WORD: Class = 0x20;
const WIDE: Class = 0x30;
const TWO: Class = 0x40;
const THREE: Class = 0x50;
const TEST_BYTE: Class = 0x60;
const TEST_WORD: Class = 0x70;

/// Ranges of one-byte opcodes, first and last.
const ONE_BYTE: &[(Class, &[(u8, u8)])] = &[
    (
        INVALID,
        &[
            (0x06, 0x07),
            (0x0E, 0x0E),
            (0x16, 0x17),
            (0x1E, 0x1F),
            (0x26, 0x27),
            (0x2E, 0x2F),
            (0x36, 0x37),
            (0x3E, 0x4F),
            (0x60, 0x62),
            (0x64, 0x67),
            (0x82, 0x82),
            (0x9A, 0x9A),
            (0x9E, 0x9F),
            (0xC4, 0xC5),
            (0xCE, 0xCE),
            (0xD4, 0xD6),
            (0xEA, 0xEA),
        ],
    ),
    (
        MODRM,
        &[
            (0x00, 0x03),
            (0x08, 0x0B),
            (0x10, 0x13),
            (0x18, 0x1B),
            (0x20, 0x23),
            (0x28, 0x2B),
            (0x30, 0x33),
            (0x38, 0x3B),
            (0x63, 0x63),
            (0x69, 0x69),
            (0x6B, 0x6B),
            (0x80, 0x81),
            (0x83, 0x8F),
            (0xC0, 0xC1),
            (0xC6, 0xC7),
            (0xD0, 0xD3),
            (0xD8, 0xDF),
            (0xF6, 0xF7),
            (0xFE, 0xFF),
        ],
    ),
    (NEAR, &[(0x70, 0x7F), (0xE0, 0xE3), (0xEB, 0xEB)]),
    (FAR, &[(0xE8, 0xE9)]),
    (ADDRESS, &[(0xA0, 0xA3)]),
    (
        BYTE,
        &[
            (0x04, 0x04),
            (0x0C, 0x0C),
            (0x14, 0x14),
            (0x1C, 0x1C),
            (0x24, 0x24),
            (0x2C, 0x2C),
            (0x34, 0x34),
            (0x3C, 0x3C),
            (0x6A, 0x6B),
            (0x80, 0x80),
            (0x83, 0x83),
            (0xA8, 0xA8),
            (0xB0, 0xB7),
            (0xC0, 0xC1),
            (0xC6, 0xC6),
            (0xCD, 0xCD),
            (0xE4, 0xE7),
        ],
    ),
    (
        WORD,
        &[
            (0x05, 0x05),
            (0x0D, 0x0D),
            (0x15, 0x15),
            (0x1D, 0x1D),
            (0x25, 0x25),
            (0x2D, 0x2D),
            (0x35, 0x35),
            (0x3D, 0x3D),
            (0x68, 0x69),
            (0x81, 0x81),
            (0xA9, 0xA9),
            (0xC7, 0xC7),
        ],
    ),
    (WIDE, &[(0xB8, 0xBF)]),
    (TWO, &[(0xC2, 0xC2), (0xCA, 0xCA)]),
    (THREE, &[(0xC8, 0xC8)]),
    (TEST_BYTE, &[(0xF6, 0xF6)]),
    (TEST_WORD, &[(0xF7, 0xF7)]),
];

/// The same for two-byte opcodes, by the second byte. Opcodes that are not listed have a ModRM byte.
const TWO_BYTES: &[(Class, &[(u8, u8)])] = &[
    (MODRM, &[(0x00, 0xFF)]),
    (
        INVALID,
        &[
            (0x0A, 0x0A),
            (0x0C, 0x0C),
            (0x19, 0x1F),
            (0x24, 0x27),
            (0x34, 0x3F),
            (0x78, 0x7D),
            (0xA6, 0xA7),
            (0xB8, 0xB8),
            (0xD0, 0xD0),
            (0xF0, 0xF0),
            (0xFF, 0xFF),
        ],
    ),
    (FAR, &[(0x80, 0x8F)]),
    (
        NONE,
        &[
            (0x04, 0x09),
            (0x0B, 0x0B),
            (0x0E, 0x0E),
            (0x30, 0x33),
            (0x77, 0x77),
            (0xA0, 0xA2),
            (0xA8, 0xAA),
            (0xC8, 0xCF),
        ],
    ),
    (BYTE, &[(0x70, 0x73), (0xA4, 0xA4), (0xAC, 0xAC), (0xBA, 0xBA), (0xC2, 0xC2), (0xC4, 0xC6)]),
];

static ONE_BYTE_CLASSES: [Class; 256] = classes(ONE_BYTE);
static TWO_BYTE_CLASSES: [Class; 256] = classes(TWO_BYTES);

/// The class of each opcode. Of several forms the last one wins; immediates are added.
const fn classes(ranges: &[(Class, &[(u8, u8)])]) -> [Class; 256] {
    let mut classes = [NONE; 256];
    let mut group = 0;
    while group < ranges.len() {
        let (class, ranges) = ranges[group];
        let mut index = 0;
        while index < ranges.len() {
            let (first, last) = ranges[index];
            let mut opcode = first as usize;
            while opcode <= last as usize {
                let kept = if class & FORM == class { classes[opcode] & !FORM } else { classes[opcode] };
                classes[opcode] = kept | class;
                opcode += 1;
            }
            index += 1;
        }
        group += 1;
    }
    classes
}

impl Instruction {
    /// Decodes the instruction at the start of `bytes`, which must not be empty. If it is malformed or longer than
    /// `bytes`, the result covers what could be read and has no field.
    pub fn decode(bytes: &[u8]) -> Self {
        let mut reader = Reader { bytes, at: 0 };
        let field = reader.instruction().flatten();
        Self { len: reader.at, field }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.bytes.get(self.at..self.at + count)?;
        self.at += count;
        Some(())
    }

    /// Reads an instruction; returns the offset of its field. `None` if the instruction is malformed.
    fn instruction(&mut self) -> Option<Option<usize>> {
        let (mut operand_size, mut address_size, mut wide) = (false, false, false);
        let mut opcode = self.byte()?;
        while let 0x66 | 0x67 | 0x26 | 0x2E | 0x36 | 0x3E | 0x64 | 0x65 | 0xF0 | 0xF2 | 0xF3 = opcode {
            operand_size |= opcode == 0x66;
            address_size |= opcode == 0x67;
            opcode = self.byte()?;
        }
        if let 0x40..=0x4F = opcode {
            wide = opcode & 8 != 0;
            opcode = self.byte()?;
        }
        let class = match opcode {
            0x0F => TWO_BYTE_CLASSES[usize::from(self.byte()?)],
            _ => ONE_BYTE_CLASSES[usize::from(opcode)],
        };
        let mut field = None;
        let mut register = 0;
        match class & FORM {
            INVALID => return None,
            MODRM => (register, field) = self.modrm()?,
            NEAR => self.skip(1)?,
            FAR => {
                field = Some(self.at);
                self.skip(4)?;
            }
            ADDRESS => self.skip(if address_size { 4 } else { 8 })?,
            _ => {}
        }
        let word = if operand_size { 2 } else { 4 };
        let is_test = register < 2;
        self.skip(match class & !FORM {
            BYTE => 1,
            WORD => word,
            WIDE if wide => 8,
            WIDE => word,
            TWO => 2,
            THREE => 3,
            TEST_BYTE if is_test => 1,
            TEST_WORD if is_test => word,
            _ => 0,
        })?;
        Some(field)
    }

    /// Reads a ModRM byte and what follows it: returns its register, and the offset of a distance.
    fn modrm(&mut self) -> Option<(u8, Option<usize>)> {
        let modrm = self.byte()?;
        let (mode, register, memory) = (modrm >> 6, modrm >> 3 & 7, modrm & 7);
        let mut field = None;
        if mode != 3 && memory == 4 {
            let base = self.byte()? & 7;
            if mode == 0 && base == 5 {
                self.skip(4)?;
            }
        } else if mode == 0 && memory == 5 {
            field = Some(self.at);
            self.skip(4)?;
        }
        match mode {
            1 => self.skip(1)?,
            2 => self.skip(4)?,
            _ => {}
        }
        Some((register, field))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8]) -> (usize, Option<usize>) {
        let Instruction { len, field } = Instruction::decode(bytes);
        (len, field)
    }

    #[test]
    fn instructions() {
        let instructions: [(&[u8], Option<usize>); 22] = [
            (&[0x90], None),
            (&[0x48, 0x89, 0x5C, 0x24, 0x08], None),
            (&[0x48, 0x8D, 0x0D, 1, 2, 3, 4], Some(3)),
            (&[0xE8, 1, 2, 3, 4], Some(1)),
            (&[0x0F, 0x84, 1, 2, 3, 4], Some(2)),
            (&[0xFF, 0x15, 1, 2, 3, 4], Some(2)),
            (&[0x83, 0x3D, 1, 2, 3, 4, 5], Some(2)),
            (&[0x66, 0xC7, 0x05, 1, 2, 3, 4, 5, 6], Some(3)),
            (&[0xC7, 0x05, 1, 2, 3, 4, 5, 6, 7, 8], Some(2)),
            (&[0xF7, 0x05, 1, 2, 3, 4, 5, 6, 7, 8], Some(2)),
            (&[0xF7, 0x1D, 1, 2, 3, 4], Some(2)),
            (&[0xF6, 0xC1, 1], None),
            (&[0x48, 0xB8, 1, 2, 3, 4, 5, 6, 7, 8], None),
            (&[0xB8, 1, 2, 3, 4], None),
            (&[0x8B, 0x04, 0x25, 1, 2, 3, 4], None),
            (&[0x8B, 0x84, 0x24, 1, 2, 3, 4], None),
            (&[0x74, 1], None),
            (&[0xC2, 1, 2], None),
            (&[0xC8, 1, 2, 3], None),
            (&[0x67, 0xA1, 1, 2, 3, 4], None),
            (&[0xF2, 0x0F, 0x70, 0xC1, 5], None),
            (&[0x0F, 0x05], None),
        ];
        for (bytes, field) in instructions {
            let followed = [bytes, &[0xCC; 8]].concat();
            assert_eq!(decoded(&followed), (bytes.len(), field), "{bytes:x?}");
            if bytes.len() > 1 {
                let (len, field) = decoded(&bytes[..bytes.len() - 1]);
                assert!((1..bytes.len()).contains(&len) && field.is_none(), "{bytes:x?}");
            }
        }
    }

    #[test]
    fn what_is_invalid_ends() {
        for (bytes, len) in [
            (&[0x06, 1][..], 1),
            (&[0x48, 0x48, 0x8D, 0x0D, 1, 2, 3, 4], 2),
            (&[0x0F, 0x1F, 0x44, 0, 0], 2),
            (&[0x0F, 0x38, 0], 2),
            (&[0xC4, 0xE2], 1),
        ] {
            assert_eq!(decoded(bytes), (len, None), "{bytes:x?}");
        }
        assert_eq!(decoded(&[0x66; 15]), (15, None));
    }
}
