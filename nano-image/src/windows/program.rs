//! Programs (PE files), as far as firmware examines them ("PE Format" on learn.microsoft.com).

use crate::types::Architecture;

/// Numbers of processors in programs.
pub const AMD64: u16 = 0x8664;
#[allow(missing_docs)]
pub const ARM64: u16 = 0xAA64;
#[allow(missing_docs)]
pub const I386: u16 = 0x014C;
#[allow(missing_docs)]
pub const ARM: u16 = 0x01C4;

/// Bytes of the file header behind the signature, and of a section's header.
const FILE_HEADER: usize = 20;
const SECTION_HEADER: usize = 40;
/// Number of the directory of certificates.
const CERTIFICATES: usize = 4;

/// The processor for which `program` is; `None` if it is not a program.
pub fn machine(program: &[u8]) -> Option<u16> {
    word(program, header(program)? + 4)
}

/// The architecture for which `program` is.
pub fn architecture(program: &[u8]) -> Option<Architecture> {
    match machine(program)? {
        AMD64 => Some(Architecture::Amd64),
        ARM64 => Some(Architecture::Arm64),
        I386 => Some(Architecture::X86),
        ARM => Some(Architecture::Arm),
        _ => None,
    }
}

/// Whether a program has a signature (an attribute certificate); `None` if it is not a program. The signer and the
/// validity are not checked.
pub fn is_signed(program: &[u8]) -> Option<bool> {
    let optional = header(program)? + 4 + FILE_HEADER;
    // Fields before the directories, for 32 and 64 bits.
    let fields = match word(program, optional)? {
        0x010B => 96,
        0x020B => 112,
        _ => return None,
    };
    let directories = long(program, optional + fields - 4)?;
    let entry = optional + fields + CERTIFICATES * 8;
    Some(directories > CERTIFICATES && long(program, entry)? > 0 && long(program, entry + 4)? > 0)
}

/// Checks that firmware for `expected` can start `program`.
pub fn check(program: &[u8], expected: u16) -> Result<(), String> {
    let header = header(program).ok_or("is not a program (PE)")?;
    let machine = word(program, header + 4).ok_or("is not a program (PE)")?;
    if machine != expected {
        return Err(format!("is a program for {}, not for {}", name(machine), name(expected)));
    }
    let (sections, optional) = (word(program, header + 6), word(program, header + FILE_HEADER));
    let (Some(sections), Some(optional)) = (sections, optional) else {
        return Err("is cut off in its header".to_owned());
    };
    let first = header + 4 + FILE_HEADER + usize::from(optional);
    for index in 0..usize::from(sections) {
        let at = first + index * SECTION_HEADER;
        let end = long(program, at + 16).and_then(|len| Some(len + long(program, at + 20)?));
        if end.is_none_or(|end| end > program.len()) {
            return Err(format!("is cut off: it has {} bytes, and a section ends behind them", program.len()));
        }
    }
    Ok(())
}

/// Position of the signature of a program.
fn header(program: &[u8]) -> Option<usize> {
    let at = long(program, 0x3C).filter(|_| program.starts_with(b"MZ"))?;
    (program.get(at..at.checked_add(4)?)? == b"PE\0\0").then_some(at)
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn long(bytes: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(word(bytes, at)?) | usize::from(word(bytes, at.checked_add(2)?)?) << 16)
}

fn name(machine: u16) -> String {
    match machine {
        AMD64 => "x64".into(),
        ARM64 => "ARM64".into(),
        I386 => "x86".into(),
        ARM => "ARM".into(),
        other => format!("the unknown processor {other:#06x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_a_directory_with_bytes() {
        let mut bytes = vec![0; 0x200];
        bytes[..2].copy_from_slice(b"MZ");
        bytes[0x3C] = 0x80;
        bytes[0x80..0x84].copy_from_slice(b"PE\0\0");
        for (magic, fields) in [(0x010B_u16, 96), (0x020B, 112)] {
            bytes[0x98..0x9A].copy_from_slice(&magic.to_le_bytes());
            let (count, entry) = (0x98 + fields - 4, 0x98 + fields + 32);
            for (directories, offset, len, expected) in [(16, 9, 8, true), (16, 9, 0, false), (4, 9, 8, false)] {
                (bytes[count], bytes[entry], bytes[entry + 4]) = (directories, offset, len);
                assert_eq!(is_signed(&bytes), Some(expected), "{magic:x} {directories} {len}");
            }
            (bytes[count], bytes[entry], bytes[entry + 4]) = (0, 0, 0);
        }
        assert_eq!((is_signed(&bytes[..0x98]), is_signed(b"text")), (None, None));
    }

    #[test]
    fn a_program_is_for_one_processor_and_whole() {
        let mut bytes = vec![0; 0x200];
        bytes[..2].copy_from_slice(b"MZ");
        bytes[0x3C] = 0x80;
        bytes[0x80..0x84].copy_from_slice(b"PE\0\0");
        bytes[0x84..0x88].copy_from_slice(&[0x64, 0x86, 1, 0]);
        // One section of 0x100 bytes at 0x100.
        bytes[0x98 + 17] = 1;
        bytes[0x98 + 21] = 1;
        assert_eq!((machine(&bytes), check(&bytes, AMD64)), (Some(AMD64), Ok(())));
        assert!(check(&bytes, ARM64).unwrap_err().contains("for x64, not for ARM64"));
        assert!(check(&bytes[..0x1FF], AMD64).unwrap_err().contains("cut off"));
        assert!(check(&[0; 100], AMD64).unwrap_err().contains("not a program"));
        for len in 0..0x98 {
            assert!(check(&bytes[..len], AMD64).is_err(), "{len}");
        }
        bytes[0x3C..0x40].fill(0xFF);
        assert_eq!(machine(&bytes), None);
    }
}
