//! Checks every structure of a volume against the others.
//!
//! There are three passes. The first reads the MFT record by record; it notes who uses which clusters, and a few facts
//! about each file. The second reads files whose attributes are in several records. The third compares the indexes, in
//! the order of their position on the volume, with the facts. Memory grows with the number of files (some 200 bytes
//! each) and by a bit for each cluster, not with the contents.
//!
//! The rules are those of the sources of the specification, relaxed where Windows or ntfs-3g leave something else
//! behind: times and sizes in a file's own `$FILE_NAME` may be old, and `$SDS` may have remains behind its last entry.

mod attributes;
mod boot;
mod clusters;
mod directory;
mod extended;
mod file;
mod index;
mod list;
mod mft;
mod names;
mod paths;
mod secure;
mod state;
mod stream;
mod system;
mod views;
mod wof;

use zerocopy::FromBytes;

use super::format::*;
use crate::content::ReadAt;
use crate::report::{Finding, Findings};
use boot::Geometry;
use file::{Facts, File};
use mft::{Attribute, Record, record_text};
use state::{Check, load};
use stream::{Bits, Stream};

/// The most extension records of `$MFT` that are used; each holds some hundred runs.
const MAX_MFT_EXTENSIONS: usize = 1024;
/// Records that are read at once.
const RECORDS: u64 = 256;

/// Finds what is wrong with the NTFS volume in the bytes of `volume`, which include the backup boot sector at their
/// end. Offsets of the findings count from the start.
pub fn check(volume: &dyn ReadAt) -> Findings {
    let mut findings = Findings::default();
    if let Some(geometry) = boot::check(volume, &mut findings)
        && let Some((mft, bitmap)) = open(volume, &geometry, &mut findings)
    {
        let mut check = Check::new(volume, geometry, mft, findings);
        check.run(bitmap);
        findings = check.finish();
    }
    findings
}

/// The stream of `$MFT` and its bitmap.
fn open<'a>(
    volume: &'a dyn ReadAt,
    geometry: &Geometry,
    findings: &mut Findings,
) -> Option<(Stream<'a>, Option<Stream<'a>>)> {
    let read = |lcn: u64, findings: &mut Findings| {
        let mut bytes = vec![0; geometry.record_size];
        let at = lcn.checked_mul(geometry.cluster_size)?;
        volume.read_exact_at(&mut bytes, at).ok()?;
        if !bytes.starts_with(b"FILE") {
            let message = "has no signature `FILE`; the boot sector says that $MFT begins here";
            findings.add(Finding::new("ntfs-record", record_text(record::MFT), message).at(at));
            return None;
        }
        Record::parse(record::MFT, at, bytes, geometry, findings)
    };
    let base = read(geometry.mft_lcn, findings).or_else(|| read(geometry.mirror_lcn, &mut Findings::default()));
    let mut bad = |message: &str| findings.add(Finding::new("ntfs-mft", "$MFT", message));
    let Some(base) = base else {
        bad("its first record is not usable, nor is the one in $MFTMirr");
        return None;
    };
    let data: Vec<&Attribute> = base.attributes.iter().filter(|a| a.is(attribute_type::DATA, "")).collect();
    let Some(mut mft) = Stream::new(volume, geometry, &data).filter(|stream| !stream.runs().is_empty()) else {
        bad("has no clusters");
        return None;
    };
    // Further parts are in records that the parts before point to.
    let mut extensions: Vec<Record> = Vec::new();
    for entry in list::entries(volume, geometry, &base.attributes).unwrap_or_default() {
        if entry.kind != attribute_type::DATA || !entry.name.units().is_empty() || entry.lowest_vcn == 0 {
            continue;
        }
        let number = entry.reference.record();
        if extensions.iter().all(|known| known.number != number) && extensions.len() < MAX_MFT_EXTENSIONS {
            let Some(record) = load(&mft, geometry, number) else {
                bad(&format!("its part from VCN {} on is in record {number}, which is not usable", entry.lowest_vcn));
                break;
            };
            extensions.push(record);
        }
        let all = data.iter().copied().chain(extensions.iter().flat_map(|record| &record.attributes));
        let mut parts: Vec<&Attribute> = all.filter(|part| part.is(attribute_type::DATA, "")).collect();
        parts.sort_by_key(|part| part.lowest_vcn());
        mft = Stream::new(volume, geometry, &parts).unwrap_or(mft);
    }
    let all = base.attributes.iter().chain(extensions.iter().flat_map(|record| &record.attributes));
    let mut bitmap: Vec<&Attribute> = all.filter(|part| part.is(attribute_type::BITMAP, "")).collect();
    bitmap.sort_by_key(|part| part.lowest_vcn());
    let bitmap = Stream::new(volume, geometry, &bitmap);
    if bitmap.is_none() {
        bad("has no $BITMAP");
    }
    Some((mft, bitmap))
}

