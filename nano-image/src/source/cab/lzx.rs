//! LZX as cabinets use it ([MS-PATCH] 2.1 to 2.6).
//!
//! Home-made, since the crate `lzxd` (0.2.7) refuses valid cabinets in which an uncompressed block of odd length ends
//! with a data block, leaves calls to the first byte of a folder as they are, takes matches that begin before the
//! folder for zeros, and overflows on others.

use super::format::MAX_BLOCK;

const BROKEN: &str = "LZX: a code is broken";
const CUT: &str = "LZX: a block ends within a code";
const LENGTHS: usize = 249;
/// E8 translation stops here.
const TRANSLATION_END: u64 = 1 << 30;

/// State that goes on from block to block of a folder.
pub(super) struct Lzx {
    window: Vec<u8>,
    /// Bytes decompressed so far.
    position: u64,
    /// Size of the "file" of E8 translation.
    translation_size: Option<i32>,
    kind: Kind,
    /// Bytes left in the LZX block.
    left: usize,
    /// An uncompressed block of odd length is followed by a byte that has not come yet.
    is_padded: bool,
    /// Lengths of codes, to which the next block's are differences.
    main_lengths: Vec<u8>,
    length_lengths: Vec<u8>,
    main: Code,
    length: Code,
    aligned: Code,
    recent: [usize; 3],
    made: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Verbatim,
    Aligned,
    Uncompressed,
}

impl Lzx {
    /// A decoder with a window of 2^`window_bits` bytes, 15 to 21.
    pub fn new(window_bits: u8) -> Self {
        let slots = match window_bits {
            20 => 42,
            21 => 50,
            bits => 2 * usize::from(bits),
        };
        Self {
            window: vec![0; 1 << window_bits],
            position: 0,
            translation_size: None,
            kind: Kind::Verbatim,
            left: 0,
            is_padded: false,
            main_lengths: vec![0; 256 + 8 * slots],
            length_lengths: vec![0; LENGTHS],
            main: Code::default(),
            length: Code::default(),
            aligned: Code::default(),
            recent: [1; 3],
            made: Vec::new(),
        }
    }

    /// What the data block `bytes` decompresses to.
    pub fn decompress(&mut self, bytes: &[u8], len: usize, is_last: bool) -> Result<&[u8], String> {
        if len != MAX_BLOCK && !is_last {
            return Err(format!("an LZX block of {len} bytes that is not the last of its folder"));
        }
        let mut bits = Bits { bytes, at: 0, word: 0, count: 0 };
        if self.position == 0 && bits.take(1)? == 1 {
            self.translation_size = Some((bits.take(16)? << 16 | bits.take(16)?) as i32);
        }
        let (start, end) = (self.position, self.position + len as u64);
        while self.position < end {
            if self.left == 0 {
                bits.at += usize::from(std::mem::take(&mut self.is_padded));
                self.begin_block(&mut bits)?;
            }
            let limit = self.left.min((end - self.position) as usize);
            match self.kind {
                Kind::Uncompressed => self.copy_raw(&mut bits, limit)?,
                _ => self.decode(&mut bits, limit)?,
            }
            self.left -= limit;
        }
        // The padding of a block that ends here is in this data block, if there is room.
        self.is_padded &= self.left > 0 || bits.at >= bytes.len();
        let mask = self.window.len() - 1;
        self.made.clear();
        let at = start as usize & mask;
        let (head, tail) = (len.min(self.window.len() - at), len.saturating_sub(self.window.len() - at));
        self.made.extend_from_slice(&self.window[at..at + head]);
        self.made.extend_from_slice(&self.window[..tail]);
        if let Some(size) = self.translation_size.filter(|_| start < TRANSLATION_END) {
            translate_back(&mut self.made, start, size);
        }
        Ok(&self.made)
    }

    /// Reads the header of an LZX block.
    fn begin_block(&mut self, bits: &mut Bits<'_>) -> Result<(), String> {
        let kind = bits.take(3)?;
        self.left = (bits.take(16)? << 8 | bits.take(8)?) as usize;
        self.kind = match kind {
            1 => Kind::Verbatim,
            2 => Kind::Aligned,
            3 => Kind::Uncompressed,
            _ => return Err(format!("LZX: a block of kind {kind}")),
        };
        if self.left == 0 {
            return Err("LZX: an empty block".into());
        }
        if self.kind == Kind::Uncompressed {
            self.is_padded = self.left % 2 == 1;
            bits.align();
            for recent in &mut self.recent {
                let bytes = bits.raw(4)?;
                *recent = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
            }
            return Ok(());
        }
        if self.kind == Kind::Aligned {
            let mut lengths = [0; 8];
            for length in &mut lengths {
                *length = bits.take(3)? as u8;
            }
            self.aligned = Code::new(&lengths)?;
        }
        let (literals, matches) = self.main_lengths.split_at_mut(256);
        read_lengths(bits, literals)?;
        read_lengths(bits, matches)?;
        read_lengths(bits, &mut self.length_lengths)?;
        self.main = Code::new(&self.main_lengths)?;
        self.length = Code::new(&self.length_lengths)?;
        Ok(())
    }

