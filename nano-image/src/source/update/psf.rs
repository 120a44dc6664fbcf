//! `.psf` files: the parts of an update one after another, with an index beside the file or inside it.

use crate::content::{Extent, ReadAt};
use crate::error::{Error, Result};

/// The first bytes of the file.
const MAGIC: [u8; 8] = *b"PSTREAM\0";
/// Where the index begins if the second number in the file is its length.
const INDEX: u64 = 0x80;
/// Offset and length of the index of older files.
const OLD_INDEX: usize = 40;
/// The longest index, in bytes.
const MAX_INDEX: u64 = 1 << 30;

/// Where in the `.psf` file `data` its own index is, a delta that needs no basis; `None` if it has none.
///
/// # Errors
/// [`Io`](crate::ErrorKind::Io), and [`Corrupt`](crate::ErrorKind::Corrupt) for a file that is too short.
pub fn embedded_index(data: &dyn ReadAt) -> Result<Option<Extent>> {
    let io = |error| Error::io("read the update", "", error);
    let len = data.len().map_err(io)?;
    let mut start = [0; 48];
    if len < INDEX {
        return Err(Error::corrupt("a .psf file that ends in its header").at(len));
    }
    data.read_exact_at(&mut start, 0).map_err(io)?;
    let number = |at: usize| u64::from(u32::from_le_bytes([start[at], start[at + 1], start[at + 2], start[at + 3]]));
    let (new, old) =
        (Extent { start: INDEX, len: number(4) }, Extent { start: number(OLD_INDEX), len: number(OLD_INDEX + 4) });
    let candidates = if start[..8] == MAGIC { vec![old] } else { vec![new, old] };
    for extent in candidates {
        let fits = extent.len > 4 && extent.len <= MAX_INDEX && extent.start + extent.len <= len;
        let mut magic = [0; 4];
        if fits && data.read_exact_at(&mut magic, extent.start).is_ok() && matches!(&magic, b"PA30" | b"PA31") {
            return Ok(Some(extent));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(at: usize, numbers: [u32; 2], index: usize) -> Vec<u8> {
        let mut bytes = vec![0; 200];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[at..at + 4].copy_from_slice(&numbers[0].to_le_bytes());
        bytes[at + 4..at + 8].copy_from_slice(&numbers[1].to_le_bytes());
        bytes[index..index + 4].copy_from_slice(b"PA30");
        bytes
    }

    #[test]
    fn an_index_is_found_where_it_may_be() {
        assert_eq!(embedded_index(&file(40, [150, 20], 150)).unwrap(), Some(Extent { start: 150, len: 20 }));
        assert_eq!(embedded_index(&file(40, [150, 60], 150)).unwrap(), None);
        assert_eq!(embedded_index(&file(4, [30, 0], 128)).unwrap(), Some(Extent { start: 128, len: 30 }));
        assert_eq!(embedded_index(&vec![0; 200]).unwrap(), None);
        assert!(embedded_index(&vec![0; 50]).is_err());
    }
}
