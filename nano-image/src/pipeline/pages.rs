//! In which pages two disks of one recipe differ, found by their layouts: no blob is read for it.

use crate::content::{BlobRequest, Extent};
use crate::volume::ntfs::Piece;

/// Bytes of a page, the grain of differencing disks.
pub(super) const PAGE: u64 = 4096;

/// Bytes of a page.
pub(super) type Page = [u8; PAGE as usize];

/// The contents of a disk by offset: pieces in ascending order that do not overlap.
pub(super) type Pieces<'a> = [(u64, Piece<'a>)];

/// The pages in which `other` differs from `golden`. `is_other` says whether a blob of `other` differs from the golden
/// image's blob of the same number.
pub(super) fn differing(
    golden: &Pieces<'_>,
    other: &Pieces<'_>,
    is_other: &dyn Fn(&BlobRequest) -> bool,
) -> Vec<Extent> {
    let mut pages = Pages::default();
    let (mut left, mut right) = (Cursor::new(golden), Cursor::new(other));
    let mut at = 0;
    while let Some(end) = [left.end(at), right.end(at)].into_iter().flatten().min() {
        match (left.view(at, end), right.view(at, end)) {
            (View::Zeros, View::Zeros) | (View::Ones, View::Ones) => {}
            (View::Bytes(one), View::Bytes(two)) if one == two => {}
            (View::Bytes(one), View::Bytes(two)) => pages.add_bytes(at, one.len(), |at| one[at] != two[at]),
            (View::Bytes(bytes), View::Zeros) | (View::Zeros, View::Bytes(bytes)) => {
                pages.add_bytes(at, bytes.len(), |at| bytes[at] != 0);
            }
            (View::Bytes(bytes), View::Ones) | (View::Ones, View::Bytes(bytes)) => {
                pages.add_bytes(at, bytes.len(), |at| bytes[at] != 0xFF);
            }
            (View::Blob(one, from), View::Blob(two, also)) if (one, from) == (two, also) && !is_other(two) => {}
            _ => pages.add(at, end),
        }
        at = end;
    }
    pages.0
}

/// The bytes of the page at `at`; `None` if it holds a part of a blob.
pub(super) fn page(pieces: &Pieces<'_>, at: u64) -> Option<Page> {
    let mut page = [0; PAGE as usize];
    let first = pieces.partition_point(|(start, piece)| start + piece.size() <= at);
    for (start, piece) in pieces[first..].iter().take_while(|(start, _)| *start < at + PAGE) {
        let (from, end) = ((*start).max(at), (start + piece.size()).min(at + PAGE));
        let target = &mut page[(from - at) as usize..(end - at) as usize];
        match piece {
            Piece::Bytes(bytes) => target.copy_from_slice(&bytes[(from - start) as usize..(end - start) as usize]),
            Piece::Ones(_) => target.fill(0xFF),
            Piece::Blob(..) => return None,
        }
    }
    Some(page)
}

/// The contents of one piece.
enum View<'p> {
    Zeros,
    Ones,
    Bytes(&'p [u8]),
    /// A blob, from this byte on.
    Blob(&'p BlobRequest, u64),
}

struct Cursor<'p, 'a> {
    pieces: &'p Pieces<'a>,
}

impl<'p, 'a> Cursor<'p, 'a> {
    fn new(pieces: &'p Pieces<'a>) -> Self {
        Self { pieces }
    }

    /// The end of the piece, or of the gap, at `at`; `None` behind the last piece.
    fn end(&mut self, at: u64) -> Option<u64> {
        while let Some((start, piece)) = self.pieces.first() {
            if *start > at {
                return Some(*start);
            }
            if start + piece.size() > at {
                return Some(start + piece.size());
            }
            self.pieces = &self.pieces[1..];
        }
        None
    }

    /// The contents from `at` to `end`. No piece begins or ends between the two.
    fn view(&self, at: u64, end: u64) -> View<'p> {
        match self.pieces.first() {
            Some((start, piece)) if *start <= at => match piece {
                Piece::Bytes(bytes) => View::Bytes(&bytes[(at - start) as usize..(end - start) as usize]),
                Piece::Ones(_) => View::Ones,
                Piece::Blob(blob, _) => View::Blob(blob, at - start),
            },
            _ => View::Zeros,
        }
    }
}

