//! MFT records and the attributes in them.

use std::borrow::Cow;

use zerocopy::IntoBytes;

use super::format::*;
use crate::content::{BlobForm, BlobRequest, Content};

/// An attribute that is to be put into a record.
#[derive(Clone, Debug)]
pub(super) struct Attribute<'a> {
    pub kind: u32,
    pub name: Cow<'a, [u16]>,
    pub form: Form<'a>,
}

/// Where the value of an attribute is.
#[derive(Clone, Debug)]
pub(super) enum Form<'a> {
    /// In the record.
    Resident(Cow<'a, [u8]>),
    /// In the record, but a blob of the source: it is written when the blob has been read.
    ResidentStream(BlobStream),
    /// In clusters.
    NonResident(Allocation, Source<'a>),
}

/// The clusters of a stream: always one run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allocation {
    /// Length in bytes.
    pub size: u64,
    /// Number of clusters.
    pub clusters: u64,
    /// First cluster; `None` for a hole.
    pub lcn: Option<u64>,
    /// Bytes of a cluster.
    pub cluster_size: u64,
}

impl Allocation {
    /// A run for `size` bytes that has no position yet.
    pub fn unplaced(size: u64, cluster_size: u64) -> Self {
        Self { size, clusters: size.div_ceil(cluster_size), lcn: Some(0), cluster_size }
    }

    /// Allocated bytes.
    pub fn allocated(&self) -> u64 {
        self.clusters * self.cluster_size
    }
}

/// What the clusters of a stream contain.
#[derive(Clone, Debug)]
pub(super) enum Source<'a> {
    /// A blob of the source.
    Stream(BlobStream),
    /// Bytes in memory.
    Value(Cow<'a, [u8]>),
    /// Contents that follow from the type of the attribute.
    Generated,
    /// Nothing: a sparse stream without clusters.
    Hole,
}

/// A blob of the source in one of its forms, `len` bytes long.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlobStream {
    pub request: BlobRequest,
    pub len: u64,
}

impl<'a> Attribute<'a> {
    pub fn resident(kind: u32, name: &'a [u16], value: impl Into<Cow<'a, [u8]>>) -> Self {
        Self { kind, name: name.into(), form: Form::Resident(value.into()) }
    }

    pub fn generated(kind: u32, name: &'a [u16], run: Allocation) -> Self {
        Self { kind, name: name.into(), form: Form::NonResident(run, Source::Generated) }
    }

    /// A stream of the tree. It is resident until its packing decides otherwise.
    pub fn stream(kind: u32, name: &'a [u16], content: &'a Content) -> Self {
        let form = match content {
            Content::Bytes(bytes) => Form::Resident(Cow::Borrowed(bytes)),
            Content::Blob { id, len } => {
                let request = BlobRequest { id: *id, form: BlobForm::Contents };
                Form::ResidentStream(BlobStream { request, len: *len })
            }
        };
        Self { kind, name: name.into(), form }
    }

    /// Bytes in clusters.
    pub fn value(kind: u32, name: &'a [u16], bytes: Vec<u8>, cluster_size: u64) -> Self {
        let run = Allocation::unplaced(bytes.len() as u64, cluster_size);
        Self { kind, name: name.into(), form: Form::NonResident(run, Source::Value(bytes.into())) }
    }

    /// The `$BITMAP` of an index.
    pub fn index_bitmap(name: &'a [u16], bitmap: Cow<'a, [u8]>, cluster_size: u64) -> Self {
        let form = if bitmap.len() <= MAX_RESIDENT_BITMAP {
            Form::Resident(bitmap)
        } else {
            Form::NonResident(Allocation::unplaced(bitmap.len() as u64, cluster_size), Source::Value(bitmap))
        };
        Self { kind: attribute_type::BITMAP, name: name.into(), form }
    }

    /// Length of the value, if it is resident.
    pub fn resident_len(&self) -> Option<u64> {
        match &self.form {
            Form::Resident(value) => Some(value.len() as u64),
            Form::ResidentStream(stream) => Some(stream.len),
            Form::NonResident(..) => None,
        }
    }

    /// Whether it has the header of a sparse stream. The hole of `$BadClus:$Bad` does not have it.
    pub fn is_sparse(&self) -> bool {
        matches!(self.form, Form::NonResident(_, Source::Hole))
    }

