//! The preprocessing stream (§9): what the headers of the result hold, and which address became which.

use super::bits::{Bits, Buffer};
use super::rift::Rift;
use crate::error::{Error, Result};

/// What is known of the result, a program.
pub(super) struct Preprocess {
    pub image_base: u64,
    pub time_date_stamp: u32,
    /// Addresses of the result to its offsets.
    pub address_to_offset: Rift,
    /// Addresses of the basis to those of the result.
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

/// A record that is there only for managed code.
fn no_managed_code(bits: &mut Bits<'_>) -> Result<()> {
    let place = bits.place();
    match bits.flag()? {
        false => Ok(()),
        true => Err(Error::unsupported("a delta between files of managed code (.NET)").at(place)),
    }
}
