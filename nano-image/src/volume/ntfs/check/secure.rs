//! `$Secure`: the stream of descriptors `$SDS`, its copy, and the indexes `$SII` and `$SDH`.

use std::collections::BTreeMap;

use zerocopy::FromBytes;

use super::Check;
use super::file::Facts;
use super::index::CheckedEntry;
use super::mft::record_text;
use crate::report::{Finding, Findings};
use crate::types::Utf16Name;
use crate::volume::ntfs::format::*;
use crate::volume::ntfs::secure::{BLOCK, hash};

const SDS: &str = "$Secure:$SDS";
/// Shortest self-relative descriptor ([MS-DTYP] 2.4.6).
const MIN_DESCRIPTOR: u32 = 20;

/// Headers in `$SDS`, by security id.
pub(super) type Descriptors = BTreeMap<u32, SecurityHeader>;

impl Check<'_> {
    /// Checks `$Secure`; returns the descriptors' headers.
    pub fn secure(&mut self) -> Option<Descriptors> {
        let Some(stream) = self.stream(record::SECURE, attribute_type::DATA, "$SDS") else {
            self.bad("ntfs-secure", SDS, None, "is missing");
            return None;
        };
        let (mut descriptors, mut block, mut copy) = (Descriptors::new(), Vec::new(), Vec::new());
        for start in (0..stream.backed_size()).step_by(2 * BLOCK as usize) {
            block.resize((stream.size() - start).min(BLOCK) as usize, 0);
            let rest = stream.size().saturating_sub(start + BLOCK);
            copy.resize(rest.min(BLOCK) as usize, 0);
            let readable = stream.read(&mut block, start) && stream.read(&mut copy, start + BLOCK);
            if !readable {
                self.bad("ntfs-secure", SDS, stream.place(start), "cannot be read");
            }
            let mut at = 0;
            // Behind the last entry of a block there may be remains of others.
            while let Some((header, len)) = entry(&block, at, start) {
                let id = header.security_id.get();
                let place = stream.place(start + at as u64);
                let bytes = &block[at..at + len];
                let computed = hash(&bytes[size_of::<SecurityHeader>()..]);
                if computed != header.hash.get() {
                    let message = format!("id {id:#x} has the hash {:#010x}, not {computed:#010x}", header.hash.get());
                    self.bad("ntfs-secure", SDS, place, message);
                }
                if copy.get(at..at + len) != Some(bytes) {
                    let place = stream.place(start + BLOCK + at as u64);
                    self.bad("ntfs-secure", SDS, place, format!("the copy of id {id:#x} differs from it"));
                }
                if descriptors.insert(id, header).is_some() {
                    self.bad("ntfs-secure", SDS, place, format!("has id {id:#x} twice"));
                }
                at = (at + len).next_multiple_of(16);
            }
        }
        for name in ["$SII", "$SDH"] {
            self.secure_index(name, &descriptors);
        }
        Some(descriptors)
    }

    fn secure_index(&mut self, name: &'static str, descriptors: &Descriptors) {
        let Some(file) = self.load_file(record::SECURE) else { return };
        let text = format!("$Secure:{name}");
        let mut seen = std::collections::BTreeSet::new();
        let mut visit = |findings: &mut Findings, entry: &CheckedEntry<'_>| {
            let mut bad = |message: String| {
                findings.add(Finding::new("ntfs-secure", text.clone(), message).at(entry.at));
            };
            let Ok((header, _)) = SecurityHeader::read_from_prefix(entry.data) else {
                return bad(format!("has an entry with {} bytes of data", entry.data.len()));
            };
            let id = header.security_id;
            let key = match name {
                "$SII" => id.to_bytes().to_vec(),
                _ => [header.hash.to_bytes(), id.to_bytes()].concat(),
            };
            if entry.key != key {
                bad(format!("id {:#x} has the key {:02x?}, not {key:02x?}", id.get(), entry.key));
            }
            let same = |known: &SecurityHeader| {
                (known.hash, known.offset, known.length) == (header.hash, header.offset, header.length)
            };
            match descriptors.get(&id.get()) {
                Some(known) if same(known) => {}
                Some(_) => bad(format!("id {:#x} is described differently in $SDS", id.get())),
                None => bad(format!("id {:#x} is not in $SDS at byte {:#x}", id.get(), header.offset.get())),
            }
            seen.insert(id.get());
        };
        let has_root = !file.parts(attribute_type::INDEX_ROOT, name).is_empty();
        let whole = self.walk(&file, &Utf16Name::from(name), &mut visit);
        if !has_root {
            return self.bad("ntfs-secure", &text, None, "is missing");
        }
        for id in descriptors.keys().filter(|id| whole && !seen.contains(*id)) {
            self.bad("ntfs-secure", &text, None, format!("lacks id {id:#x}, which $SDS has"));
        }
    }

    /// Checks that the security ids of files have descriptors.
    pub fn security_ids(&mut self, descriptors: &Option<Descriptors>) {
        // Files that NTFS itself makes in `$Extend` may have none.
        let without = |(number, facts): &(&u64, &Facts)| {
            **number >= record::QUOTA
                && facts.security_id == 0
                && !facts.has_descriptor
                && !self.is_below_extend(**number)
        };
        let without: Vec<u64> = self.files.iter().filter(without).map(|(number, _)| *number).collect();
        for number in without {
            let message = "has neither a security id nor a $SECURITY_DESCRIPTOR";
            self.bad("ntfs-security", &record_text(number), self.record_place(number), message);
        }
        let Some(descriptors) = descriptors else { return };
        let unknown = |id: u32| id != 0 && !descriptors.contains_key(&id);
        let wrong: Vec<(u64, u32)> = self
            .files
            .iter()
            .filter(|(_, facts)| unknown(facts.security_id))
            .map(|(number, facts)| (*number, facts.security_id))
            .collect();
        for (number, id) in wrong {
            let message = format!("has the security id {id:#x}, which $Secure:$SDS does not have");
            self.bad("ntfs-security", &record_text(number), self.record_place(number), message);
        }
    }
}

