//! `lzx`: how fast the chunks of a WIM decompress, compared with libwim.

use std::path::Path;
use std::time::{Duration, Instant};

use nano_image::content::{BlobId, WofAlgorithm};
use nano_image::source::wim::{Compression, ResourceForm, Wim, WofDecompressor};

use crate::Failure;
use crate::results::Spread;

/// How many chunks one decoder takes before the other's turn, so that both meet the same noise.
const TURN: usize = 32;

/// A chunk as it is stored, and its length when decompressed.
type Chunk = (Vec<u8>, usize);

/// Prints the speed of one core in MB/s of decompressed bytes, and the ratio within each round.
pub fn run(wim: &Path, rounds: usize) -> Result<(), Failure> {
    let chunks = chunks(wim)?;
    let bytes: usize = chunks.iter().map(|(_, len)| len).sum();
    let names = ["libwim", "nano-image"];
    let mut decoders = [WofDecompressor::libwim(WofAlgorithm::Lzx)?, WofDecompressor::new(WofAlgorithm::Lzx)?];
    let mut times: [Vec<f64>; 2] = Default::default();
    let mut outputs = [vec![0; 1 << 15], vec![0; 1 << 15]];
    // The first round warms up and compares.
    for round in 0..=rounds {
        let mut spent = [Duration::ZERO; 2];
        for turn in chunks.chunks(TURN) {
            for ((decoder, output), spent) in decoders.iter_mut().zip(&mut outputs).zip(&mut spent) {
                let start = Instant::now();
                let all = turn.iter().all(|(chunk, len)| decoder.decompress(chunk, &mut output[..*len]));
                *spent += start.elapsed();
                if !all {
                    return Err("a chunk does not decompress".into());
                }
            }
            if outputs[0] != outputs[1] {
                return Err("the decoders differ".into());
            }
        }
        if round > 0 {
            times.iter_mut().zip(spent).for_each(|(times, spent)| times.push(spent.as_secs_f64()));
        }
    }
    println!("{:<28} {:>9} {:>9} {:>9}", format!("LZX, {} chunks (MB/s)", chunks.len()), "median", "min", "max");
    for (name, times) in names.iter().zip(&times) {
        if let Some(Spread { median, min, max }) = Spread::of(times.iter().map(|time| bytes as f64 / 1e6 / time)) {
            println!("{name:<28} {median:>9.1} {min:>9.1} {max:>9.1}");
        }
    }
    if let Some(Spread { median, min, max }) =
        Spread::of(times[0].iter().zip(&times[1]).map(|(one, other)| one / other))
    {
        println!("{:<28} {median:>9.3} {min:>9.3} {max:>9.3}", "times libwim's speed");
    }
    Ok(())
}

/// The chunks of all blobs that are compressed with LZX in chunks of 32 KiB.
fn chunks(wim: &Path) -> Result<Vec<Chunk>, Failure> {
    let wim = Wim::open(wim, &[])?;
    let mut found = Vec::new();
    for id in (0..wim.store().blob_count()).map(BlobId) {
        let resource = wim.store().resource(id);
        let is_plain = resource.form == ResourceForm::Plain && resource.compression == Compression::Lzx;
        let Some((data, extent)) = wim.store().stored(id).filter(|_| is_plain && resource.chunk_size == 1 << 15) else {
            continue;
        };
        let mut stored = vec![0; extent.len as usize];
        data.read_exact_at(&mut stored, extent.start)?;
        // Offsets of all chunks except the first, counted from the end of the table.
        let count = resource.len.div_ceil(1 << 15) as usize;
        let (table, stored) = stored.split_at(4 * (count - 1));
        let offsets = table.as_chunks().0.iter().map(|offset| u32::from_le_bytes(*offset) as usize);
        let ends = offsets.clone().chain([stored.len()]);
        for (index, (start, end)) in [0].into_iter().chain(offsets).zip(ends).enumerate() {
            let len = (resource.len as usize - (index << 15)).min(1 << 15);
            if end - start < len {
                found.push((stored[start..end].to_vec(), len));
            }
        }
    }
    if found.is_empty() { Err("no chunks of 32 KiB that are compressed with LZX".into()) } else { Ok(found) }
}
