//! The preprocessing stream (§9): values from the headers of the result, and a map from addresses of the basis to those
//! of the result.

use super::bits::{Bits, Buffer};
use super::rift::Rift;
use crate::error::{Error, Result};

/// What is known about the result, if it is a program.
pub(super) struct Preprocess {
    pub image_base: u64,
    pub time_date_stamp: u32,
    /// Maps addresses of the result to its offsets.
    pub address_to_offset: Rift,
    /// Maps addresses of the basis to those of the result.
    pub addresses: Rift,
}

impl Preprocess {
    /// Reads the stream.
    pub fn read(buffer: Buffer<'_>) -> Result<Self> {
        let mut bits = buffer.bits()?;
        let image_base = bits.take(64)?;
        let _check_sum = bits.take(32)?;
        let time_date_stamp = bits.take(32)? as u32;
        let address_to_offset = Rift::read(&mut bits)?;
        no_managed_code(&mut bits)?;
        let addresses = Rift::read(&mut bits)?;
        no_managed_code(&mut bits)?;
        bits.finish()?;
        Ok(Self { image_base, time_date_stamp, address_to_offset, addresses })
    }
}

/// Reads a record that is present only for managed code, which is refused.
fn no_managed_code(bits: &mut Bits<'_>) -> Result<()> {
    let place = bits.place();
    match bits.flag()? {
        false => Ok(()),
        true => Err(Error::unsupported("a delta between files of managed code (.NET)").at(place)),
    }
}
