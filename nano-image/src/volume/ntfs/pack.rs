//! Distributes the attributes of a file to its records.

use std::borrow::Cow;

use zerocopy::IntoBytes;

use super::format::*;
use super::record::*;

/// Record bytes of a `$STANDARD_INFORMATION` attribute.
const STANDARD_INFORMATION_SIZE: u64 = 0x18 + size_of::<StandardInformation>() as u64;
/// Record bytes of a non-resident `$ATTRIBUTE_LIST`.
const NON_RESIDENT_LIST_SIZE: u64 = 0x50;

/// The records of the attributes of one file. They depend only on the upper bounds of the attributes' sizes, so they
/// are the same before and after clusters have been allocated.
pub(super) struct Packing {
    /// For each attribute: 0 for the base record, *n* for the *n*-th extension record.
    pub placement: Vec<usize>,
}

impl Packing {
    /// Makes streams non-resident if the record would overflow, and adds `$ATTRIBUTE_LIST` if even that is not enough.
    /// `attributes` must begin with `$STANDARD_INFORMATION` and stays sorted.
    pub fn of(attributes: &mut Vec<Attribute<'_>>, cluster_size: u64, record_size: u64) -> Self {
        let capacity = record_capacity(record_size);
        let total = |attributes: &[Attribute<'_>]| attributes.iter().map(Attribute::max_record_size).sum::<u64>();
        // Values that are larger than a record cannot stay in it.
        for attribute in attributes.iter_mut() {
            if attribute.is_movable() && attribute.max_record_size() > capacity {
                attribute.make_non_resident(cluster_size);
            }
        }
        if total(attributes) > capacity {
            let mut smaller = attributes.clone();
            while total(&smaller) > capacity {
                let Some(largest) = smaller
                    .iter_mut()
                    .filter(|attribute| attribute.is_movable() && attribute.shrinks(cluster_size))
                    .max_by_key(|attribute| attribute.max_record_size())
                else {
                    return Self::with_list(attributes, cluster_size, capacity);
                };
                largest.make_non_resident(cluster_size);
            }
            *attributes = smaller;
        }
        Self { placement: vec![0; attributes.len()] }
    }

    /// `$STANDARD_INFORMATION` and the list stay in the base record. Of the others, those that fit stay too, starting
    /// with the last, because a reparse point is looked for there before names are. The rest fills extension records in
    /// order.
    fn with_list(attributes: &mut Vec<Attribute<'_>>, cluster_size: u64, capacity: u64) -> Self {
        let list_len: usize = attributes.iter().map(|attribute| list_entry_len(attribute.name.len())).sum();
        let room = capacity - STANDARD_INFORMATION_SIZE - 0x18;
        let list = if list_len as u64 <= room {
            Attribute::resident(attribute_type::ATTRIBUTE_LIST, &[], vec![0; list_len])
        } else {
            Attribute::generated(
                attribute_type::ATTRIBUTE_LIST,
                &[],
                Allocation::unplaced(list_len as u64, cluster_size),
            )
        };
        attributes.insert(1, list);
        let mut placement = vec![0; attributes.len()];
        let mut room = capacity - STANDARD_INFORMATION_SIZE - attributes[1].max_record_size();
        for (attribute, place) in attributes.iter().zip(&mut placement).skip(2).rev() {
            let size = attribute.max_record_size();
            match room.checked_sub(size) {
                Some(rest) => room = rest,
                None => *place = 1,
            }
        }
        let (mut record, mut used) = (0, capacity);
        for (attribute, place) in attributes.iter().zip(&mut placement).filter(|(_, place)| **place > 0) {
            let size = attribute.max_record_size();
            if used + size > capacity {
                (record, used) = (record + 1, 0);
            }
            used += size;
            *place = record;
        }
        Self { placement }
    }

    /// Number of records, the base record included.
    pub fn record_count(&self) -> usize {
        self.placement.iter().max().map_or(1, |last| last + 1)
    }

    /// Value of `$ATTRIBUTE_LIST`: every attribute except itself.
    pub fn attribute_list(&self, attributes: &[Attribute<'_>], base_record: u64) -> Vec<u8> {
        let mut instances = vec![0u16; self.record_count()];
        let mut list = Vec::new();
        for (attribute, &record) in attributes.iter().zip(&self.placement) {
            let instance = instances[record];
            instances[record] += 1;
            if attribute.kind == attribute_type::ATTRIBUTE_LIST {
                continue;
            }
            let start = list.len();
            let entry = AttributeListEntry {
                kind: attribute.kind.into(),
                length: (list_entry_len(attribute.name.len()) as u16).into(),
                name_length: attribute.name.len() as u8,
                name_offset: size_of::<AttributeListEntry>() as u8,
                lowest_vcn: 0.into(),
                reference: FileReference::of_fresh(base_record).extension(record as u64).0.into(),
                instance: instance.into(),
            };
            list.extend_from_slice(entry.as_bytes());
            list.extend(attribute.name.iter().flat_map(|unit| unit.to_le_bytes()));
            list.resize(start + list_entry_len(attribute.name.len()), 0);
        }
        list
    }
}

impl FileReference {
    /// The `n`-th extension record of this base record; 0 is the base record itself.
    fn extension(self, n: u64) -> Self {
        if n == 0 { self } else { Self::of_fresh(self.record() + n) }
    }
}

impl Attribute<'_> {
    /// Whether the value may lie in clusters.
    fn is_movable(&self) -> bool {
        let kind = matches!(self.kind, attribute_type::DATA | attribute_type::REPARSE_POINT | attribute_type::EA);
        kind && !matches!(self.form, Form::NonResident(..))
    }

    /// Whether it takes less of the record when it is not resident.
    fn shrinks(&self, cluster_size: u64) -> bool {
        let clusters = self.resident_len().map_or(0, |len| len.div_ceil(cluster_size));
        clusters > 0 && non_resident_size(self.name.len()) < self.max_record_size()
    }

    /// Moves the value to clusters, with room for a multiple of `room` bytes. An empty value gets none.
    pub fn keep_room(&mut self, room: u64, cluster_size: u64) {
        if self.resident_len().is_some_and(|len| len > 0) {
            self.make_non_resident(cluster_size);
            if let Form::NonResident(run, _) = &mut self.form {
                run.clusters = run.size.next_multiple_of(room).div_ceil(cluster_size);
            }
        }
    }

    fn make_non_resident(&mut self, cluster_size: u64) {
        let run = Allocation::unplaced(self.resident_len().expect("a resident attribute"), cluster_size);
        self.form = match std::mem::replace(&mut self.form, Form::Resident(Cow::Borrowed(&[]))) {
            Form::ResidentStream(stream) => Form::NonResident(run, Source::Stream(stream)),
            Form::Resident(value) => Form::NonResident(run, Source::Value(value)),
            form @ Form::NonResident(..) => form,
        };
    }
}

/// Bytes of a list entry for a name of `units` units.
const fn list_entry_len(units: usize) -> usize {
    align8(size_of::<AttributeListEntry>() + 2 * units)
}

const _: () = assert!(STANDARD_INFORMATION_SIZE + NON_RESIDENT_LIST_SIZE < record_capacity(record_size(512)));

#[cfg(test)]
mod tests {
    use super::*;

