//! Parses MFT records, and reports everything that is wrong in them.
//!
//! The [reader](super::super::read) refuses a record at its first damage; here all damage is reported and as much as
//! possible is still used.

use zerocopy::FromBytes;

use super::boot::Geometry;
use crate::report::{Finding, Findings};
use crate::types::{Utf16Name, text};
use crate::volume::ntfs::format::*;

/// The number of LZNT1, the only compression, in an attribute's flags.
const LZNT1: u16 = 1;

/// A record that is in use.
pub(super) struct Record {
    pub number: u64,
    /// Its position in the volume.
    pub at: u64,
    pub header: RecordHeader,
    pub attributes: Vec<Attribute>,
}

/// An attribute, or the part of one that is in one record.
pub(super) struct Attribute {
    /// Number of the record in which it is.
    pub record: u64,
    /// Its position in the volume.
    pub at: u64,
    pub kind: u32,
    pub name: Utf16Name,
    pub flags: u16,
    pub instance: u16,
    pub form: Form,
}

pub(super) enum Form {
    Resident { value: Vec<u8>, indexed: bool },
    Outside(Outside),
}

/// A non-resident attribute.
pub(super) struct Outside {
    pub lowest_vcn: u64,
    /// The VCN after the last one.
    pub end_vcn: u64,
    pub allocated_size: u64,
    pub data_size: u64,
    pub initialized_size: u64,
    /// Only sparse and compressed attributes have this.
    pub total_allocated: Option<u64>,
    /// Log₂ of the number of clusters.
    pub compression_unit: u8,
    pub runs: Vec<CheckedRun>,
}

/// A contiguous run of clusters.
#[derive(Clone, Copy, Debug)]
pub(super) struct CheckedRun {
    pub vcn: u64,
    /// Number of clusters.
    pub len: u64,
    /// First cluster; `None` for a hole.
    pub lcn: Option<u64>,
}

impl Record {
    /// Parses the sealed `bytes` of a record; `None` if they cannot be used.
    pub fn parse(
        number: u64,
        at: u64,
        mut bytes: Vec<u8>,
        geometry: &Geometry,
        findings: &mut Findings,
    ) -> Option<Self> {
        let bad = |findings: &mut Findings, code, message: String| {
            findings.add(Finding::new(code, record_text(number), message).at(at));
        };
        let header = RecordHeader::read_from_prefix(&bytes).expect("a record holds its header").0;
        if let Err(message) = unseal(&mut bytes, header.usa_offset.get(), header.usa_count.get()) {
            bad(findings, "ntfs-record-fixup", message);
            return None;
        }
        if header.allocated_size.get() as usize != bytes.len() {
            let (found, expected) = (header.allocated_size.get(), bytes.len());
            bad(findings, "ntfs-record", format!("says that it has {found} bytes; records have {expected}"));
        }
        // Since Windows XP the header has the number; in older headers the array begins at that place.
        if header.usa_offset.get() >= 0x30 && u64::from(header.record_number.get()) != number {
            let found = header.record_number.get();
            bad(findings, "ntfs-record", format!("says that its number is {found}"));
        }
        if header.sequence.get() == 0 {
            bad(findings, "ntfs-record", "has the sequence number 0".into());
        }
        let mut place = usize::from(header.attributes_offset.get());
        if place % 8 != 0 || place < 0x2A {
            bad(findings, "ntfs-record", format!("has its first attribute at byte {place:#x}"));
        }
        let mut attributes = Vec::new();
        loop {
            match bytes.get(place..).and_then(|rest| rest.first_chunk::<4>()) {
                None => {
                    bad(findings, "ntfs-record", "its attributes run out of it".into());
                    return None;
                }
                Some(kind) if u32::from_le_bytes(*kind) == attribute_type::END => break,
                Some(_) => {}
            }
            let attribute = Attribute::parse(number, at + place as u64, &bytes[place..], geometry, findings);
            let (attribute, len) = attribute?;
            attributes.push(attribute);
            place += len;
        }
        if header.used_size.get() as usize != place + RECORD_END_SIZE {
            let (found, expected) = (header.used_size.get(), place + RECORD_END_SIZE);
            bad(findings, "ntfs-record", format!("says that {found} bytes are used; its attributes use {expected}"));
        }
        Some(Self { number, at, header, attributes })
    }

