//! Checks a FAT32 volume: boot sectors, both FATs, every chain, every directory entry.

use zerocopy::{FromBytes, IntoBytes};

use super::{FatReader, LongName};
use crate::content::ReadAt;
use crate::report::{Finding, Findings};
use crate::volume::fat::format::*;

/// Bytes of the FATs that are read at once.
const PIECE: u64 = 1 << 20;
/// FAT entry of a cluster that must not be used.
const BAD_CLUSTER: u32 = 0x0FFF_FFF7;
/// Bit of the second FAT entry: the volume was closed properly.
const CLEAN_SHUTDOWN: u32 = 0x0800_0000;
/// Byte of the boot sector in which Windows records that the volume is open. The copy of the boot sector does not have
/// it.
const STATE_BYTE: usize = 65;
/// A path with more folders is treated as damage.
const MAX_DEPTH: usize = 64;

/// Finds what is wrong with the FAT32 volume in the bytes of `volume`. Offsets of the findings count from its start.
pub fn check(volume: &dyn ReadAt) -> Findings {
    let mut findings = Findings::default();
    let reader = match FatReader::open(volume) {
        Ok(reader) => reader,
        Err(error) => {
            findings.add(Finding::new("fat-boot", "boot sector", error.message()).at(error.offset()));
            return findings;
        }
    };
    let count = reader.clusters as usize + FIRST_CLUSTER as usize;
    let mut check =
        Check { reader: &reader, used: vec![0; count.div_ceil(64)], findings, piece: (u64::MAX, Vec::new()) };
    check.boot();
    check.copies();
    check.directories();
    check.lost();
    check.findings
}

struct Check<'a> {
    reader: &'a FatReader<'a>,
    /// One bit for each cluster: whether a file or directory has it.
    used: Vec<u64>,
    findings: Findings,
    /// The part of the first FAT that is in memory: its number and bytes.
    piece: (u64, Vec<u8>),
}

/// A directory that is still to be read.
struct Open {
    path: String,
    cluster: u32,
    parent: u32,
    depth: usize,
}