    fn standard_information() -> Attribute<'static> {
        Attribute::resident(attribute_type::STANDARD_INFORMATION, &[], vec![0; 72])
    }

    #[test]
    fn the_largest_stream_leaves_first() {
        let mut attributes = vec![standard_information()];
        for len in [300, 500, 200] {
            attributes.push(Attribute::resident(attribute_type::DATA, &[], vec![0; len]));
        }
        let packing = Packing::of(&mut attributes, 4096, 1024);
        assert_eq!(packing.record_count(), 1);
        let moved: Vec<bool> = attributes.iter().map(|a| matches!(a.form, Form::NonResident(..))).collect();
        assert_eq!(moved, [false, false, true, false]);
    }

    #[test]
    fn names_that_fill_records_are_listed() {
        let mut attributes = vec![standard_information()];
        for _ in 0..300 {
            attributes.push(Attribute::resident(attribute_type::FILE_NAME, &[], vec![0; 100]));
        }
        let packing = Packing::of(&mut attributes, 4096, 1024);
        assert_eq!(packing.placement[..4], [0, 0, 1, 1]);
        assert!(matches!(attributes[1].form, Form::NonResident(..)), "9,632 bytes");
        let list = packing.attribute_list(&attributes, 100);
        assert_eq!(list.len(), 301 * 32);
        assert_eq!(list[32 + 0x10..32 + 0x18], FileReference::of_fresh(101).0.to_le_bytes());
    }
}
