//! The contents of the system files.

use zerocopy::FromBytes;

use super::Check;
use super::mft::unseal;
use super::stream::Stream;
use crate::types::upcase;
use crate::volume::ntfs::format::*;
use crate::volume::ntfs::system::{BOOT_SIZE, attribute_definitions};

/// Bytes of `$UpCase`.
const UPCASE_SIZE: u64 = 0x2_0000;
/// Length of each of the pages for restart, which precede the log in `$LogFile`.
const LOG_PAGE: usize = 4096;
/// Tables of older systems fold fewer characters. If they differ in fewer entries than this, it is treated as damage.
const MIN_OLDER_UPCASE: usize = 32;

impl<'a> Check<'a> {
    /// Checks that `$MFTMirr` repeats the first records of `$MFT`.
    pub fn mirror(&mut self) {
        const MIRROR: &str = "$MFTMirr";
        let size = self.geometry.record_size;
        let runs = self.stream(record::MFT_MIRR, attribute_type::DATA, "").map(|stream| stream.runs().to_vec());
        let first = runs.and_then(|runs| runs.first()?.lcn);
        if first != Some(self.geometry.mirror_lcn) {
            let (found, expected) =
                (first.map_or("no cluster".into(), |lcn| lcn.to_string()), self.geometry.mirror_lcn);
            let message = format!("begins at {found}; the boot sector says at {expected}");
            self.bad("ntfs-mft-mirror", MIRROR, None, message);
        }
        let expected = self.mft.runs().first().and_then(|run| run.lcn);
        if expected != Some(self.geometry.mft_lcn) {
            let message = format!("begins at {expected:?}; the boot sector says at {}", self.geometry.mft_lcn);
            self.bad("ntfs-mft", "$MFT", None, message);
        }
        let Some(start) = self.geometry.mirror_lcn.checked_mul(self.geometry.cluster_size) else { return };
        let (mut record, mut copy) = (vec![0; size], vec![0; size]);
        for number in 0..4 {
            let at = start + number * size as u64;
            let same =
                self.mft.read(&mut record, number * size as u64) && self.volume.read_exact_at(&mut copy, at).is_ok();
            if !same || record != copy {
                let byte = record.iter().zip(&copy).position(|(a, b)| a != b).unwrap_or(0);
                let message = format!("its record {number} differs from $MFT's from byte {byte:#x} on");
                self.bad("ntfs-mft-mirror", MIRROR, at, message);
            }
        }
    }

    /// Reads the table that orders names: the one of current Windows, or an older one.
    pub fn upcase_table(&mut self) {
        const NAME: &str = "$UpCase";
        let Some(stream) = self.stream(record::UP_CASE, attribute_type::DATA, "") else {
            return self.bad("ntfs-upcase", NAME, None, "has no data");
        };
        let Some(bytes) = stream.whole(UPCASE_SIZE).filter(|bytes| bytes.len() as u64 == UPCASE_SIZE) else {
            let message = format!("has {} readable bytes, not {UPCASE_SIZE}", stream.size());
            return self.bad("ntfs-upcase", NAME, stream.place(0), message);
        };
        let table: Vec<u16> = bytes.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
        let known = upcase::table();
        let differences: Vec<usize> = (0..table.len()).filter(|&unit| table[unit] != known[unit]).collect();
        let older = differences.len() >= MIN_OLDER_UPCASE && differences.iter().all(|&unit| unit >= 0x180);
        if differences.is_empty() || older {
            self.upcase = table;
            return;
        }
        for unit in differences {
            let message = format!("U+{unit:04X} becomes U+{:04X}, not U+{:04X}", table[unit], known[unit]);
            self.bad("ntfs-upcase", NAME, stream.place(2 * unit as u64), message);
        }
    }

    /// Checks `$Volume`, `$AttrDef`, `$LogFile`, `$Boot` and `$BadClus`.
    pub fn system_files(&mut self) {
        for number in 0..record::FIRST_RESERVED {
            if !self.files.contains_key(&number) && !self.broken.contains(&number) {
                let text = super::mft::record_text(number);
                self.bad("ntfs-record", &text, self.record_place(number), "is of a system file, but not in use");
            }
        }
        self.volume_information();
        if let Some(stream) = self.system_stream(record::ATTR_DEF, "", "$AttrDef") {
            self.attribute_definitions(&stream);
        }
        if let Some(stream) = self.system_stream(record::LOG_FILE, "", "$LogFile") {
            self.log(&stream);
        }
        if let Some(stream) = self.system_stream(record::BOOT, "", "$Boot")
            && (stream.place(0) != Some(0) || stream.size() < BOOT_SIZE.min(self.geometry.cluster_size))
        {
            let message = format!("has {} bytes from byte {:?} of the volume on", stream.size(), stream.place(0));
            self.bad("ntfs-boot", "$Boot", None, message);
        }
        if let Some(stream) = self.system_stream(record::BAD_CLUS, "$Bad", "$BadClus:$Bad") {
            let covered = stream.runs().last().map_or(0, |run| run.vcn + run.len);
            if covered != self.geometry.clusters {
                let message = format!("covers {covered} clusters; the volume has {}", self.geometry.clusters);
                self.bad("ntfs-bad-clusters", "$BadClus:$Bad", None, message);
            }
        }
    }

