//! Which clusters the volume's files use, compared with `$Bitmap`.

use super::mft::Attribute;
use super::stream::Stream;
use crate::report::{Finding, Findings};

/// Bytes of `$Bitmap` that are read at once.
const PIECE: usize = 1 << 20;

/// One bit for each cluster of the volume: whether it is used.
pub(super) struct Clusters {
    used: Vec<u64>,
    count: u64,
    /// Number of claims, including repeated ones.
    claimed: u64,
    cluster_size: u64,
    /// Clusters that were claimed more than once, as first cluster and count. Their owners are looked for at the end.
    pub shared: Vec<(u64, u64)>,
}

impl Clusters {
    pub fn new(count: u64, cluster_size: u64) -> Self {
        Self { used: vec![0; count.div_ceil(64) as usize], count, claimed: 0, cluster_size, shared: Vec::new() }
    }

    /// Marks the clusters of `attribute` as used.
    pub fn claim(&mut self, attribute: &Attribute, findings: &mut Findings) {
        let Some(outside) = attribute.outside() else { return };
        for run in &outside.runs {
            let Some(lcn) = run.lcn else { continue };
            if lcn.checked_add(run.len).is_none_or(|end| end > self.count) {
                let (first, len, count) = (lcn as i64, run.len, self.count);
                let message = format!("has {len} clusters at {first} (VCN {}); the volume has {count}", run.vcn);
                findings.add(Finding::new("ntfs-run-outside", attribute.text(), message).at(attribute.at));
                continue;
            }
            // If everything is used several times, further claims tell nothing new, and there may be no end of them.
            if self.claimed / 4 > self.count {
                continue;
            }
            self.claimed += run.len;
            if let Some((first, len)) = self.insert(lcn, run.len) {
                self.shared.push((first, len));
                self.shared.truncate(Findings::PER_CODE as usize);
                let message = format!("{len} of its clusters, from {first} on, are used twice");
                let at = first * self.cluster_size;
                findings.add(Finding::new("ntfs-cross-link", attribute.text(), message).at(at));
            }
        }
    }

    /// Marks clusters; returns the first one and the number of those that were marked already.
    fn insert(&mut self, start: u64, len: u64) -> Option<(u64, u64)> {
        let (mut first, mut twice) = (None, 0);
        let end = start + len;
        let mut at = start;
        while at < end {
            let (word, low) = ((at / 64) as usize, at % 64);
            let bits = (64 - low).min(end - at);
            let mask = if bits == 64 { u64::MAX } else { ((1 << bits) - 1) << low };
            let known = self.used[word] & mask;
            if known != 0 {
                first.get_or_insert(word as u64 * 64 + u64::from(known.trailing_zeros()));
                twice += u64::from(known.count_ones());
            }
            self.used[word] |= mask;
            at += bits;
        }
        first.map(|first| (first, twice))
    }

    /// Compares with `$Bitmap`.
    pub fn compare(&self, bitmap: &Stream<'_>, findings: &mut Findings) {
        let mut bad = |at: Option<u64>, message: String| {
            findings.add(Finding::new("ntfs-bitmap", "$Bitmap", message).at(at));
        };
        if bitmap.size() < self.count.div_ceil(8) {
            let (bytes, clusters) = (bitmap.size(), self.count);
            return bad(None, format!("has {bytes} bytes, too few for the volume's {clusters} clusters"));
        }
        // Where the current run of clusters began that are marked but unused, and of those that are used but not
        // marked.
        let (mut leaked, mut missing) = (None::<u64>, None::<u64>);
        let mut end_run = |run: &mut Option<u64>, end: u64, what: &str| {
            if let Some(start) = run.take() {
                let clusters = if end - start == 1 {
                    format!("cluster {start} is")
                } else {
                    format!("clusters {start} to {} are", end - 1)
                };
                bad(Some(start * self.cluster_size), format!("{clusters} {what}"));
            }
        };
        const LEAKED: &str = "marked as used, but no file has them";
        const MISSING: &str = "marked as free, but a file has them";
        let mut piece = vec![0; PIECE.min(self.used.len() * 8)];
        let mut unreadable = false;
        for (words, number) in self.used.chunks(PIECE / 8).zip(0u64..) {
            let start = number * PIECE as u64;
            let len = (bitmap.size() - start).min(words.len() as u64 * 8) as usize;
            piece[len..].fill(0);
            unreadable |= !bitmap.read(&mut piece[..len], start);
            for ((&used, marked), index) in words.iter().zip(piece.chunks_exact(8)).zip(0u64..) {
                let marked = u64::from_le_bytes(marked.try_into().expect("8 bytes"));
                let first = start * 8 + index * 64;
                let valid = self.count - first;
                let mask = if valid >= 64 { u64::MAX } else { (1 << valid) - 1 };
                if (used ^ marked) & mask == 0 && leaked.is_none() && missing.is_none() {
                    continue;
                }
                for bit in 0..valid.min(64) {
                    let (used, marked) = (used >> bit & 1 == 1, marked >> bit & 1 == 1);
                    if marked && !used {
                        leaked.get_or_insert(first + bit);
                    } else {
                        end_run(&mut leaked, first + bit, LEAKED);
                    }
                    if used && !marked {
                        missing.get_or_insert(first + bit);
                    } else {
                        end_run(&mut missing, first + bit, MISSING);
                    }
                }
            }
        }
        end_run(&mut leaked, self.count, LEAKED);
        end_run(&mut missing, self.count, MISSING);
        if unreadable {
            bad(None, "cannot be read".into());
        }
        // NTFS marks the bits behind the last cluster, so that these are never allocated.
        let mut tail = vec![0; (bitmap.size() - self.count / 8).min(8) as usize];
        bitmap.read(&mut tail, self.count / 8);
        let bits = (0..tail.len() as u64 * 8).map(|bit| tail[bit as usize / 8] >> (bit % 8) & 1);
        if let Some((_, bit)) = bits.zip(self.count / 8 * 8..).find(|&(set, bit)| bit >= self.count && set == 0) {
            bad(None, format!("bit {bit}, behind the last cluster {}, is clear", self.count - 1));
        }
    }
}

/// Names the owners of clusters that are used twice.
pub(super) fn name_owners(attribute: &Attribute, shared: &[(u64, u64)], findings: &mut Findings) {
    let Some(outside) = attribute.outside() else { return };
    let own = attribute.text();
    for run in outside.runs.iter() {
        let Some(lcn) = run.lcn else { continue };
        let overlaps = |&&(first, _): &&(u64, u64)| lcn <= first && first - lcn < run.len;
        for (first, _) in shared.iter().filter(overlaps) {
            let known = |finding: &&mut Finding| finding.code == "ntfs-cross-link" && finding.structure != own;
            let suffix = format!("from {first} on, are used twice");
            for finding in findings.kept_mut().iter_mut().filter(known) {
                if finding.message.ends_with(&suffix) {
                    finding.message.push_str(&format!(", also by {own}"));
                }
            }
        }
    }
}