/// Pages in ascending order that do not touch each other.
#[derive(Default)]
struct Pages(Vec<Extent>);

impl Pages {
    fn add(&mut self, start: u64, end: u64) {
        let (start, end) = (start / PAGE * PAGE, end.next_multiple_of(PAGE));
        match self.0.last_mut() {
            Some(last) if start <= last.end() => last.len = last.len.max(end - last.start),
            _ => self.0.push(Extent { start, len: end - start }),
        }
    }

    /// Adds the pages that hold the `len` bytes at `start`; these have a byte that differs.
    fn add_bytes(&mut self, start: u64, len: usize, differs: impl Fn(usize) -> bool) {
        let mut at = 0;
        while at < len {
            let page_end = ((start + at as u64) / PAGE + 1) * PAGE;
            let end = ((page_end - start) as usize).min(len);
            if (at..end).any(&differs) {
                self.add(start + at as u64, start + end as u64);
            }
            at = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{BlobForm, BlobId};

    fn blob(id: u32) -> Piece<'static> {
        Piece::Blob(BlobRequest { id: BlobId(id), form: BlobForm::Contents }, 9000)
    }

    fn bytes(len: usize, at: usize) -> Piece<'static> {
        let mut bytes = vec![0; len];
        bytes[at] = 1;
        Piece::Bytes(bytes.into())
    }

    #[test]
    fn pages_that_differ_are_found_whatever_the_pieces_are() {
        let found = |one: &Pieces<'_>, two: &Pieces<'_>| {
            let pages = |a, b| differing(a, b, &|blob| blob.id.0 == 9);
            let both = pages(one, two);
            assert_eq!(both, pages(two, one));
            both.iter().map(|extent| (extent.start / PAGE, extent.len / PAGE)).collect::<Vec<_>>()
        };
        let none: [(u64, u64); 0] = [];
        assert_eq!(found(&[(0, blob(1))], &[(0, blob(1))]), none);
        assert_eq!(found(&[(0, blob(1))], &[(0, blob(2))]), [(0, 3)]);
        assert_eq!(found(&[(0, blob(1))], &[(4096, blob(1))]), [(0, 4)]);
        assert_eq!(found(&[(0, blob(9))], &[(0, blob(9))]), [(0, 3)]);
        assert_eq!(found(&[(0, bytes(20_000, 5000))], &[(0, bytes(20_000, 13_000))]), [(1, 1), (3, 1)]);
        assert_eq!(found(&[(0, bytes(9000, 5000))], &[(4096, bytes(4904, 904))]), none);
        assert_eq!(found(&[(100, bytes(9000, 8000))], &[]), [(1, 1)]);
        assert_eq!(found(&[(0, Piece::Ones(9000))], &[(0, Piece::Ones(8192))]), [(2, 1)]);
    }

    #[test]
    fn a_page_is_put_together_of_what_lies_in_it() {
        let pieces = [(100, bytes(5000, 0)), (5100, Piece::Ones(10)), (8192, blob(1))];
        let (first, second) = (page(&pieces, 0).unwrap(), page(&pieces, PAGE).unwrap());
        assert_eq!((first[100], first.iter().filter(|byte| **byte != 0).count()), (1, 1));
        assert_eq!(second.iter().position(|byte| *byte == 0xFF), Some(5100 - 4096));
        assert_eq!(second.iter().filter(|byte| **byte != 0).count(), 10);
        assert!(page(&pieces, 2 * PAGE).is_none());
        assert_eq!(page(&pieces, 100 * PAGE), Some([0; PAGE as usize]));
    }
}