    /// Whether it is a base record, not an extension of another.
    pub fn is_base(&self) -> bool {
        self.header.base_reference.get() == 0
    }

    pub fn reference(&self) -> FileReference {
        FileReference::new(self.number, self.header.sequence.get())
    }
}

impl Attribute {
    /// The attribute at the start of `bytes`, and its length.
    fn parse(
        record: u64,
        at: u64,
        bytes: &[u8],
        geometry: &Geometry,
        findings: &mut Findings,
    ) -> Option<(Self, usize)> {
        let mut bad = |kind: u32, message: String| {
            let structure = format!("{}, {}", record_text(record), kind_name(kind));
            findings.add(Finding::new("ntfs-attribute", structure, message).at(at));
        };
        let header = AttributeHeader::read_from_prefix(bytes).ok()?.0;
        let kind = header.kind.get();
        let len = header.length.get() as usize;
        if len < 24 || !len.is_multiple_of(8) || len > bytes.len() {
            bad(kind, format!("has a length of {len} bytes, with {} left in the record", bytes.len()));
            return None;
        }
        // Type 0xF0 was reserved for $PROPERTY_SET; types above that of $LOGGED_UTILITY_STREAM never existed.
        if kind == 0 || kind % 0x10 != 0 || kind > attribute_type::LOGGED_UTILITY_STREAM {
            bad(kind, "is of an unknown type".into());
        }
        let bytes = &bytes[..len];
        let name_at = usize::from(header.name_offset.get());
        let Some(name) = bytes.get(name_at..name_at + 2 * usize::from(header.name_length)) else {
            bad(kind, format!("has a name outside of it, at byte {name_at:#x}"));
            return None;
        };
        let named = if header.name_length == 0 { 0 } else { name_at + 2 * usize::from(header.name_length) };
        if let Some(fault) = flags_fault(kind, header.flags.get()) {
            bad(kind, fault);
        }
        let form = match header.non_resident {
            0 => {
                let resident = ResidentHeader::read_from_prefix(&bytes[size_of::<AttributeHeader>()..]).ok()?.0;
                let (start, size) = (usize::from(resident.value_offset.get()), resident.value_length.get() as usize);
                let Some(value) = start.checked_add(size).and_then(|end| bytes.get(start..end)) else {
                    bad(kind, format!("has a value of {size} bytes at {start:#x}, outside of its {len} bytes"));
                    return None;
                };
                if start % 8 != 0 || start < named.max(24) || align8(start + size) != len {
                    bad(kind, format!("has its value of {size} bytes at {start:#x} of its {len} bytes"));
                }
                if resident.indexed > 1 || resident.indexed == 1 && kind != attribute_type::FILE_NAME {
                    bad(kind, format!("is marked as indexed ({}); only $FILE_NAME is", resident.indexed));
                }
                Form::Resident { value: value.to_vec(), indexed: resident.indexed != 0 }
            }
            1 => match Outside::parse(bytes, header.flags.get(), named, geometry) {
                Ok(outside) => Form::Outside(outside),
                Err(message) => {
                    bad(kind, message);
                    return None;
                }
            },
            other => {
                bad(kind, format!("is neither resident (0) nor not (1) but {other}"));
                return None;
            }
        };
        let (flags, instance) = (header.flags.get(), header.instance.get());
        Some((Self { record, at, kind, name: name_of(name), flags, instance, form }, len))
    }

    pub fn value(&self) -> Option<&[u8]> {
        match &self.form {
            Form::Resident { value, .. } => Some(value),
            Form::Outside(_) => None,
        }
    }

    pub fn outside(&self) -> Option<&Outside> {
        match &self.form {
            Form::Resident { .. } => None,
            Form::Outside(outside) => Some(outside),
        }
    }

    pub fn lowest_vcn(&self) -> u64 {
        self.outside().map_or(0, |outside| outside.lowest_vcn)
    }

