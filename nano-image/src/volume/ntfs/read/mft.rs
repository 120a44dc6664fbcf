//! MFT records and their attributes.

use zerocopy::FromBytes;

use super::runs::Runs;
use crate::error::{Error, Result};
use crate::types::{Utf16Name, Vcn, text};
use crate::volume::ntfs::format::*;

/// What is needed to know about the volume to decode an attribute.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    /// Bytes of a cluster.
    pub cluster_size: u64,
    /// Number of clusters.
    pub clusters: u64,
    /// Bytes of an MFT record.
    pub record_size: usize,
}

/// One MFT record.
pub(super) struct Record {
    pub header: RecordHeader,
    pub attributes: Vec<Attribute>,
}

/// An attribute, or the part of one that is in one record.
#[derive(Clone, Debug)]
pub(super) struct Attribute {
    pub kind: u32,
    pub name: Utf16Name,
    pub flags: u16,
    pub instance: u16,
    pub value: AttributeValue,
}

/// Where the bytes of an attribute are.
#[derive(Clone, Debug)]
pub(super) enum AttributeValue {
    /// In the record.
    Resident(Vec<u8>),
    /// In clusters.
    NonResident {
        runs: Runs,
        /// Length in bytes.
        data_size: u64,
        /// Number of bytes that were ever written; the rest of the stream reads as zeros.
        initialized_size: u64,
        /// Log₂ of the number of clusters that are compressed together; 0 if it is not compressed.
        unit_shift: u8,
    },
}

impl Record {
    /// Decodes the bytes of record `number`.
    pub fn parse(number: u64, mut bytes: Vec<u8>, geometry: &Geometry) -> Result<Self> {
        let bad = |what: &str| Error::corrupt(format!("MFT record {number} {what}"));
        let header = RecordHeader::read_from_prefix(&bytes).map_err(|_| bad("is too short"))?.0;
        if header.magic != *b"FILE" {
            return Err(bad("has no signature"));
        }
        unseal(&mut bytes, header.usa_offset.get(), header.usa_count.get())
            .ok_or_else(|| bad("was not wholly written"))?;
        let used = usize::try_from(header.used_size.get()).ok().and_then(|used| bytes.get(..used));
        let mut rest = used
            .and_then(|used| used.get(usize::from(header.attributes_offset.get())..))
            .ok_or_else(|| bad("has attributes outside of it"))?;
        let mut attributes = Vec::new();
        loop {
            let kind = rest.get(..4).map(|kind| u32::from_le_bytes(kind.try_into().expect("4 bytes")));
            match kind {
                Some(attribute_type::END) => return Ok(Self { header, attributes }),
                Some(kind) => {
                    let damaged = || bad(&format!("has a damaged attribute {kind:#x}"));
                    let (attribute, len) = Attribute::parse(rest, geometry).ok_or_else(damaged)?;
                    attributes.push(attribute);
                    rest = &rest[len..];
                }
                None => return Err(bad("has no end")),
            }
        }
    }

    /// Whether the record describes a file, and is not an extension of another record.
    pub fn is_base(&self) -> bool {
        self.header.flags.get() & record_flag::IN_USE != 0 && self.header.base_reference.get() == 0
    }
}