impl<'a> Check<'a> {
    fn run(&mut self, bitmap: Option<Stream<'a>>) {
        self.mirror();
        self.upcase_table();
        self.records(bitmap);
        self.extended_files();
        self.names.sort();
        self.system_files();
        let security = self.secure();
        self.security_ids(&security);
        self.parents();
        self.extend_flags();
        let mut jobs = std::mem::take(&mut self.indexes);
        jobs.sort_by_key(|job| job.at);
        for job in &jobs {
            self.index(job);
        }
        self.missing_entries();
        self.missing_views(&jobs);
        if let Some(bitmap) = self.stream(record::BITMAP, attribute_type::DATA, "") {
            self.clusters.compare(&bitmap, &mut self.findings);
        } else {
            self.bad("ntfs-bitmap", "$Bitmap", None, "has no data");
        }
        self.owners();
    }

    /// The first pass.
    fn records(&mut self, bitmap: Option<Stream<'a>>) {
        let size = self.geometry.record_size as u64;
        if !self.mft.size().is_multiple_of(size) {
            let message = format!("its {} bytes are no whole records of {size}", self.mft.size());
            self.bad("ntfs-mft", "$MFT", None, message);
        }
        let count = self.mft.backed_size() / size;
        let mut bits = bitmap.map(Bits::new);
        if let Some(bits) = bits.as_ref().filter(|bits| bits.len() < count) {
            let message = format!("has {} bits for {count} records", bits.len());
            self.bad("ntfs-mft-bitmap", "$MFT, $BITMAP", None, message);
        }
        let mut piece = vec![0; (RECORDS * size) as usize];
        for first in (0..count).step_by(RECORDS as usize) {
            let len = ((count - first).min(RECORDS) * size) as usize;
            if !self.mft.read(&mut piece[..len], first * size) {
                let message = format!("records from {first} on cannot be read");
                self.bad("ntfs-mft", "$MFT", self.mft.place(first * size), message);
            }
            for (bytes, number) in piece[..len].chunks_exact(size as usize).zip(first..) {
                let marked = bits.as_mut().map(|bits| bits.get(number));
                self.record(number, bytes, marked);
            }
        }
    }

    fn record(&mut self, number: u64, bytes: &[u8], marked: Option<bool>) {
        let at = self.mft.place(number * self.geometry.record_size as u64);
        let bad = |check: &mut Self, code, message: String| check.bad(code, &record_text(number), at, message);
        if !bytes.starts_with(b"FILE") {
            if marked == Some(true) && bytes[..4] == [0; 4] {
                self.broken.insert(number);
                bad(self, "ntfs-mft-bitmap", "was never used; $MFT's $BITMAP says that it is in use".into());
            } else if marked == Some(true) {
                self.broken.insert(number);
                bad(
                    self,
                    "ntfs-record",
                    format!("is marked as used, but begins with {:02x?}, not `FILE`", &bytes[..4]),
                );
            } else if bytes[..4] != [0; 4] {
                bad(self, "ntfs-record", format!("begins with {:02x?}, neither `FILE` nor zeros", &bytes[..4]));
            }
            return;
        }
        let header = RecordHeader::read_from_prefix(bytes).expect("a record holds its header").0;
        let in_use = header.flags.get() & record_flag::IN_USE != 0;
        if marked.is_some_and(|marked| marked != in_use) {
            let (record, bitmap) = if in_use { ("in use", "free") } else { ("free", "in use") };
            bad(self, "ntfs-mft-bitmap", format!("says that it is {record}; $MFT's $BITMAP says that it is {bitmap}"));
        }
        if !in_use {
            return;
        }
        let record = Record::parse(number, at.unwrap_or(0), bytes.to_vec(), &self.geometry, &mut self.findings);
        let Some(record) = record else {
            self.broken.insert(number);
            return;
        };
        self.attribute_order(&record);
        for attribute in &record.attributes {
            self.clusters.claim(attribute, &mut self.findings);
        }
        if !record.is_base() {
            let base = FileReference(record.header.base_reference.get());
            self.extensions.entry(base.record()).or_default().push((number, base.sequence()));
            if let Some(list) = record.attributes.iter().find(|a| a.kind == attribute_type::ATTRIBUTE_LIST) {
                let message = "is in an extension record; only a base record has one";
                self.bad("ntfs-attribute-list", &list.text(), list.at, message);
            }
        } else if record.attributes.iter().any(|a| a.kind == attribute_type::ATTRIBUTE_LIST) {
            self.files.insert(number, Facts::of_base(&record));
            self.listed.push(number);
        } else {
            self.files.insert(number, Facts::of_base(&record));
            self.file(File::new(record, Vec::new()));
        }
    }