    /// Bytes of the contents.
    pub fn size(&self) -> u64 {
        match &self.form {
            Form::Resident { value, .. } => value.len() as u64,
            Form::Outside(outside) => outside.data_size,
        }
    }

    /// Allocated bytes, including and excluding holes.
    pub fn allocated_sizes(&self) -> [u64; 2] {
        match &self.form {
            Form::Resident { value, .. } => [align8(value.len()) as u64; 2],
            Form::Outside(outside) => {
                [outside.allocated_size, outside.total_allocated.unwrap_or(outside.allocated_size)]
            }
        }
    }

    pub fn is(&self, kind: u32, name: &str) -> bool {
        self.kind == kind && self.name.units().iter().copied().eq(name.encode_utf16())
    }

    /// Its name for messages.
    pub fn text(&self) -> String {
        let kind = kind_name(self.kind);
        let name = if self.name.units().is_empty() { String::new() } else { format!(":{}", self.name) };
        format!("{}, {kind}{name}", record_text(self.record))
    }
}

impl Outside {
    /// `named` is the position of the end of the attribute's name.
    fn parse(bytes: &[u8], flags: u16, named: usize, geometry: &Geometry) -> Result<Self, String> {
        let header = NonResidentHeader::read_from_prefix(&bytes[size_of::<AttributeHeader>()..])
            .map_err(|_| format!("is not resident but has only {} bytes", bytes.len()))?
            .0;
        let pairs_at = usize::from(header.mapping_pairs_offset.get());
        let pairs = bytes.get(pairs_at..).ok_or_else(|| format!("has its mapping pairs at {pairs_at:#x}, outside"))?;
        if pairs_at < named.max(0x40) {
            return Err(format!("has its mapping pairs at {pairs_at:#x}, in its header"));
        }
        let lowest_vcn = header.lowest_vcn.get();
        let runs = runs(pairs, lowest_vcn, geometry)?;
        let end_vcn = runs.last().map_or(lowest_vcn, |run| run.vcn + run.len);
        if header.highest_vcn.get().wrapping_add(1) != end_vcn {
            let (found, expected) = (header.highest_vcn.get() as i64, (end_vcn as i64).wrapping_sub(1));
            return Err(format!("says that its last VCN is {found}; its mapping pairs end with {expected}"));
        }
        let special = flags & (attribute_flag::COMPRESSION_MASK | attribute_flag::SPARSE) != 0;
        if !special && header.compression_unit != 0 {
            return Err(format!("has a compression unit of 2^{} clusters, but no holes", header.compression_unit));
        }
        let total = (special && lowest_vcn == 0 && pairs_at >= 0x48).then(|| bytes.get(0x40..0x48)).flatten();
        Ok(Self {
            lowest_vcn,
            end_vcn,
            allocated_size: header.allocated_size.get(),
            data_size: header.data_size.get(),
            initialized_size: header.initialized_size.get(),
            total_allocated: total.map(|bytes| u64::from_le_bytes(bytes.try_into().expect("8 bytes"))),
            compression_unit: header.compression_unit,
            runs,
        })
    }

    /// Number of clusters that are not holes.
    pub fn real_clusters(&self) -> u64 {
        self.runs.iter().filter(|run| run.lcn.is_some()).map(|run| run.len).sum()
    }
}

/// Why an attribute of this type cannot have these flags.
fn flags_fault(kind: u32, flags: u16) -> Option<String> {
    use attribute_type::*;
    let known = LZNT1 | attribute_flag::ENCRYPTED | attribute_flag::SPARSE;
    let plain = [STANDARD_INFORMATION, ATTRIBUTE_LIST, FILE_NAME, OBJECT_ID, VOLUME_NAME, VOLUME_INFORMATION];
    let bad = flags & !known != 0 || flags != 0 && plain.contains(&kind);
    bad.then(|| format!("has the flags {flags:#06x}"))
}