    /// Takes `len` bytes as they are.
    fn copy_raw(&mut self, bits: &mut Bits<'_>, len: usize) -> Result<(), String> {
        let mask = self.window.len() - 1;
        for byte in bits.raw(len)? {
            self.window[self.position as usize & mask] = *byte;
            self.position += 1;
        }
        Ok(())
    }

    /// Decodes exactly `len` bytes.
    fn decode(&mut self, bits: &mut Bits<'_>, len: usize) -> Result<(), String> {
        let mask = self.window.len() - 1;
        let end = self.position + len as u64;
        while self.position < end {
            let symbol = usize::from(self.main.read(bits)?);
            if symbol < 256 {
                self.window[self.position as usize & mask] = symbol as u8;
                self.position += 1;
                continue;
            }
            let (slot, header) = ((symbol - 256) / 8, symbol % 8);
            let len = 2 + header + if header == 7 { usize::from(self.length.read(bits)?) } else { 0 };
            let distance = self.distance(bits, slot)?;
            if distance == 0 || distance as u64 > self.position || distance > self.window.len() {
                return Err("LZX: a match begins before the folder or the window".into());
            }
            if len as u64 > end - self.position {
                return Err("LZX: a match goes on behind its block".into());
            }
            let at = self.position as usize;
            let (to, from) = (at & mask, (at - distance) & mask);
            if len <= distance && to.max(from) + len <= self.window.len() {
                self.window.copy_within(from..from + len, to);
            } else {
                for at in at..at + len {
                    self.window[at & mask] = self.window[(at - distance) & mask];
                }
            }
            self.position += len as u64;
        }
        Ok(())
    }

    /// How far back a match begins.
    fn distance(&mut self, bits: &mut Bits<'_>, slot: usize) -> Result<usize, String> {
        if slot < 3 {
            self.recent.swap(0, slot);
            return Ok(self.recent[0]);
        }
        let count = (slot as u32 / 2 - 1).min(17);
        let base = if slot < 36 { (2 + slot % 2) << count } else { (slot - 34) << 17 };
        let low = match self.kind {
            Kind::Aligned if count >= 3 => bits.take(count - 3)? << 3 | u32::from(self.aligned.read(bits)?),
            _ => bits.take(count)?,
        };
        let distance = base + low as usize - 2;
        self.recent = [distance, self.recent[0], self.recent[1]];
        Ok(distance)
    }
}

/// Reads the lengths of codes: differences to what they were, and runs.
fn read_lengths(bits: &mut Bits<'_>, lengths: &mut [u8]) -> Result<(), String> {
    let mut pre_lengths = [0; 20];
    for length in &mut pre_lengths {
        *length = bits.take(4)? as u8;
    }
    let pre_code = Code::new(&pre_lengths)?;
    let less = |length: u8, by: u16| (17 + length - by as u8) % 17;
    let mut at = 0;
    while at < lengths.len() {
        let (run, length) = match pre_code.read(bits)? {
            17 => (4 + bits.take(4)? as usize, 0),
            18 => (20 + bits.take(5)? as usize, 0),
            19 => {
                let run = 4 + bits.take(1)? as usize;
                let symbol = pre_code.read(bits)?;
                (run, if symbol > 16 { return Err(BROKEN.into()) } else { less(lengths[at], symbol) })
            }
            symbol => (1, less(lengths[at], symbol)),
        };
        lengths.get_mut(at..at + run).ok_or(BROKEN)?.fill(length);
        at += run;
    }
    Ok(())
}

/// Bits that the table of short codes covers, so that it stays in the processor's cache.
const SHORT: u32 = 11;