impl Attribute {
    /// The attribute at the start of `bytes`, and its length; `None` if it is damaged.
    fn parse(bytes: &[u8], geometry: &Geometry) -> Option<(Self, usize)> {
        let (header, _) = AttributeHeader::read_from_prefix(bytes).ok()?;
        let len = usize::try_from(header.length.get()).ok().filter(|&len| len >= size_of::<AttributeHeader>())?;
        let bytes = bytes.get(..len)?;
        let name_at = usize::from(header.name_offset.get());
        let name = match usize::from(header.name_length) {
            0 => &[][..],
            units => bytes.get(name_at..name_at + 2 * units)?,
        };
        let body = &bytes[size_of::<AttributeHeader>()..];
        let value = if header.non_resident == 0 {
            let (resident, _) = ResidentHeader::read_from_prefix(body).ok()?;
            let start = usize::from(resident.value_offset.get());
            let end = start.checked_add(usize::try_from(resident.value_length.get()).ok()?)?;
            AttributeValue::Resident(bytes.get(start..end)?.to_vec())
        } else {
            let (outside, _) = NonResidentHeader::read_from_prefix(body).ok()?;
            let pairs = bytes.get(usize::from(outside.mapping_pairs_offset.get())..)?;
            let first = Vcn(outside.lowest_vcn.get());
            let runs = Runs::decode(pairs, first, geometry.clusters, geometry.cluster_size)?;
            // −1 for an empty stream.
            if runs.end().0 != outside.highest_vcn.get().wrapping_add(1) {
                return None;
            }
            AttributeValue::NonResident {
                runs,
                data_size: outside.data_size.get(),
                initialized_size: outside.initialized_size.get(),
                unit_shift: outside.compression_unit,
            }
        };
        let attribute = Self {
            kind: header.kind.get(),
            name: name_of(name),
            flags: header.flags.get(),
            instance: header.instance.get(),
            value,
        };
        Some((attribute, len))
    }

    /// The value of a resident attribute.
    pub fn resident(&self) -> Option<&[u8]> {
        match &self.value {
            AttributeValue::Resident(bytes) => Some(bytes),
            AttributeValue::NonResident { .. } => None,
        }
    }

    /// The stream cluster at which this part begins.
    pub fn lowest_vcn(&self) -> Vcn {
        match &self.value {
            AttributeValue::Resident(_) => Vcn(0),
            AttributeValue::NonResident { runs, .. } => runs.first(),
        }
    }

    /// Whether this is attribute `kind` called `name`.
    pub fn is(&self, kind: u32, name: &Utf16Name) -> bool {
        self.kind == kind && self.name.eq_ignore_case(name)
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        match &self.value {
            AttributeValue::Resident(bytes) => bytes.len() as u64,
            AttributeValue::NonResident { data_size, .. } => *data_size,
        }
    }
}

/// Entry of an attribute list.
pub(super) struct ListEntry {
    pub kind: u32,
    pub name: Utf16Name,
    pub lowest_vcn: Vcn,
    pub reference: FileReference,
    pub instance: u16,
}

/// Decodes an attribute list; `None` if it is damaged.
pub(super) fn attribute_list(mut bytes: &[u8]) -> Option<Vec<ListEntry>> {
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let (entry, _) = AttributeListEntry::read_from_prefix(bytes).ok()?;
        let len = usize::from(entry.length.get());
        let (this, rest) = bytes.split_at_checked(len).filter(|_| len >= size_of::<AttributeListEntry>())?;
        let name_at = usize::from(entry.name_offset);
        let name = match usize::from(entry.name_length) {
            0 => &[][..],
            units => this.get(name_at..name_at + 2 * units)?,
        };
        entries.push(ListEntry {
            kind: entry.kind.get(),
            name: name_of(name),
            lowest_vcn: Vcn(entry.lowest_vcn.get()),
            reference: FileReference(entry.reference.get()),
            instance: entry.instance.get(),
        });
        bytes = rest;
    }
    Some(entries)
}

/// Undoes the update sequence of a record or index block: every sector must end with the number, and its own last bytes
/// are in the array. `None` if the array is damaged or a sector is from another write.
pub(super) fn unseal(bytes: &mut [u8], usa_offset: u16, usa_count: u16) -> Option<()> {
    let (at, words) = (usize::from(usa_offset), usize::from(usa_count));
    let sectors = bytes.len() / SECTOR_SIZE;
    // The array must end before the last word of the first sector.
    if words != sectors + 1 || at + 2 * words > SECTOR_SIZE - 2 {
        return None;
    }
    let number = [bytes[at], bytes[at + 1]];
    for sector in 1..=sectors {
        let end = sector * SECTOR_SIZE;
        if bytes[end - 2..end] != number {
            return None;
        }
        bytes.copy_within(at + 2 * sector..at + 2 * sector + 2, end - 2);
    }
    Some(())
}

/// A name from its stored bytes.
pub(super) fn name_of(bytes: &[u8]) -> Utf16Name {
    Utf16Name::from_units(text::units(bytes).collect::<Vec<u16>>())
}