    fn system_stream(&mut self, number: u64, name: &str, text: &str) -> Option<Stream<'a>> {
        let stream = self.stream(number, attribute_type::DATA, name);
        if stream.is_none() {
            self.bad("ntfs-system", text, None, "has no data");
        }
        stream
    }

    fn volume_information(&mut self) {
        const NAME: &str = "$Volume";
        let stream = self.stream(record::VOLUME, attribute_type::VOLUME_INFORMATION, "");
        let value = stream.and_then(|stream| stream.whole(LOG_PAGE as u64));
        let Some(value) = value.and_then(|value| VolumeInformation::read_from_bytes(&value).ok()) else {
            return self.bad("ntfs-volume", NAME, None, "has no $VOLUME_INFORMATION of 12 bytes");
        };
        self.label();
        let version = (value.major_version, value.minor_version);
        if ![(1, 2), (3, 0), (3, 1)].contains(&version) {
            self.bad("ntfs-volume", NAME, None, format!("is of version {}.{}", version.0, version.1));
        }
        if value.flags.get() & volume_flag::DIRTY != 0 {
            let message = format!("is marked as dirty (flags {:#x}): Windows checks it at the next start", value.flags);
            self.bad("ntfs-volume-dirty", NAME, None, message);
        }
    }

    /// Checks that the label has at most 32 characters.
    fn label(&mut self) {
        const MAX: u64 = 32;
        let label = self.stream(record::VOLUME, attribute_type::VOLUME_NAME, "").map(|label| (label.size(), label));
        if let Some((len, label)) = label.filter(|(len, _)| !len.is_multiple_of(2) || *len > 2 * MAX) {
            let message = format!("has a label of {len} bytes; the limit is {MAX} characters of 2 bytes");
            self.bad("ntfs-volume", "$Volume", label.place(0), message);
        }
    }

    /// Checks the table of attribute types. Except for zeros at its end it is the same on all volumes since Windows
    /// 2000.
    fn attribute_definitions(&mut self, stream: &Stream<'_>) {
        const ROW: usize = size_of::<AttributeDefinition>();
        let known = attribute_definitions();
        let Some(found) = stream.whole(1 << 20) else {
            return self.bad("ntfs-attrdef", "$AttrDef", stream.place(0), "cannot be read");
        };
        let rows = known.chunks_exact(ROW).take_while(|row| row.iter().any(|&byte| byte != 0));
        for (row, number) in rows.zip(0..) {
            if found.get(number * ROW..(number + 1) * ROW) != Some(row) {
                let row = AttributeDefinition::read_from_bytes(row).expect("a row");
                let kind = super::mft::kind_name(row.kind.get());
                let message = format!("row {number} is not the one for {kind}");
                self.bad("ntfs-attrdef", "$AttrDef", stream.place((number * ROW) as u64), message);
            }
        }
    }

    /// Checks that the log was never used (all bits are ones), or that one of its two restart pages is undamaged.
    fn log(&mut self, stream: &Stream<'_>) {
        let mut bad = |at: u64, message: &str| {
            let place = stream.place(at);
            self.findings.add(crate::report::Finding::new("ntfs-log", "$LogFile", message).at(place));
        };
        let mut piece = vec![0; 1 << 20];
        let mut page = vec![0; LOG_PAGE];
        if stream.size() < 2 * LOG_PAGE as u64 || !stream.read(&mut page, 0) {
            return bad(0, "is too short or cannot be read");
        }
        if page.starts_with(&[0xFF; 4]) {
            for start in (0..stream.backed_size()).step_by(piece.len()) {
                let len = (stream.backed_size() - start).min(piece.len() as u64) as usize;
                stream.read(&mut piece[..len], start);
                // Programs that copy only metadata leave zeros in parts that they do not copy.
                let used = |page: &[u8]| page.iter().any(|&byte| byte != page[0] || ![0, 0xFF].contains(&byte));
                if let Some(page) = piece[..len].chunks(LOG_PAGE).position(used) {
                    let at = start + (page * LOG_PAGE) as u64;
                    return bad(at, "begins like a log that was never used, but is not empty");
                }
            }
            return;
        }
        let restart = |page: &mut Vec<u8>| {
            let word = |at: usize| u16::from_le_bytes([page[at], page[at + 1]]);
            let (offset, count) = (word(4), word(6));
            [&b"RSTR"[..], b"CHKD"].iter().any(|magic| page.starts_with(magic)) && unseal(page, offset, count).is_ok()
        };
        if restart(&mut page) {
            return;
        }
        if !stream.read(&mut page, LOG_PAGE as u64) || !restart(&mut page) {
            bad(0, "begins with neither a restart page nor the ones of a log that was never used");
        }
    }
}
