//! Headers of a program, and the position in the file of each address.

pub(super) mod format;

use std::ops::Range;

use zerocopy::FromBytes;

use crate::error::{Error, Result};
use format::{Coff, Directory, Optional32, Optional64, OptionalRest, Section};

/// More sections than this are refused; for a long time Windows loaded no programs with more than 96.
const MAX_SECTIONS: u16 = 256;

/// What the headers of a program say. Offsets are positions in the file; addresses (RVA) are positions in memory,
/// counted from the base.
#[derive(Clone, Debug)]
pub(super) struct Pe {
    pub machine: u16,
    /// Whether it is PE32+.
    pub is_64: bool,
    pub image_base: u64,
    pub size_of_image: u32,
    pub size_of_headers: u32,
    pub sections: Vec<Section>,
    directories: [Directory; format::DIRECTORY_COUNT],
    /// Offsets of the COFF header, the optional header and the section table.
    pub coff: usize,
    pub optional: usize,
    pub section_table: usize,
}

impl Pe {
    /// Reads the headers of `file`.
    pub fn parse(file: &[u8]) -> Result<Self> {
        let none = |at: usize| Error::corrupt("not an executable file").at(at as u64);
        if !file.starts_with(&format::DOS_MAGIC) {
            return Err(none(0));
        }
        let coff_offset = read_u32(file, format::HEADER_OFFSET).ok_or_else(|| none(0))? as usize;
        let (coff, optional_bytes) = tail::<Coff>(file, coff_offset)?;
        if coff.magic != format::PE_MAGIC {
            return Err(none(coff_offset));
        }
        let optional = coff_offset + size_of::<Coff>();
        let kind = optional_bytes.first_chunk().map_or(0, |bytes| u16::from_le_bytes(*bytes));
        let (is_64, image_base, rest, count, directories) = match kind {
            format::PE32 => {
                let (header, bytes) = tail::<Optional32>(file, optional)?;
                (false, header.image_base.get().into(), header.rest, header.directory_count, bytes)
            }
            format::PE32_PLUS => {
                let (header, bytes) = tail::<Optional64>(file, optional)?;
                (true, header.image_base.get(), header.rest, header.directory_count, bytes)
            }
            kind => {
                let message = format!("an optional header of kind {kind:#x}");
                return Err(Error::corrupt(message).at(optional as u64));
            }
        };
        let OptionalRest { size_of_image, size_of_headers, .. } = rest;
        let section_table = optional + usize::from(coff.optional_len.get());
        // If the header is too short for all its directories, the list of directories ends with it.
        let directories_len = section_table.saturating_sub(file.len() - directories.len());
        let present = (count.get() as usize).min(directories_len / size_of::<Directory>());
        let mut all = [Directory::default(); format::DIRECTORY_COUNT];
        for (place, bytes) in all.iter_mut().zip(directories.chunks_exact(size_of::<Directory>()).take(present)) {
            *place = Directory::read_from_bytes(bytes).expect("a chunk of its size");
        }
        let section_count = coff.section_count.get();
        if section_count > MAX_SECTIONS {
            let message = format!("an executable file with {section_count} sections");
            return Err(Error::unsupported(message).at(coff_offset as u64));
        }
        let mut sections = Vec::new();
        for index in 0..usize::from(section_count) {
            sections.push(tail::<Section>(file, section_table + size_of::<Section>() * index)?.0);
        }
        Ok(Self {
            machine: coff.machine.get(),
            is_64,
            image_base,
            size_of_image: size_of_image.get(),
            size_of_headers: size_of_headers.get(),
            sections,
            directories: all,
            coff: coff_offset,
            optional,
            section_table,
        })
    }

    /// Whether it is a program for i386 with the headers (PE32) that such programs have.
    pub fn is_i386(&self) -> bool {
        self.machine == format::MACHINE_I386 && !self.is_64
    }

    /// Whether it is a program for AMD64 with the headers (PE32+) that such programs have.
    pub fn is_amd64(&self) -> bool {
        self.machine == format::MACHINE_AMD64 && self.is_64
    }

    /// Address and size of a data directory; `None` if it is missing.
    pub fn directory(&self, index: usize) -> Option<(u32, u32)> {
        let Directory { rva, size } = self.directories[index];
        (rva != 0 && size != 0).then(|| (rva.get(), size.get()))
    }

    /// The position in the file of the byte at address `rva`. It may lie behind the data of its section, which can be
    /// longer in memory.
    pub fn offset(&self, rva: u32) -> Option<usize> {
        if rva < self.size_of_headers {
            return Some(rva as usize);
        }
        let section = self.section(rva)?;
        Some(section.raw_offset.get() as usize + (rva - section.rva.get()) as usize)
    }

    /// The section that contains address `rva`.
    pub fn section(&self, rva: u32) -> Option<&Section> {
        self.sections.iter().find(|section| {
            let len = section.virtual_size.get().max(section.raw_size.get());
            rva.checked_sub(section.rva.get()).is_some_and(|offset| offset < len)
        })
    }
}

impl Section {
    /// The bytes of the file that are code; empty if there are none.
    pub fn code(&self) -> Range<usize> {
        let start = self.raw_offset.get() as usize;
        if self.characteristics.get() & format::EXECUTE == 0 {
            return start..start;
        }
        start..start + self.virtual_size.get().min(self.raw_size.get()) as usize
    }
}

/// The u16 at `at` of `bytes`.
pub(super) fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_le_bytes(*bytes))
}

/// The u32 at `at` of `bytes`.
pub(super) fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

/// The u64 at `at` of `bytes`.
pub(super) fn read_u64(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

/// Reads a header at `offset`; also returns the bytes after it.
fn tail<T: FromBytes>(file: &[u8], offset: usize) -> Result<(T, &[u8])> {
    let found = file.get(offset..).and_then(|bytes| T::read_from_prefix(bytes).ok());
    found.ok_or_else(|| Error::corrupt("the executable file is truncated").at(offset as u64))
}
