//! LZX ([MS-PATCH] 2.1 to 2.6), as WIMs and cabinets use it.
//!
//! Our own code, for two reasons. The crate `lzxd` (0.2.7) refuses valid cabinets, does not translate calls in the
//! first byte of a folder, and overflows on others. And one decoder serves chunks and folders, as fast as libwim's.
//!
//! Input is a stream of bits in little-endian words, highest bit first. The bytes of its words are swapped beforehand,
//! so that a register can be filled with eight bytes at a time (`bits`). The next bits are looked up in a table, whose
//! entry says everything about the symbol (`entry`, `code`). What differs between the two uses is in `chunk` and
//! `folder`:
//!
//! | | chunk of a WIM | folder of a cabinet |
//! |---|---|---|
//! | state | starts anew | goes on from frame to frame of 32 KiB |
//! | window | as long as the longest chunk | 32 KiB to 2 MiB |
//! | length of a block | a bit for 32 KiB, else 16 bits (24 if chunks may be longer) | 24 bits |
//! | calls (E8) | always, as in a file of 12,000,000 bytes | a bit says whether, and 32 bits the size |
//! | stored block of odd length | a byte of padding | the padding may be in the next frame |
//!
//! 7.8 million mutated chunks were decoded here and by libwim, and the 10 million that `scripts/fuzz 500 lzx` makes.
//! What both accept gives the same bytes, and libwim accepts everything that is accepted here. Some chunks that libwim
//! accepts are refused here:
//!
//! | of 10,000 | chunk | libwim | why it is refused |
//! |---|---|---|---|
//! | 418 | ends within a code | reads zeros | the missing bits are not known |
//! | 34 | a run of lengths continues behind the last symbol | ignores the rest | no encoder writes it |
//! | 3 | has a length symbol, but no code for length symbols | takes symbol 0 | it has no meaning |
//! | < 1 | has an aligned code of no symbols, or repeats a length that does not exist | takes symbol 0 | it has no meaning |

mod bits;
mod calls;
mod chunk;
mod code;
mod copy;
mod decode;
mod entry;
mod folder;
mod header;

pub use chunk::ChunkDecoder;
pub use folder::FolderDecoder;
