//! LZX ([MS-PATCH] 2.1 to 2.6), as WIMs and cabinets use it.
//!
//! Home-made, for two reasons: the crate `lzxd` (0.2.7) refuses valid cabinets, leaves calls to the first byte of a
//! folder as they are and overflows on others; and one decoder serves chunks and folders, as fast as libwim's.
//!
//! Input is a row of bits, the highest first, in little-endian words: its words are swapped first, so that eight bytes
//! at a time fill a register (`bits`). A symbol is found by its next bits in a table, whose entry says all that there is
//! to know of it (`entry`, `code`). What differs between the two uses is in `chunk` and `folder`:
//!
//! | | chunk of a WIM | folder of a cabinet |
//! |---|---|---|
//! | state | starts anew | goes on from frame to frame of 32 KiB |
//! | window | as long as the longest chunk | 32 KiB to 2 MiB |
//! | length of a block | a bit for 32 KiB, else 16 bits (24 if chunks may be longer) | 24 bits |
//! | calls (E8) | always, of a file of 12,000,000 bytes | a bit says whether, and 32 bits the size |
//! | stored block of odd length | a byte of padding | that may be in the next frame |
//!
//! Of 7.8 million mutated chunks that libwim got too, and of the 10 million that `scripts/fuzz 500 lzx` makes, what both
//! accept is the same, and what is accepted here, libwim accepts. Some that libwim accepts are refused here:
//!
//! | of 10,000 | chunk | libwim | why it is refused |
//! |---|---|---|---|
//! | 418 | ends within a code | reads zeros | what is missing is not known |
//! | 34 | a run of lengths goes on behind the last symbol | leaves out the rest | no encoder writes it |
//! | 3 | has a length symbol, but no code for them | takes symbol 0 | it says nothing |
//! | < 1 | has an aligned code of no symbols, or repeats a length that is none | takes symbol 0 | it says nothing |

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