/// Decodes mapping pairs. Positions outside of the volume are reported by the code that claims the clusters.
fn runs(pairs: &[u8], first_vcn: u64, geometry: &Geometry) -> Result<Vec<CheckedRun>, String> {
    // Every position in a stream must be a positive signed number.
    let max_vcn = i64::MAX as u64 / geometry.cluster_size;
    let (mut runs, mut vcn, mut lcn, mut rest) = (Vec::new(), first_vcn, 0i64, pairs);
    loop {
        let (&head, after) = rest.split_first().ok_or("has mapping pairs without an end")?;
        if head == 0 {
            return Ok(runs);
        }
        let malformed = || format!("has a damaged mapping pair with head {head:#04x} at VCN {vcn}");
        let (length, distance) = (usize::from(head & 15), usize::from(head >> 4));
        let (length, after) = after.split_at_checked(length).ok_or_else(malformed)?;
        let (distance, after) = after.split_at_checked(distance).ok_or_else(malformed)?;
        rest = after;
        let len = signed(length).filter(|&len| len > 0).ok_or_else(malformed)? as u64;
        let place = if distance.is_empty() {
            None
        } else {
            lcn = signed(distance).and_then(|distance| lcn.checked_add(distance)).ok_or_else(malformed)?;
            Some(lcn as u64)
        };
        runs.push(CheckedRun { vcn, len, lcn: place });
        vcn = vcn.checked_add(len).filter(|&end| end <= max_vcn).ok_or_else(malformed)?;
    }
}

/// A little-endian number of 1 to 8 bytes.
fn signed(bytes: &[u8]) -> Option<i64> {
    let fill = if bytes.last()? & 0x80 != 0 { 0xFF } else { 0 };
    let mut wide = [fill; 8];
    wide.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(i64::from_le_bytes(wide))
}

/// Undoes the update sequence of a record or block.
pub(super) fn unseal(bytes: &mut [u8], usa_offset: u16, usa_count: u16) -> Result<(), String> {
    let (at, words, sectors) = (usize::from(usa_offset), usize::from(usa_count), bytes.len() / SECTOR_SIZE);
    if words != sectors + 1 || at + 2 * words > SECTOR_SIZE - 2 || at % 2 != 0 {
        return Err(format!("has an update sequence array of {words} words at {at:#x}; {} are needed", sectors + 1));
    }
    let number = [bytes[at], bytes[at + 1]];
    for sector in 1..=sectors {
        let end = sector * SECTOR_SIZE;
        if bytes[end - 2..end] != number {
            let found = &bytes[end - 2..end];
            return Err(format!(
                "was not wholly written: sector {} ends in {found:02x?}, not {number:02x?}",
                sector - 1
            ));
        }
        bytes.copy_within(at + 2 * sector..at + 2 * sector + 2, end - 2);
    }
    Ok(())
}

/// A name from its stored bytes.
pub(super) fn name_of(bytes: &[u8]) -> Utf16Name {
    Utf16Name::from_units(text::units(bytes).collect::<Vec<u16>>())
}

pub(super) fn record_text(number: u64) -> String {
    format!("MFT record {number}")
}

/// Name of an attribute type.
pub(super) fn kind_name(kind: u32) -> String {
    use attribute_type::*;
    let name = match kind {
        STANDARD_INFORMATION => "$STANDARD_INFORMATION",
        ATTRIBUTE_LIST => "$ATTRIBUTE_LIST",
        FILE_NAME => "$FILE_NAME",
        OBJECT_ID => "$OBJECT_ID",
        SECURITY_DESCRIPTOR => "$SECURITY_DESCRIPTOR",
        VOLUME_NAME => "$VOLUME_NAME",
        VOLUME_INFORMATION => "$VOLUME_INFORMATION",
        DATA => "$DATA",
        INDEX_ROOT => "$INDEX_ROOT",
        INDEX_ALLOCATION => "$INDEX_ALLOCATION",
        BITMAP => "$BITMAP",
        REPARSE_POINT => "$REPARSE_POINT",
        EA_INFORMATION => "$EA_INFORMATION",
        EA => "$EA",
        LOGGED_UTILITY_STREAM => "$LOGGED_UTILITY_STREAM",
        other => return format!("attribute {other:#x}"),
    };
    name.to_owned()
}