/// Why `bytes` are not a self-relative security descriptor ([MS-DTYP] 2.4.6).
pub(super) fn descriptor_fault(bytes: &[u8]) -> Option<&'static str> {
    const SELF_RELATIVE: u8 = 0x80;
    let long = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?) as usize);
    if bytes.len() < MIN_DESCRIPTOR as usize || bytes[0] != 1 || bytes[3] & SELF_RELATIVE == 0 {
        return Some("has no header of a self-relative descriptor");
    }
    // Revision 1, the number of sub-authorities, and four bytes for each of them after the first eight.
    let is_sid = |at: usize| {
        let count = bytes.get(at + 1).map_or(usize::MAX, |&count| usize::from(count));
        bytes.get(at) == Some(&1) && count <= 15 && at + 8 + 4 * count <= bytes.len()
    };
    let is_list = |at: usize| {
        let header = bytes.get(at..).and_then(|list| list.first_chunk::<8>());
        let sizes = header.filter(|header| [2, 4].contains(&header[0]) && header[1] == 0);
        let half = |header: &[u8; 8], at: usize| usize::from(u16::from_le_bytes([header[at], header[at + 1]]));
        let Some((len, count)) = sizes.map(|header| (half(header, 2), half(header, 4))) else { return false };
        let Some(mut rest) = bytes.get(at..at + len).and_then(|list| list.get(8..)) else { return false };
        (0..count).all(|_| {
            let len = rest.get(2..4).map_or(0, |len| usize::from(u16::from_le_bytes([len[0], len[1]])));
            let fits = (8..=rest.len()).contains(&len) && len % 4 == 0;
            rest = if fits { &rest[len..] } else { &[] };
            fits
        })
    };
    let sound = |at: usize, is: &dyn Fn(usize) -> bool| long(at).is_some_and(|place| place == 0 || is(place));
    let all = sound(4, &is_sid) && sound(8, &is_sid) && sound(12, &is_list) && sound(16, &is_list);
    (!all).then_some("has an owner, group or list of rights that is damaged or outside of it")
}

/// The entry at `at` of a block, and its length. The block begins at `block_start` of `$SDS`.
fn entry(block: &[u8], at: usize, block_start: u64) -> Option<(SecurityHeader, usize)> {
    let header = SecurityHeader::read_from_prefix(block.get(at..)?).ok()?.0;
    let len = header.length.get() as usize;
    let fits = header.length.get() >= size_of::<SecurityHeader>() as u32 + MIN_DESCRIPTOR
        && at.checked_add(len).is_some_and(|end| end <= block.len());
    (fits && header.offset.get() == block_start + at as u64).then_some((header, len))
}