    /// Checks that the attributes of a record are in the order of type, name and VCN, and that each has a number of its
    /// own.
    fn attribute_order(&mut self, record: &Record) {
        let mut instances: Vec<u16> = record.attributes.iter().map(|attribute| attribute.instance).collect();
        instances.sort_unstable();
        let next = record.header.next_instance.get();
        if let Some(pair) = instances.windows(2).find(|pair| pair[0] == pair[1]) {
            let message = format!("two attributes have the number {}", pair[0]);
            self.bad("ntfs-attribute", &record_text(record.number), record.at, message);
        }
        if let Some(last) = instances.last().filter(|last| **last >= next) {
            let message = format!("an attribute has the number {last}; the next to be given is {next}");
            self.bad("ntfs-attribute", &record_text(record.number), record.at, message);
        }
        for pair in record.attributes.windows(2) {
            let (a, b) = (&pair[0], &pair[1]);
            let key =
                |attribute: &Attribute| (attribute.kind, self.fold(attribute.name.units()), attribute.lowest_vcn());
            if key(a) > key(b) {
                self.bad("ntfs-attribute-order", &b.text(), b.at, format!("comes behind {}", a.text()));
            }
        }
    }

    /// The second pass: files whose attributes are in several records.
    fn extended_files(&mut self) {
        for base in std::mem::take(&mut self.listed) {
            if let Some(file) = self.load_file(base) {
                self.attribute_list(&file);
                self.file(file);
            }
        }
        for (base, extensions) in std::mem::take(&mut self.extensions) {
            for (number, sequence) in &extensions {
                let message = match self.files.get(&base) {
                    _ if self.broken.contains(&base) => continue,
                    None => format!("extends record {base}, which is not a file"),
                    Some(facts) if facts.sequence != *sequence => {
                        format!("extends record {base} of sequence {sequence}; it has {}", facts.sequence)
                    }
                    Some(facts) if !facts.has_list => format!("extends record {base}, which has no $ATTRIBUTE_LIST"),
                    Some(_) => continue,
                };
                self.bad("ntfs-extension", &record_text(*number), self.record_place(*number), message);
            }
            self.extensions.insert(base, extensions);
        }
    }

    /// Names the owners of clusters that are used twice. Their first users were not recorded.
    fn owners(&mut self) {
        let shared = std::mem::take(&mut self.clusters.shared);
        if shared.is_empty() {
            return;
        }
        for number in self.files.keys().chain(self.extensions.values().flatten().map(|(number, _)| number)) {
            for attribute in load(&self.mft, &self.geometry, *number).iter().flat_map(|record| &record.attributes) {
                clusters::name_owners(attribute, &shared, &mut self.findings);
            }
        }
    }

    /// The findings, with the paths of their files.
    fn finish(mut self) -> Findings {
        let mut findings = std::mem::take(&mut self.findings);
        for finding in findings.kept_mut() {
            let number = finding
                .structure
                .strip_prefix("MFT record ")
                .and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok());
            finding.path = number.and_then(|number| self.path(number));
        }
        findings
    }
}