    /// Upper bound of its bytes in a record, whatever cluster its run begins at.
    pub fn max_record_size(&self) -> u64 {
        match (self.kind, self.resident_len()) {
            // The size of an index bitmap is known only after those of the records.
            (attribute_type::BITMAP, _) => MAX_INDEX_BITMAP_SIZE,
            (_, Some(len)) => align8(0x18 + align8(self.name.len() * 2)) as u64 + len.next_multiple_of(8),
            (_, None) if self.is_sparse() => non_resident_size(self.name.len()) + size_of::<SparseHeader>() as u64,
            (_, None) => non_resident_size(self.name.len()),
        }
    }
}

/// Upper bound of the record bytes of a non-resident attribute with a name of `name_units` and one run. Its run list
/// has a byte of nibbles, at most 5 bytes each for length and first cluster (2^39 clusters), and an end mark.
pub(super) const fn non_resident_size(name_units: usize) -> u64 {
    (align8(0x40 + name_units * 2) + 16) as u64
}

/// The largest resident `$BITMAP` of a directory's index, in bytes.
pub(super) const MAX_RESIDENT_BITMAP: usize = 256;
const MAX_INDEX_BITMAP_SIZE: u64 = (0x20 + MAX_RESIDENT_BITMAP) as u64;

/// Bytes of a record that attributes can use.
pub(super) const fn record_capacity(record_size: u64) -> u64 {
    record_size - (record_attributes_offset(record_size) + RECORD_END_SIZE) as u64
}

/// Builds one MFT record.
pub(super) struct RecordBuilder {
    bytes: Vec<u8>,
    header: RecordHeader,
}

impl RecordBuilder {
    pub fn new(number: u64, flags: u16, record_size: u64) -> Self {
        let attributes_offset = record_attributes_offset(record_size);
        let mut bytes = Vec::with_capacity(record_size as usize);
        bytes.resize(attributes_offset, 0);
        let header = RecordHeader {
            magic: *b"FILE",
            usa_offset: (RECORD_USA_OFFSET as u16).into(),
            usa_count: (record_size as u16 / SECTOR_SIZE as u16 + 1).into(),
            lsn: 0.into(),
            sequence: FileReference::of_fresh(number).sequence().into(),
            link_count: 0.into(),
            attributes_offset: (attributes_offset as u16).into(),
            flags: flags.into(),
            used_size: 0.into(),
            allocated_size: (record_size as u32).into(),
            base_reference: 0.into(),
            next_instance: 0.into(),
            unused: 0.into(),
            record_number: (number as u32).into(),
        };
        Self { bytes, header }
    }

    /// Makes it an extension of `base`.
    pub fn extending(mut self, base: FileReference) -> Self {
        self.header.base_reference = base.0.into();
        self
    }

    pub fn link_count(mut self, links: u16) -> Self {
        self.header.link_count = links.into();
        self
    }