impl Check<'_> {
    fn bad(&mut self, code: &'static str, structure: &str, at: impl Into<Option<u64>>, message: impl Into<String>) {
        self.findings.add(Finding::new(code, structure, message).at(at));
    }

    fn sector(&self) -> u64 {
        self.reader.boot.bytes_per_sector.get().into()
    }

    /// Checks the copy of the boot sector, and the sectors with hints.
    fn boot(&mut self) {
        let backup = self.reader.boot.backup_boot_sector.get();
        if ![0, 0xFFFF].contains(&backup) {
            let at = u64::from(backup) * self.sector();
            let mut copy = [0; size_of::<BootSector>()];
            let read = self.reader.volume.read_exact_at(&mut copy, at).is_ok();
            let differs = self
                .reader
                .boot
                .as_bytes()
                .iter()
                .zip(&copy)
                .enumerate()
                .find(|(byte, (a, b))| a != b && *byte != STATE_BYTE);
            if let Some((byte, _)) = differs.filter(|_| read) {
                let message = format!("differs from the boot sector from its byte {byte:#x} on");
                self.bad("fat-boot-backup", "backup boot sector", at, message);
            }
        }
        let mut state = [0; 8];
        if self.reader.volume.read_exact_at(&mut state, self.reader.fat).is_err() {
            return;
        }
        let word = |at: usize| u32::from_le_bytes(state[at..at + 4].try_into().expect("4 bytes"));
        let (media, state) = (word(0), word(4));
        if media & 0xFF != u32::from(self.reader.boot.media) {
            let message =
                format!("begins with the media byte {:#04x}, not {:#04x}", media & 0xFF, self.reader.boot.media);
            self.bad("fat-fat", "FAT", self.reader.fat, message);
        }
        if state & CLEAN_SHUTDOWN == 0 {
            self.bad("fat-dirty", "FAT", self.reader.fat + 4, "says that the volume was not closed");
        }
    }

    /// Checks that all FATs are the same, unless the boot sector says that only one is in use.
    fn copies(&mut self) {
        let boot = &self.reader.boot;
        if boot.extended_flags.get() & 0x80 != 0 {
            return;
        }
        let (fats, len) = (u64::from(boot.fats), u64::from(boot.fat_sectors.get()) * self.sector());
        let used = (u64::from(self.reader.clusters) + u64::from(FIRST_CLUSTER)) * 4;
        let (mut first, mut other) = (Vec::new(), Vec::new());
        for fat in 1..fats {
            for start in (0..used).step_by(PIECE as usize) {
                let size = (used - start).min(PIECE) as usize;
                first.resize(size, 0);
                other.resize(size, 0);
                let at = self.reader.fat + fat * len + start;
                let read = self.reader.volume.read_exact_at(&mut first, self.reader.fat + start).is_ok()
                    && self.reader.volume.read_exact_at(&mut other, at).is_ok();
                if !read {
                    self.bad("fat-fat", &format!("FAT {}", fat + 1), at, "cannot be read");
                    break;
                }
                if let Some(byte) = first.iter().zip(&other).position(|(a, b)| a != b) {
                    let cluster = (start + byte as u64) / 4;
                    let message = format!("differs from the first one, first for cluster {cluster}");
                    self.bad("fat-fat", &format!("FAT {}", fat + 1), at + byte as u64, message);
                    break;
                }
            }
        }
    }

    /// The entry of `cluster` in the first FAT.
    fn entry(&mut self, cluster: u32) -> u32 {
        let at = u64::from(cluster) * 4;
        if self.piece.0 != at / PIECE {
            let end = (u64::from(self.reader.clusters) + u64::from(FIRST_CLUSTER)) * 4;
            let start = at / PIECE * PIECE;
            self.piece.0 = at / PIECE;
            self.piece.1.resize((end - start).min(PIECE) as usize, 0);
            if self.reader.volume.read_exact_at(&mut self.piece.1, self.reader.fat + start).is_err() {
                self.piece.1.fill(0);
            }
        }
        let inside = (at % PIECE) as usize;
        u32::from_le_bytes(self.piece.1[inside..inside + 4].try_into().expect("4 bytes")) & ENTRY_MASK
    }

    fn fat_place(&self, cluster: u32) -> u64 {
        self.reader.fat + u64::from(cluster) * 4
    }

    /// Follows a chain of at most `limit` clusters, and marks its clusters as used.
    fn chain(&mut self, path: &str, first: u32, limit: u64) -> Vec<u32> {
        let mut clusters = Vec::new();
        let mut cluster = first;
        loop {
            let valid = cluster >= FIRST_CLUSTER && cluster - FIRST_CLUSTER < self.reader.clusters;
            if !valid {
                let at = clusters.last().map(|last| self.fat_place(*last));
                self.bad("fat-chain", path, at, format!("has the cluster {cluster:#x}, which does not exist"));
                return clusters;
            }
            let (word, bit) = (cluster as usize / 64, 1 << (cluster % 64));
            if self.used[word] & bit != 0 {
                let message = format!("has cluster {cluster}, which already belongs to it or to another file");
                self.bad("fat-cross-link", path, self.fat_place(cluster), message);
                return clusters;
            }
            self.used[word] |= bit;
            clusters.push(cluster);
            let next = self.entry(cluster);
            if next >= END_OF_CHAIN {
                return clusters;
            }
            if next < FIRST_CLUSTER || next == BAD_CLUSTER {
                let message = format!("has cluster {cluster}, which is free or bad in the FAT ({next:#x})");
                self.bad("fat-chain", path, self.fat_place(cluster), message);
                return clusters;
            }
            if clusters.len() as u64 > limit {
                let message = format!("has more than the {limit} clusters that its length needs");
                self.bad("fat-chain", path, self.fat_place(cluster), message);
                return clusters;
            }
            cluster = next;
        }
    }

    fn directories(&mut self) {
        let root = self.reader.boot.root_cluster.get();
        let mut open = vec![Open { path: String::new(), cluster: root, parent: 0, depth: 0 }];
        while let Some(directory) = open.pop() {
            let shown = format!("\\{}", directory.path);
            let clusters =
                self.chain(&shown, directory.cluster, (MAX_DIRECTORY as u64).div_ceil(self.reader.cluster_size));
            let mut bytes = vec![0; self.reader.cluster_size as usize];
            let (mut long, mut index) = (LongName::default(), 0);
            'clusters: for cluster in clusters {
                let place = self.reader.data + u64::from(cluster - FIRST_CLUSTER) * self.reader.cluster_size;
                if self.reader.volume.read_exact_at(&mut bytes, place).is_err() {
                    self.bad("fat-directory", &shown, place, "cannot be read");
                    break;
                }
                for (slot, at) in bytes.chunks_exact(size_of::<DirectoryEntry>()).zip((place..).step_by(32)) {
                    if slot[0] == NAME_END {
                        break 'clusters;
                    }
                    self.slot(slot, at, index, &directory, &mut long, &mut open);
                    index += 1;
                }
            }
        }
    }

    /// Checks one entry of a directory.
    fn slot(
        &mut self,
        slot: &[u8],
        at: u64,
        index: usize,
        directory: &Open,
        long: &mut LongName,
        open: &mut Vec<Open>,
    ) {
        let entry = DirectoryEntry::read_from_bytes(slot).expect("the chunk has the struct's size");
        if entry.name[0] == NAME_DELETED {
            *long = LongName::default();
            return;
        }
        if entry.attributes & 0x3F == ATTRIBUTE_LONG_NAME {
            long.push(LongNameEntry::read_from_bytes(slot).expect("the chunk has the struct's size"));
            return;
        }
        let long = std::mem::take(long);
        let name = long.name(&entry.name);
        let path = |name: &str| match directory.path.is_empty() {
            true => name.to_owned(),
            false => format!("{}\\{name}", directory.path),
        };
        let own = path(&name.clone().unwrap_or_else(|| super::short_name(&entry)));
        let shown = format!("\\{own}");
        if name.is_none() && !long.parts.is_empty() {
            self.bad("fat-long-name", &shown, at, "has a long name that is incomplete or belongs to another entry");
        }
        if entry.attributes & ATTRIBUTE_LABEL != 0 {
            return;
        }
        let is_directory = entry.attributes & ATTRIBUTE_DIRECTORY != 0;
        if directory.depth > 0 && index < 2 && self.is_dots(&entry, at, index, directory) {
            return;
        }
        let forbidden = |&byte: &u8| byte < 0x20 && byte != 5 || b"\"*+,/:;<=>?[\\]|".contains(&byte);
        if entry.name.iter().any(forbidden) || entry.name[0] == b' ' {
            self.bad("fat-name", &shown, at, format!("has the short name {:02x?}", entry.name));
        }
        match is_directory {
            true => open.extend(self.sub_directory(own, &entry, at, directory)),
            false => self.file(&shown, &entry, at),
        }
    }

    /// Checks one of the first two entries of a directory, `.` and `..`. Whether it is called so.
    fn is_dots(&mut self, entry: &DirectoryEntry, at: u64, index: usize, directory: &Open) -> bool {
        let (dots, text, expected) = match index {
            0 => (b".          ", ".", directory.cluster),
            _ => (b"..         ", "..", directory.parent),
        };
        if entry.name != *dots || entry.attributes & ATTRIBUTE_DIRECTORY == 0 || entry.cluster() != expected {
            let message = format!("its entry {} should be `{text}` with cluster {expected}", index + 1);
            self.bad("fat-directory", &format!("\\{}", directory.path), at, message);
        }
        entry.name[0] == b'.'
    }

    /// Checks the entry of a directory, which is at `path` and in `directory`.
    fn sub_directory(&mut self, path: String, entry: &DirectoryEntry, at: u64, directory: &Open) -> Option<Open> {
        let shown = format!("\\{path}");
        if directory.depth >= MAX_DEPTH {
            self.bad("fat-directory", &shown, at, "is at an impossible depth");
            return None;
        }
        if entry.size.get() != 0 {
            self.bad("fat-directory", &shown, at, format!("is a directory of {} bytes, not 0", entry.size));
        }
        // The root has the number 0 in `..`.
        let parent = if directory.depth == 0 { 0 } else { directory.cluster };
        Some(Open { path, cluster: entry.cluster(), parent, depth: directory.depth + 1 })
    }

    /// Checks the entry of a file: whether it has the clusters that its size needs.
    fn file(&mut self, shown: &str, entry: &DirectoryEntry, at: u64) {
        let (size, cluster) = (u64::from(entry.size.get()), entry.cluster());
        if cluster == 0 {
            if size > 0 {
                self.bad("fat-size", shown, at, format!("has {size} bytes, but no clusters"));
            }
            return;
        }
        let needed = size.div_ceil(self.reader.cluster_size);
        let found = self.chain(shown, cluster, needed).len() as u64;
        if found < needed || size == 0 {
            let message = format!("has {size} bytes and {found} clusters; {needed} are needed");
            self.bad("fat-size", shown, at, message);
        }
    }

    /// Reports clusters that are allocated but belong to no file, and counts the free ones.
    fn lost(&mut self) {
        let (mut free, mut lost) = (0u32, Vec::new());
        for cluster in FIRST_CLUSTER..FIRST_CLUSTER + self.reader.clusters {
            let entry = self.entry(cluster);
            let used = self.used[cluster as usize / 64] >> (cluster % 64) & 1 == 1;
            if entry == 0 {
                free += 1;
            } else if !used && entry != BAD_CLUSTER && lost.len() < Findings::PER_CODE as usize {
                lost.push(cluster);
            }
        }
        // After damage that hides files, all their clusters would be reported.
        if self.findings.is_empty() {
            for cluster in lost {
                let message = format!("cluster {cluster} is in use, but no file has it");
                self.bad("fat-lost", "FAT", self.fat_place(cluster), message);
            }
        }
        let number = self.reader.boot.fs_info_sector.get();
        if [0, 0xFFFF].contains(&number) {
            return;
        }
        let at = u64::from(number) * self.sector();
        let mut bytes = [0; size_of::<FsInfo>()];
        let read = self.reader.volume.read_exact_at(&mut bytes, at).is_ok();
        let info = FsInfo::read_from_bytes(&bytes).expect("the array has the struct's size");
        let signatures = info.lead_signature == *b"RRaA" && info.signature == *b"rrAa";
        if !read || !signatures || info.boot_signature != BOOT_SIGNATURE {
            return self.bad("fat-fsinfo", "FSInfo sector", at, "has wrong signatures");
        }
        let stored = info.free_clusters.get();
        if stored != u32::MAX && stored != free {
            self.bad(
                "fat-fsinfo",
                "FSInfo sector",
                at,
                format!("says that {stored} clusters are free, but {free} are"),
            );
        }
    }
}
