//! Compares the attributes of one file with each other.

use std::collections::BTreeMap;

use zerocopy::FromBytes;

use super::file::{Facts, File, NAME_INDEX, Named};
use super::mft::{Attribute, Form, kind_name, name_of, record_text};
use super::state::{Check, IndexJob};
use super::{names, secure, wof};
use crate::tree::attribute as file_attribute;
use crate::volume::ntfs::format::*;

/// Log₂ of the number of clusters in a compression unit (LZNT1).
const COMPRESSION_UNIT_SHIFT: u8 = 4;
/// The largest cluster size that NTFS compresses.
const MAX_COMPRESSED_CLUSTER: u64 = 4096;

/// The most indexes of a file that are checked; system files have at most two.
const MAX_INDEXES: usize = 16;

impl Check<'_> {
    /// Checks a file whose records are all there, and records facts about it.
    pub fn file(&mut self, file: File) {
        let number = file.base.number;
        let text = record_text(number);
        let mut facts = Facts::of_base(&file.base);
        self.sizes(&file);
        let information: Vec<&Attribute> =
            file.attributes().filter(|a| a.kind == attribute_type::STANDARD_INFORMATION).collect();
        match information[..] {
            [one] => match one.value().filter(|value| [48, 72].contains(&value.len())) {
                Some(value) => {
                    let word =
                        |at: usize| value.get(at..at + 4).map_or(0, |b| u32::from_le_bytes(b.try_into().expect("4")));
                    (facts.attributes, facts.security_id) = (word(0x20), word(0x34));
                    let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
                    facts.times = [long(0), long(8), long(16)];
                    if facts.times.iter().chain([&long(24)]).any(|&time| time > i64::MAX as u64) {
                        self.bad("ntfs-time", &one.text(), one.at, "has an impossible time");
                    }
                }
                None => {
                    self.bad("ntfs-attribute", &one.text(), one.at, format!("has {} bytes, not 48 or 72", one.size()))
                }
            },
            _ => {
                let message = format!("has {} $STANDARD_INFORMATION, not one", information.len());
                self.bad("ntfs-attribute", &text, file.base.at, message);
            }
        }
        self.file_names(&file, &mut facts);
        facts.has_descriptor = file.attributes().any(|a| a.kind == attribute_type::SECURITY_DESCRIPTOR);
        let descriptor = file.value(attribute_type::SECURITY_DESCRIPTOR).and_then(secure::descriptor_fault);
        if let Some(fault) = descriptor {
            self.bad("ntfs-security", &text, file.base.at, format!("its $SECURITY_DESCRIPTOR {fault}"));
        }
        if let Some(data) = file.parts(attribute_type::DATA, "").first().filter(|_| !facts.is_directory()) {
            facts.data_size = Some(data.size());
            facts.allocated_size = data.allocated_sizes();
            self.data_flags(data, facts.attributes);
        }
        self.record_flags(&file, &facts);
        facts.packed_ea_size = self.extended_attributes(&file);
        self.indexes_of(&file, &facts);
        self.reparse_point(&file, &mut facts);
        if let Some(value) = file.value(attribute_type::OBJECT_ID) {
            self.object_id(number, value, file.base.at);
        }
        self.files.insert(number, facts);
    }

    fn file_names(&mut self, file: &File, facts: &mut Facts) {
        let number = file.base.number;
        let text = record_text(number);
        let (mut links, mut dos, mut windows) = (0u16, Vec::new(), Vec::new());
        for attribute in file.attributes().filter(|attribute| attribute.kind == attribute_type::FILE_NAME) {
            links = links.saturating_add(1);
            if !matches!(attribute.form, Form::Resident { indexed: true, .. }) {
                self.bad("ntfs-file-name", &attribute.text(), attribute.at, "is not marked as indexed");
            }
            let Some((fixed, name)) = attribute.value().and_then(names::parse) else {
                self.bad("ntfs-file-name", &attribute.text(), attribute.at, "is not as long as its name");
                continue;
            };
            let shown = name_of(name);
            if let Some(fault) = names::fault(fixed.namespace, &shown) {
                self.bad("ntfs-file-name", &attribute.text(), attribute.at, format!("`{shown}` {fault}"));
            }
            let parent = FileReference(fixed.parent.get());
            match fixed.namespace {
                namespace::DOS => dos.push(parent),
                space => {
                    if space == namespace::WIN32 {
                        windows.push(parent);
                    }
                    if facts.names == 0 {
                        facts.parent = parent;
                        facts.named = Named {
                            data_size: fixed.data_size.get(),
                            allocated_size: fixed.allocated_size.get(),
                            attributes: fixed.attributes.get(),
                            times: [0, 1, 2].map(|index| fixed.times[index].get()),
                        };
                    }
                    facts.names = facts.names.saturating_add(1);
                }
            }
            self.names.add(parent, file.reference(), fixed.namespace, name);
        }
        let stored = file.base.header.link_count.get();
        if stored != links {
            let message = format!("has a link count of {stored}, and {links} $FILE_NAME attributes");
            self.bad("ntfs-link-count", &text, file.base.at, message);
        }
        let reserved = (record::FIRST_RESERVED..record::QUOTA).contains(&number);
        if links == 0 && !reserved {
            self.bad("ntfs-file-name", &text, file.base.at, "has no name");
        }
        if facts.is_directory() && facts.names > 1 {
            self.bad("ntfs-file-name", &text, file.base.at, format!("is a directory with {} names", facts.names));
        }
        if dos.len() > 1 {
            self.bad("ntfs-dos-name", &text, file.base.at, format!("has {} DOS names", dos.len()));
        }
        if dos.iter().any(|parent| !windows.contains(parent)) {
            let message = "has a DOS name without a Win32 name (namespace 1) in the same directory";
            self.bad("ntfs-dos-name", &text, file.base.at, message);
        }
    }

    /// Compares the sizes of non-resident attributes with their runs.
    fn sizes(&mut self, file: &File) {
        let mut groups: BTreeMap<(u32, &[u16]), Vec<&Attribute>> = BTreeMap::new();
        for attribute in file.attributes() {
            // A file may have many names, and in Windows 10 several streams of one type without a name.
            if attribute.kind == attribute_type::FILE_NAME {
                continue;
            }
            groups.entry((attribute.kind, attribute.name.units())).or_default().push(attribute);
        }
        for parts in groups.values_mut() {
            parts.sort_by_key(|part| part.lowest_vcn());
            let first = parts[0];
            let (text, at) = (first.text(), first.at);
            let Some(head) = first.outside() else {
                if parts.len() > 1 {
                    self.bad("ntfs-attribute", &text, at, format!("exists {} times", parts.len()));
                }
                continue;
            };
            if head.lowest_vcn != 0 {
                self.bad("ntfs-vcn", &text, at, format!("begins with VCN {}, not 0", head.lowest_vcn));
                continue;
            }
            for pair in parts.windows(2) {
                let end = pair[0].outside().map_or(0, |outside| outside.end_vcn);
                if pair[1].lowest_vcn() != end {
                    let message = format!("begins with VCN {}; the part before ends at {end}", pair[1].lowest_vcn());
                    self.bad("ntfs-vcn", &pair[1].text(), pair[1].at, message);
                }
            }
            let cluster = self.geometry.cluster_size;
            let all = || parts.iter().filter_map(|part| part.outside());
            // The clusters of each part are limited, but not their sum.
            let total = all().map(|part| part.end_vcn - part.lowest_vcn).fold(0, u64::saturating_add);
            let real = all().map(|part| part.real_clusters()).fold(0, u64::saturating_add);
            let (total, real) = (total.saturating_mul(cluster), real.saturating_mul(cluster));
            let compressed = first.flags & attribute_flag::COMPRESSION_MASK != 0;
            let bad = |check: &mut Self, message: String| check.bad("ntfs-size", &text, at, message);
            if head.allocated_size != total {
                bad(self, format!("says that {} bytes are allocated; its runs have {total}", head.allocated_size));
            }
            if head.data_size > head.allocated_size {
                let (size, allocated) = (head.data_size, head.allocated_size);
                bad(self, format!("has a size of {size} bytes; only {allocated} are allocated"));
            }
            if head.initialized_size > head.data_size {
                bad(self, format!("has {} initialised bytes of {}", head.initialized_size, head.data_size));
            }
            match head.total_allocated {
                // ntfs-3g leaves it at 0 when it makes a compressed file longer.
                Some(stored) if stored != real && (stored > real || !compressed) => {
                    bad(self, format!("says that {stored} bytes are in clusters; its runs have {real}"));
                }
                // `$BadClus:$Bad` is a hole, except for bad clusters.
                None if real != total && file.base.number != record::BAD_CLUS => {
                    bad(self, format!("is not sparse, but {} of its bytes have no clusters", total - real));
                }
                _ => {}
            }
            if compressed {
                self.compression_units(first, parts);
            }
        }
    }

    /// Checks that each unit of a compressed attribute is a hole, complete, or has its clusters before a hole.
    fn compression_units(&mut self, first: &Attribute, parts: &[&Attribute]) {
        let shift = first.outside().map_or(0, |outside| outside.compression_unit);
        if shift != COMPRESSION_UNIT_SHIFT {
            let message = format!("is compressed in units of 2^{shift} clusters, not 2^{COMPRESSION_UNIT_SHIFT}");
            return self.bad("ntfs-compression", &first.text(), first.at, message);
        }
        if self.geometry.cluster_size > MAX_COMPRESSED_CLUSTER {
            let message = format!("is compressed; clusters of {} bytes never are", self.geometry.cluster_size);
            self.bad("ntfs-compression", &first.text(), first.at, message);
        }
        let unit = 1u64 << shift;
        let runs = parts.iter().filter_map(|part| part.outside()).flat_map(|outside| &outside.runs);
        let mut after_hole = None;
        for run in runs {
            match run.lcn {
                Some(_) if after_hole.is_some_and(|end| end == run.vcn && end % unit != 0) => {
                    let message = format!("has clusters at VCN {} behind a hole in the same unit", run.vcn);
                    return self.bad("ntfs-compression", &first.text(), first.at, message);
                }
                Some(_) => {}
                None => after_hole = Some(run.vcn + run.len),
            }
        }
    }

    /// Records which indexes the file has, so that they can be walked later.
    fn indexes_of(&mut self, file: &File, facts: &Facts) {
        let number = file.base.number;
        let roots: Vec<&Attribute> =
            file.attributes().filter(|attribute| attribute.kind == attribute_type::INDEX_ROOT).collect();
        let has_names = roots.iter().any(|root| root.is(attribute_type::INDEX_ROOT, NAME_INDEX));
        if has_names != facts.is_directory() {
            let message = match has_names {
                true => "has an index of names, but is not marked as a directory",
                false => "is marked as a directory, but has no index of names",
            };
            self.bad("ntfs-directory", &record_text(number), file.base.at, message);
        }
        if roots.len() > MAX_INDEXES {
            let message = format!("has {} indexes", roots.len());
            self.bad("ntfs-index", &record_text(number), file.base.at, message);
        }
        for root in roots.into_iter().take(MAX_INDEXES) {
            let blocks = file.parts(attribute_type::INDEX_ALLOCATION, &root.name.to_string());
            let runs = blocks.first().and_then(|first| first.outside()).map(|outside| &outside.runs);
            let first = runs.and_then(|runs| runs.first()?.lcn?.checked_mul(self.geometry.cluster_size));
            let at = first.unwrap_or(root.at);
            self.indexes.push(IndexJob { at, file: number, name: root.name.clone() });
        }
        for other in file.attributes().filter(|a| a.kind == attribute_type::INDEX_ALLOCATION) {
            let has_root = file.attributes().any(|a| a.kind == attribute_type::INDEX_ROOT && a.name == other.name);
            if !has_root {
                let message = format!("has no {}", kind_name(attribute_type::INDEX_ROOT));
                self.bad("ntfs-index", &other.text(), other.at, message);
            }
        }
    }

    fn reparse_point(&mut self, file: &File, facts: &mut Facts) {
        let text = record_text(file.base.number);
        let point = self.file_stream(file, attribute_type::REPARSE_POINT, "");
        let marked = facts.attributes & file_attribute::REPARSE_POINT != 0;
        if point.is_some() != marked {
            let message = match marked {
                true => "is marked as a reparse point, but has no $REPARSE_POINT",
                false => "has a $REPARSE_POINT, but is not marked as a reparse point",
            };
            self.bad("ntfs-reparse", &text, file.base.at, message);
        }
        let Some(point) = point else { return };
        const MAX: u64 = 16 << 10;
        let value = point.whole(MAX).unwrap_or_default();
        let Some(tag) = value.first_chunk::<4>().filter(|_| value.len() >= 8) else {
            return self.bad("ntfs-reparse", &text, file.base.at, format!("has {} bytes of reparse data", value.len()));
        };
        facts.reparse_tag = u32::from_le_bytes(*tag);
        facts.reparse_resident = file.value(attribute_type::REPARSE_POINT).is_some();
        // Tags that are not Microsoft's have a GUID before the data.
        let header = if facts.reparse_tag & 0x8000_0000 != 0 { 8 } else { 24 };
        let len = usize::from(u16::from_le_bytes([value[4], value[5]]));
        if value.len() != header + len {
            let message = format!("its reparse data has {} bytes, not the {len} that it states", value.len() - 8);
            self.bad("ntfs-reparse", &text, file.base.at, message);
        } else if let Ok(point) = WofReparsePoint::read_from_bytes(&value)
            && point.tag.get() == wof::TAG
            && point.provider.get() == wof::PROVIDER_FILE
        {
            self.wof(file, &point);
        }
    }
}