    /// Adds an attribute and returns its instance. `late` is the value of a [`Form::ResidentStream`].
    pub fn push(&mut self, attribute: &Attribute<'_>, late: &[u8]) -> u16 {
        let instance = self.header.next_instance.get();
        self.header.next_instance += 1;
        let start = self.bytes.len();
        let name_len = attribute.name.len() * 2;
        let is_sparse = attribute.is_sparse();
        let name_offset = match attribute.form {
            Form::NonResident(..) if is_sparse => 0x48,
            Form::NonResident(..) => 0x40,
            _ => 0x18,
        };
        let value_offset = align8(name_offset + name_len);
        self.bytes.resize(start + name_offset, 0);
        self.bytes.extend(attribute.name.iter().flat_map(|unit| unit.to_le_bytes()));
        self.bytes.resize(start + value_offset, 0);
        let mut put = |at: usize, header: &[u8]| self.bytes[start + at..][..header.len()].copy_from_slice(header);
        let value: Cow<'_, [u8]> = match &attribute.form {
            Form::NonResident(run, _) => {
                let header = NonResidentHeader {
                    lowest_vcn: 0.into(),
                    highest_vcn: run.clusters.wrapping_sub(1).into(),
                    mapping_pairs_offset: (value_offset as u16).into(),
                    compression_unit: if is_sparse { SPARSE_UNIT_SHIFT } else { 0 },
                    unused: [0; 5],
                    allocated_size: run.allocated().into(),
                    data_size: run.size.into(),
                    // Readers of a compact file treat what is not initialized as zeros.
                    initialized_size: if run.lcn.is_some() || is_sparse { run.size } else { 0 }.into(),
                };
                put(0x10, header.as_bytes());
                if is_sparse {
                    put(0x40, SparseHeader { total_allocated: 0.into() }.as_bytes());
                }
                mapping_pairs(run).into()
            }
            resident => {
                let value = match resident {
                    Form::Resident(value) => Cow::Borrowed(&**value),
                    _ => Cow::Borrowed(late),
                };
                let header = ResidentHeader {
                    value_length: (value.len() as u32).into(),
                    value_offset: (value_offset as u16).into(),
                    indexed: (attribute.kind == attribute_type::FILE_NAME).into(),
                    unused: 0,
                };
                put(0x10, header.as_bytes());
                value
            }
        };
        self.bytes.extend_from_slice(&value);
        self.bytes.resize(align8(self.bytes.len()), 0);
        let header = AttributeHeader {
            kind: attribute.kind.into(),
            length: ((self.bytes.len() - start) as u32).into(),
            non_resident: matches!(attribute.form, Form::NonResident(..)).into(),
            name_length: attribute.name.len() as u8,
            // If there is no name, Windows writes 0 in a resident attribute and 0x40 in a non-resident one; readers
            // ignore it.
            name_offset: if name_len == 0 && name_offset == 0x18 { 0 } else { name_offset as u16 }.into(),
            flags: if is_sparse { ATTRIBUTE_SPARSE } else { 0 }.into(),
            instance: instance.into(),
        };
        self.bytes[start..start + 0x10].copy_from_slice(header.as_bytes());
        instance
    }

    /// The sealed record.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(&attribute_type::END.to_le_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        self.header.used_size = (self.bytes.len() as u32).into();
        self.bytes[..0x30].copy_from_slice(self.header.as_bytes());
        let record_size = self.header.allocated_size.get() as usize;
        assert!(self.bytes.len() <= record_size, "record {} is overfull", self.header.record_number);
        self.bytes.resize(record_size, 0);
        seal(&mut self.bytes, RECORD_USA_OFFSET);
        self.bytes
    }
}

/// The run list of one run: `nibbles, length, first cluster, 0`.
fn mapping_pairs(run: &Allocation) -> Vec<u8> {
    let mut pairs = Vec::with_capacity(16);
    if run.clusters > 0 {
        let length = signed_len(run.clusters as i64);
        let start = run.lcn.map_or(0, |lcn| signed_len(lcn as i64));
        pairs.push((start << 4 | length) as u8);
        pairs.extend_from_slice(&run.clusters.to_le_bytes()[..length]);
        pairs.extend_from_slice(&run.lcn.unwrap_or(0).to_le_bytes()[..start]);
    }
    pairs.push(0);
    pairs
}

/// The number of bytes that hold `value` as a signed little-endian integer; at least 1.
fn signed_len(value: i64) -> usize {
    (1..8).find(|&len| value >> (8 * len - 1) == 0 || value >> (8 * len - 1) == -1).unwrap_or(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_lists_are_signed_and_minimal() {
        let run = |clusters, lcn| mapping_pairs(&Allocation { size: 0, clusters, lcn, cluster_size: 4096 });
        assert_eq!(run(0x7F, Some(0x80)), [0x21, 0x7F, 0x80, 0x00, 0]);
        assert_eq!(run(0x80, Some(4)), [0x12, 0x80, 0x00, 4, 0]);
        assert_eq!(run(0x10000, None), [0x03, 0, 0, 1, 0]);
        assert_eq!(run(0, None), [0]);
    }

    #[test]
    fn a_record_is_sealed_and_its_used_size_is_a_multiple_of_8() {
        let mut builder = RecordBuilder::new(30, record_flag::IN_USE, 1024);
        builder.push(&Attribute::resident(attribute_type::DATA, &[], vec![0xAA; 901]), &[]);
        let record = builder.finish();
        assert_eq!(record[0x18..0x1C], (0x38u32 + 0x18 + 904 + 8).to_le_bytes());
        assert_eq!((&record[510..512], &record[1022..]), (&[1, 0][..], &[1, 0][..]));
        assert_eq!(record[0x32..0x34], [0xAA, 0xAA]);
    }

    #[test]
    fn a_record_for_large_sectors_has_a_word_for_each_stride() {
        let record = RecordBuilder::new(30, record_flag::IN_USE, record_size(4096)).finish();
        assert_eq!((record.len(), &record[4..8], record[0x14]), (4096, &[0x30, 0, 9, 0][..], 0x48));
        assert!((1..=8).all(|stride| record[stride * 512 - 2..stride * 512] == [1, 0]));
    }
}
