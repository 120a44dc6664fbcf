//! Mapping pairs: the positions of the clusters of a stream.

use crate::content::ReadAt;
use crate::types::{Lcn, Vcn};
use std::io;

/// A contiguous run of clusters of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NtfsRun {
    /// First cluster in the attribute.
    pub vcn: Vcn,
    /// First cluster on the volume; `None` if it is a hole, which reads as zeros.
    pub lcn: Option<Lcn>,
    /// Number of clusters.
    pub clusters: u64,
}

/// Clusters of a stream in one piece.
#[derive(Clone, Copy, Debug)]
struct Run {
    start: Vcn,
    /// `None`: not on the volume, reads as zeros.
    place: Option<Lcn>,
    /// Clusters, at least 1.
    len: u64,
}

/// All runs of a stream from its cluster `first` on, without gaps.
#[derive(Clone, Debug)]
pub(super) struct Runs {
    list: Vec<Run>,
    first: Vcn,
    end: Vcn,
}

impl Runs {
    /// Decodes mapping pairs that begin at cluster `first` of the stream, on a volume of `clusters` clusters of
    /// `cluster_size` bytes; `None` if they are damaged.
    ///
    /// A pair is one byte with the number of bytes of the length (low half) and of the position (high half), then the
    /// length, then the signed distance from the previous position. A pair without a position is a hole. A zero byte
    /// ends the pairs.
    pub fn decode(pairs: &[u8], first: Vcn, clusters: u64, cluster_size: u64) -> Option<Self> {
        let (mut list, mut vcn, mut lcn, mut rest) = (Vec::new(), first.0, 0i64, pairs);
        loop {
            // All positions in a stream are positive signed numbers.
            vcn.checked_mul(cluster_size).filter(|&bytes| bytes <= i64::MAX as u64)?;
            let (&head, after) = rest.split_first()?;
            if head == 0 {
                return Some(Self { list, first, end: Vcn(vcn) });
            }
            let (length, after) = after.split_at_checked(usize::from(head & 15))?;
            let (distance, after) = after.split_at_checked(usize::from(head >> 4))?;
            rest = after;
            let len = unsigned(length)?;
            if len == 0 {
                return None;
            }
            let place = if distance.is_empty() {
                None
            } else {
                lcn = lcn.checked_add(signed(distance)?)?;
                let place = u64::try_from(lcn).ok()?;
                place.checked_add(len).filter(|&end| end <= clusters)?;
                Some(Lcn(place))
            };
            list.push(Run { start: Vcn(vcn), place, len });
            vcn = vcn.checked_add(len)?;
        }
    }

    /// The first cluster.
    pub fn first(&self) -> Vcn {
        self.first
    }

    /// The cluster after the last one.
    pub fn end(&self) -> Vcn {
        self.end
    }

    /// The runs, in ascending order of the stream.
    pub fn list(&self) -> impl Iterator<Item = NtfsRun> + '_ {
        self.list.iter().map(|run| NtfsRun { vcn: run.start, lcn: run.place, clusters: run.len })
    }

    /// The positions of the `count` clusters of the stream from `first` on, in pieces; there may be fewer.
    pub fn pieces(&self, first: Vcn, count: u64) -> Vec<(Option<Lcn>, u64)> {
        let (mut at, end, mut pieces) = (first.0, first.0.saturating_add(count), Vec::new());
        let index = self.list.partition_point(|run| run.start.0 + run.len <= at);
        for run in self.list[index..].iter().take_while(|run| run.start.0 < end) {
            let len = (run.start.0 + run.len).min(end) - at;
            pieces.push((run.place.map(|place| Lcn(place.0 + (at - run.start.0))), len));
            at += len;
        }
        pieces
    }

    /// Appends the runs that follow; `None` if they do not follow these.
    pub fn append(&mut self, other: Runs) -> Option<()> {
        if other.first != self.end || other.list.is_empty() {
            return None;
        }
        self.list.extend(other.list);
        self.end = other.end;
        Some(())
    }

    /// Fills `buf` from byte `offset` of the stream, whose first cluster must be 0.
    pub fn read(&self, volume: &dyn ReadAt, cluster_size: u64, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let (mut buf, mut offset) = (buf, offset);
        while !buf.is_empty() {
            let vcn = offset / cluster_size;
            let after = self.list.partition_point(|run| run.start.0 <= vcn);
            let run = after.checked_sub(1).map(|index| self.list[index]).filter(|run| vcn - run.start.0 < run.len);
            let run = run.ok_or(io::ErrorKind::UnexpectedEof)?;
            let inside = offset - run.start.0 * cluster_size;
            let len = usize::try_from(run.len * cluster_size - inside).map_or(buf.len(), |len| len.min(buf.len()));
            let (piece, rest) = buf.split_at_mut(len);
            match run.place {
                Some(place) => volume.read_exact_at(piece, place.0 * cluster_size + inside)?,
                None => piece.fill(0),
            }
            (buf, offset) = (rest, offset + len as u64);
        }
        Ok(())
    }
}

/// A little-endian number of up to 8 bytes.
fn unsigned(bytes: &[u8]) -> Option<u64> {
    let mut wide = [0; 8];
    wide.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(u64::from_le_bytes(wide))
}

/// A little-endian number of 1 to 8 bytes.
fn signed(bytes: &[u8]) -> Option<i64> {
    let fill = if bytes.last()? & 0x80 != 0 { 0xFF } else { 0 };
    let mut wide = [fill; 8];
    wide.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(i64::from_le_bytes(wide))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_relative_and_may_be_sparse() {
        // 2 clusters at 4, 1 sparse, 3 clusters at 4 − 3.
        let runs = Runs::decode(&[0x11, 2, 4, 0x01, 1, 0x11, 3, 0xFD, 0], Vcn(0), 8, 4).unwrap();
        assert_eq!(runs.end(), Vcn(6));
        let volume: Vec<u8> = (0..32).collect();
        let mut bytes = [0xEE; 14];
        runs.read(&volume, 4, &mut bytes, 5).unwrap();
        assert_eq!(bytes, [21, 22, 23, 0, 0, 0, 0, 4, 5, 6, 7, 8, 9, 10]);
        assert!(runs.read(&volume, 4, &mut bytes, 12).is_err());
    }

    #[test]
    fn damaged_pairs_are_refused() {
        for pairs in [
            &[0x11, 2, 4][..],               // no end
            &[0x11, 2, 7, 0],                // behind the volume
            &[0x11, 2, 0xFE, 0],             // before the volume
            &[0x11, 0, 1, 0],                // no clusters
            &[0x10, 1, 0],                   // no length
            &[0x09, 0, 0, 0, 0, 0, 0, 0, 0], // a number that is too long
        ] {
            assert!(Runs::decode(pairs, Vcn(0), 8, 4096).is_none(), "{pairs:x?}");
        }
    }
}
