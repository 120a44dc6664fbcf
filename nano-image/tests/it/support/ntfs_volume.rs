//! Edits an NTFS volume in memory, with its own idea of the format: records and index blocks are sealed again, so that
//! a fault is the one that was planted.

pub const DATA: u32 = 0x80;
pub const FILE_NAME: u32 = 0x30;
pub const INDEX_ROOT: u32 = 0x90;
pub const INDEX_ALLOCATION: u32 = 0xA0;
pub const BITMAP: u32 = 0xB0;
const RECORD: usize = 1024;

/// A volume of 4 KiB clusters and 1 KiB records.
#[derive(Clone)]
pub struct Volume {
    pub bytes: Vec<u8>,
    mft: Vec<(usize, usize)>,
    pub records: usize,
}

pub fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap())
}

pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

pub fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn unseal(bytes: &mut [u8]) {
    let (at, count) = (u16_at(bytes, 4) as usize, u16_at(bytes, 6) as usize);
    for sector in 1..count {
        bytes.copy_within(at + 2 * sector..at + 2 * sector + 2, sector * 512 - 2);
    }
}

fn seal(bytes: &mut [u8]) {
    let (at, count) = (u16_at(bytes, 4) as usize, u16_at(bytes, 6) as usize);
    for sector in 1..count {
        bytes.copy_within(sector * 512 - 2..sector * 512, at + 2 * sector);
        bytes.copy_within(at..at + 2, sector * 512 - 2);
    }
}

impl Volume {
    pub fn new(bytes: Vec<u8>) -> Self {
        assert_eq!((u16_at(&bytes, 11), bytes[13], bytes[64]), (512, 8, 0xF6), "not the geometry that this edits");
        let start = u64_at(&bytes, 48) as usize * 4096;
        let mut volume = Self { bytes, mft: vec![(start, RECORD)], records: 1 };
        let record = volume.record(0);
        let data = volume.attribute(&record, DATA, "").expect("$MFT has data");
        (volume.mft, volume.records) = (runs(&record, data), u64_at(&record, data + 48) as usize / RECORD);
        volume
    }

    pub fn clusters(&self) -> usize {
        u64_at(&self.bytes, 40) as usize / 8
    }

    /// Byte of the volume at which a record begins.
    pub fn record_place(&self, number: usize) -> usize {
        place(&self.mft, number * RECORD)
    }

    /// A record, unsealed.
    pub fn record(&self, number: usize) -> Vec<u8> {
        let at = self.record_place(number);
        let mut record = self.bytes[at..at + RECORD].to_vec();
        unseal(&mut record);
        record
    }

    /// Changes a record, and its copy in `$MFTMirr`.
    pub fn edit(&mut self, number: usize, change: impl FnOnce(&mut [u8])) {
        let mut record = self.record(number);
        change(&mut record);
        seal(&mut record);
        let at = self.record_place(number);
        self.bytes[at..at + RECORD].copy_from_slice(&record);
        if number < 4 {
            let at = u64_at(&self.bytes, 56) as usize * 4096 + number * RECORD;
            self.bytes[at..at + RECORD].copy_from_slice(&record);
        }
    }

    /// Changes an attribute in its base record.
    pub fn edit_attribute(&mut self, number: usize, kind: u32, name: &str, change: impl FnOnce(&mut [u8])) {
        let record = self.record(number);
        let at = self.attribute(&record, kind, name).unwrap_or_else(|| panic!("record {number}: no {kind:#x} {name}"));
        let len = u32_at(&record, at + 4) as usize;
        self.edit(number, |record| change(&mut record[at..at + len]));
    }

    /// Byte of `record` at which an attribute begins.
    pub fn attribute(&self, record: &[u8], kind: u32, name: &str) -> Option<usize> {
        let name = utf16(name);
        let mut at = u16_at(record, 20) as usize;
        while u32_at(record, at) != u32::MAX {
            let name_at = at + u16_at(record, at + 10) as usize;
            let len = 2 * record[at + 9] as usize;
            if u32_at(record, at) == kind && record[name_at..name_at + len] == name[..] {
                return Some(at);
            }
            at += u32_at(record, at + 4) as usize;
        }
        None
    }