/// A canonical prefix code: the shortest codes are the lowest numbers.
#[derive(Default)]
struct Code {
    /// Length of the longest code; 0 if there is none.
    longest: u32,
    /// Bits of the longest code that [`short`](Self::short) does not cover.
    beyond: u32,
    /// By the next bits, without those beyond: the symbol, and the length of its code.
    short: Vec<(u16, u8)>,
    /// The same for longer codes, by the next `longest` bits, from the first of them on.
    long: Vec<(u16, u8)>,
}

impl Code {
    /// The code with these lengths (0: the symbol does not occur), which must use all codes, or none.
    fn new(lengths: &[u8]) -> Result<Self, String> {
        let longest = u32::from(lengths.iter().max().copied().unwrap_or(0));
        let covered = longest.min(SHORT);
        let beyond = longest - covered;
        let mut code = Self { longest, beyond, short: Vec::new(), long: Vec::new() };
        if longest == 0 {
            return Ok(code);
        }
        for length in 1..=longest {
            let (table, bits) = if length <= covered { (&mut code.short, covered) } else { (&mut code.long, longest) };
            for (symbol, _) in lengths.iter().enumerate().filter(|(_, other)| u32::from(**other) == length) {
                table.resize(table.len() + (1 << (bits - length)), (symbol as u16, length as u8));
                if table.len() > 1 << bits {
                    return Err(BROKEN.into());
                }
            }
        }
        if (code.short.len() << beyond) + code.long.len() != 1 << longest {
            return Err(BROKEN.into());
        }
        Ok(code)
    }

    fn read(&self, bits: &mut Bits<'_>) -> Result<u16, String> {
        if self.longest == 0 {
            return Err(BROKEN.into());
        }
        let next = bits.peek(self.longest) as usize;
        let (symbol, length) = match self.short.get(next >> self.beyond) {
            Some(found) => *found,
            None => self.long[next - (self.short.len() << self.beyond)],
        };
        bits.skip(length.into())?;
        Ok(symbol)
    }
}

/// Bits of little-endian 16-bit words, the highest first.
struct Bits<'a> {
    bytes: &'a [u8],
    /// Next byte that is not in `word`; behind the end there are zeros, which must not be taken.
    at: usize,
    word: u64,
    /// Bits of `word` that are left, the lowest ones.
    count: u32,
}

impl<'a> Bits<'a> {
    /// The next `count` bits, at most 17.
    fn peek(&mut self, count: u32) -> u32 {
        while self.count < count {
            let byte = |at| u64::from(self.bytes.get(at).copied().unwrap_or(0));
            self.word = self.word << 16 | byte(self.at + 1) << 8 | byte(self.at);
            self.at += 2;
            self.count += 16;
        }
        (self.word >> (self.count - count)) as u32 & ((1 << count) - 1)
    }

    fn take(&mut self, count: u32) -> Result<u32, String> {
        let value = self.peek(count);
        self.skip(count)?;
        Ok(value)
    }

    /// Takes bits that were looked at.
    fn skip(&mut self, count: u32) -> Result<(), String> {
        self.count -= count;
        // Whole words that are not taken may be from behind the end.
        if self.at - 2 * (self.count as usize / 16) > self.bytes.len() {
            return Err(CUT.into());
        }
        Ok(())
    }

    /// Skips to the next word; a whole one if there is nothing to skip.
    fn align(&mut self) {
        self.at -= 2 * (self.count as usize / 16);
        if self.count.is_multiple_of(16) {
            self.at += 2;
        }
        self.count = 0;
    }

    /// Takes `len` bytes, after [`align`](Self::align).
    fn raw(&mut self, len: usize) -> Result<&'a [u8], String> {
        let bytes = self.bytes.get(self.at..).and_then(|bytes| bytes.get(..len)).ok_or(CUT)?;
        self.at += len;
        Ok(bytes)
    }
}

/// Makes the operands of x86 calls (E8) relative again, in `bytes` that begin at `position` of the folder.
fn translate_back(bytes: &mut [u8], position: u64, size: i32) {
    let mut at = 0;
    // Calls in the last 10 bytes are left alone.
    while at + 10 < bytes.len() {
        if bytes[at] != 0xE8 {
            at += 1;
            continue;
        }
        let here = (position + at as u64) as i32; // below TRANSLATION_END
        let operand = bytes[at + 1..at + 5].first_chunk_mut().expect("4 bytes");
        let absolute = i32::from_le_bytes(*operand);
        if absolute >= -here && absolute < size {
            let relative = if absolute >= 0 { absolute - here } else { absolute.wrapping_add(size) };
            *operand = relative.to_le_bytes();
        }
        at += 5;
    }
}
