//! The readers, by kind.

pub mod disks;
pub mod image;
pub mod registry;
pub mod sources;
pub mod texts;
pub mod updates;
pub mod volumes;

use std::io;

use nano_image::content::ReadAt;

/// Bytes read from one input at most: what a huge disk has beyond that is not looked at.
const MAX_READ: u64 = 16 << 20;

/// An input that is read where it is.
struct Input<'a>(&'a [u8]);

impl ReadAt for Input<'_> {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buf, offset)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }
}

/// Reads all of `data`, which must be as long as it says.
fn read_all(data: &dyn ReadAt) -> Option<Vec<u8>> {
    let len = data.len().ok().filter(|len| *len <= MAX_READ)?;
    let mut bytes = vec![0; len as usize];
    data.read_exact_at(&mut bytes, 0).ok()?;
    assert!(data.read_exact_at(&mut [0], len).is_err(), "there is a byte behind the end");
    Some(bytes)
}