    /// Record of the file with a name that no other file has.
    pub fn find(&self, name: &str) -> usize {
        let name = utf16(name);
        let has = |number: &usize| {
            let at = self.record_place(*number);
            if &self.bytes[at..at + 4] != b"FILE" || self.bytes[at + 22] & 1 == 0 {
                return false;
            }
            let record = self.record(*number);
            // The first name will do.
            self.attribute(&record, FILE_NAME, "").is_some_and(|at| {
                let value = at + u16_at(&record, at + 20) as usize;
                let len = 2 * record[value + 64] as usize;
                record[value + 66..value + 66 + len] == name[..]
            })
        };
        (0..self.records).find(has).unwrap_or_else(|| panic!("no file has that name"))
    }

    /// Byte of the volume with byte `offset` of a stream; resident ones have their place in the record.
    pub fn stream_place(&self, number: usize, kind: u32, name: &str, offset: usize) -> usize {
        let record = self.record(number);
        let at = self.attribute(&record, kind, name).unwrap_or_else(|| panic!("record {number}: no {kind:#x} {name}"));
        if record[at + 8] == 0 {
            return self.record_place(number) + at + u16_at(&record, at + 20) as usize + offset;
        }
        place(&runs(&record, at), offset)
    }

    /// Changes an index block, sealed again.
    pub fn edit_block(&mut self, number: usize, name: &str, block: usize, change: impl FnOnce(&mut [u8])) {
        let at = self.stream_place(number, INDEX_ALLOCATION, name, block * 4096);
        let bytes = &mut self.bytes[at..at + 4096];
        unseal(bytes);
        change(bytes);
        seal(bytes);
    }

    /// Number of the first block that is a leaf.
    pub fn leaf(&self, number: usize, name: &str) -> usize {
        let is_leaf =
            |block: &usize| self.bytes[self.stream_place(number, INDEX_ALLOCATION, name, block * 4096) + 36] & 1 == 0;
        (0..1000).find(is_leaf).expect("an index has leaves")
    }
}

/// Places of the entries of an index block, without the last.
pub fn entries(block: &[u8]) -> Vec<usize> {
    let mut at = 24 + u32_at(block, 24) as usize;
    let mut entries = Vec::new();
    while u16_at(block, at + 12) & 2 == 0 {
        entries.push(at);
        at += u16_at(block, at + 8) as usize;
    }
    entries
}

/// Runs of a non-resident attribute as bytes: place on the volume and length.
fn runs(record: &[u8], attribute: usize) -> Vec<(usize, usize)> {
    let number = |bytes: &[u8], signed: bool| {
        let fill = if signed && bytes.last().is_some_and(|last| last & 0x80 != 0) { 0xFF } else { 0 };
        let mut wide = [fill; 8];
        wide[..bytes.len()].copy_from_slice(bytes);
        i64::from_le_bytes(wide)
    };
    let mut at = attribute + u16_at(record, attribute + 32) as usize;
    let (mut runs, mut lcn) = (Vec::new(), 0);
    while record[at] != 0 {
        let (length, distance) = (usize::from(record[at] & 15), usize::from(record[at] >> 4));
        let len = number(&record[at + 1..at + 1 + length], false);
        lcn += number(&record[at + 1 + length..at + 1 + length + distance], true);
        runs.push((lcn as usize * 4096, len as usize * 4096));
        at += 1 + length + distance;
    }
    runs
}

fn place(runs: &[(usize, usize)], mut offset: usize) -> usize {
    for (start, len) in runs {
        if offset < *len {
            return start + offset;
        }
        offset -= len;
    }
    panic!("the stream ends before that byte")
}
