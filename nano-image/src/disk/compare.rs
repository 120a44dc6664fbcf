//! An output that compares instead of writing.

use std::path::PathBuf;

use super::Output;
use super::sink::ZEROS;
use crate::content::{Extent, ReadAt};
use crate::error::{Error, ErrorKind, Result};

/// Bytes that are read at once.
const READ_SIZE: u64 = 1 << 20;

/// The first byte that differs. A side is `None` if its file has ended before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteDifference {
    /// File offset.
    pub offset: u64,
    /// The byte that should be there.
    pub expected: Option<u8>,
    /// The byte that is there.
    pub found: Option<u8>,
    /// The bytes of the disk that the byte belongs to, if they are compressed.
    pub packed: Option<Extent>,
}

/// Compares what it gets with a file. The first difference ends the pass: the call that meets it fails, and
/// [`difference`](Self::difference) returns it.
pub struct CompareOutput<'f> {
    file: &'f dyn ReadAt,
    path: PathBuf,
    len: u64,
    /// File offset of the next byte.
    position: u64,
    buffer: Vec<u8>,
    /// File offset of the first byte in `buffer`.
    buffer_start: u64,
    /// The bytes of the disk that the next bytes stand for, if these are compressed.
    packed: Option<Extent>,
    difference: Option<ByteDifference>,
}

impl<'f> CompareOutput<'f> {
    /// Compares with `file`, which errors call `path`.
    pub fn new(file: &'f dyn ReadAt, path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let len = file.len().map_err(|error| Error::io("read", &path, error))?;
        Ok(Self { file, path, len, position: 0, buffer: Vec::new(), buffer_start: 0, packed: None, difference: None })
    }

    /// The first difference, if there is one so far.
    pub fn difference(&self) -> Option<ByteDifference> {
        self.difference
    }

    fn expect(&mut self, mut bytes: &[u8]) -> Result<()> {
        while let Some(&first) = bytes.first() {
            if self.position == self.len {
                return Err(self.differs(self.position, Some(first), None));
            }
            if self.position == self.buffer_start + self.buffer.len() as u64 {
                self.buffer.resize(READ_SIZE.min(self.len - self.position) as usize, 0);
                self.buffer_start = self.position;
                self.file
                    .read_exact_at(&mut self.buffer, self.position)
                    .map_err(|error| Error::io("read", &self.path, error).at(self.position))?;
            }
            let found = &self.buffer[(self.position - self.buffer_start) as usize..];
            let count = found.len().min(bytes.len());
            if let Some(at) = first_difference(&found[..count], &bytes[..count]) {
                let (expected, found) = (Some(bytes[at]), Some(found[at]));
                return Err(self.differs(self.position + at as u64, expected, found));
            }
            (bytes, self.position) = (&bytes[count..], self.position + count as u64);
        }
        Ok(())
    }

    fn differs(&mut self, offset: u64, expected: Option<u8>, found: Option<u8>) -> Error {
        self.difference = Some(ByteDifference { offset, expected, found, packed: self.packed });
        Error::new(ErrorKind::Cancelled, "not what is built").with_path(&self.path).at(offset)
    }
}

impl Output for CompareOutput<'_> {
    fn stand_for(&mut self, disk: Option<Extent>) {
        self.packed = disk;
    }

    fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        self.expect(bytes)
    }

    fn skip(&mut self, mut zeros: u64) -> Result<()> {
        while zeros > 0 {
            let count = zeros.min(ZEROS.len() as u64);
            self.expect(&ZEROS[..count as usize])?;
            zeros -= count;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        if self.position == self.len {
            return Ok(());
        }
        let mut byte = [0];
        let read = self.file.read_exact_at(&mut byte, self.position);
        read.map_err(|error| Error::io("read", &self.path, error).at(self.position))?;
        Err(self.differs(self.position, None, Some(byte[0])))
    }
}

fn first_difference(a: &[u8], b: &[u8]) -> Option<usize> {
    // Comparing slices is fast; searching for the position is not.
    if a == b { None } else { a.iter().zip(b).position(|(a, b)| a != b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares with zeros from 100 to 2 MiB, followed by three bytes.
    fn check(file: &[u8]) -> Option<ByteDifference> {
        let file = file.to_vec();
        let mut compare = CompareOutput::new(&file, "file").unwrap();
        let result = compare
            .write_all(&[7; 100])
            .and_then(|()| compare.skip((2 << 20) - 100))
            .and_then(|()| compare.write_all(b"end"))
            .and_then(|()| compare.finish());
        assert_eq!(result.is_err(), compare.difference().is_some());
        compare.difference()
    }

    #[test]
    fn the_first_difference_is_found_wherever_it_is() {
        let mut file = vec![7; 100];
        file.resize(2 << 20, 0);
        file.extend(b"end");
        assert_eq!(check(&file), None);
        for at in [0, 99, 100, (1 << 20) - 1, 1 << 20, (2 << 20) + 2] {
            let mut other = file.clone();
            other[at] ^= 0x80;
            *other.last_mut().unwrap() ^= 1;
            let (expected, found) = (Some(file[at]), Some(other[at]));
            assert_eq!(check(&other), Some(ByteDifference { offset: at as u64, expected, found, packed: None }));
        }
        let end = file.len() as u64;
        let cut = ByteDifference { offset: end - 1, expected: Some(b'd'), found: None, packed: None };
        assert_eq!(check(&file[..file.len() - 1]), Some(cut));
        file.push(3);
        assert_eq!(check(&file), Some(ByteDifference { offset: end, expected: None, found: Some(3), packed: None }));
        assert_eq!(check(&[]), Some(ByteDifference { offset: 0, expected: Some(7), found: None, packed: None }));
    }
}
