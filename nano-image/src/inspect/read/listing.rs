//! Lists of files, with one row for each.

use std::collections::BTreeMap;

use super::files::{FileId, FileNumber, Files, Kind};
use super::image::Image;
use crate::error::{Error, Result};
use crate::inspect::model::{FileRow, StreamRow};
use crate::inspect::tell::words::{attribute_text, fat_time_text, time_text};
use crate::types::text::utf16_lossy;
use crate::volume::ntfs::format::{attribute_flag, attribute_type};
use crate::windows::contents::wof;

/// A file with no more names than this is looked up again for each of them.
const FEW_LINKS: u32 = 8;
const TAG_JUNCTION: u32 = 0xA000_0003;
const TAG_SYMLINK: u32 = 0xA000_000C;

/// Target of a junction or symbolic link ([MS-FSCC] 2.1.2.4, 2.1.2.5); `None` if it is neither, or damaged.
pub(crate) fn reparse_target(data: &[u8]) -> Option<String> {
    let word = |at: usize| Some(usize::from(u16::from_le_bytes(*data.get(at..)?.first_chunk()?)));
    let tag = u32::from_le_bytes(*data.first_chunk()?);
    let (name, names) = match tag {
        TAG_JUNCTION => ("junction", 16),
        TAG_SYMLINK => ("symbolic link", 20),
        _ => return None,
    };
    // The name that is followed, not the one that is shown to users.
    let (offset, len) = (word(8)?, word(10)?);
    let target = utf16_lossy(data.get(names + offset..names + offset + len)?);
    Some(format!("{name} to {target}"))
}

/// Calls `visit` with all files and directories of `image`, or of partition `partition`. Returns notes about what
/// cannot be read.
///
/// # Errors
/// Errors of `visit`; those of [`Image::files`] for a given partition.
pub fn list_files(
    image: &Image,
    partition: Option<u32>,
    visit: &mut dyn FnMut(&FileRow) -> Result<()>,
) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    for number in image.partition_table().partitions.iter().map(|partition| partition.number) {
        if partition.is_some_and(|wanted| wanted != number) {
            continue;
        }
        let files = match image.files(number) {
            Ok(files) => files,
            Err(error) if partition.is_some() => return Err(error),
            Err(_) => continue,
        };
        let mut stopped = None;
        // Rows of files with many names, and how many of these names are still to come.
        let mut known: BTreeMap<u64, (FileRow, u32)> = BTreeMap::new();
        let walked = files.walk(files.root()?, "", &mut |path, _, file| {
            match linked_row(&files, path, file, &mut known) {
                Ok(row) => visit(&row).map_err(|error| {
                    stopped = Some(error);
                    Error::cancelled()
                })?,
                Err(error) => notes.push(format!("partition {number}: {path}: {error}")),
            }
            Ok(true)
        });
        match (stopped, walked) {
            (Some(error), _) => return Err(error),
            (None, Err(error)) => notes.push(format!("partition {number}: {error}")),
            (None, Ok(())) => {}
        }
    }
    if let Some(wanted) = partition
        && !image.partition_table().partitions.iter().any(|partition| partition.number == wanted)
    {
        image.files(wanted)?;
    }
    Ok(notes)
}

/// The row of a file. For a file with many names it is made once.
fn linked_row(
    files: &Files<'_>,
    path: &str,
    file: FileId,
    known: &mut BTreeMap<u64, (FileRow, u32)>,
) -> Result<FileRow> {
    let Some(number) = file.number() else { return row(files, path, file) };
    if let Some((row, left)) = known.get_mut(&number) {
        let row = FileRow { path: format!("\\{path}"), ..row.clone() };
        *left -= 1;
        if *left == 0 {
            known.remove(&number);
        }
        return Ok(row);
    }
    let row = row(files, path, file)?;
    if row.links > FEW_LINKS {
        known.insert(number, (row.clone(), row.links - 1));
    }
    Ok(row)
}

fn row(files: &Files<'_>, path: &str, file: FileId) -> Result<FileRow> {
    let mut row = FileRow {
        partition: files.partition(),
        path: format!("\\{path}"),
        directory: file.is_directory(),
        links: 1,
        ..FileRow::default()
    };
    if let (Kind::Fat(fat), FileNumber::Fat(Some(index))) = (files.kind(), file.number) {
        let entry = &fat.entries[index];
        row.size = entry.size.into();
        row.attributes = attribute_text(entry.attributes.into());
        row.allocated = fat.reader.extents(entry)?.iter().map(|extent| extent.len).sum();
        row.modified = fat_time_text(entry.modified);
        return Ok(row);
    }
    let (Some(found), Some(reader)) = (files.ntfs_file(file)?, files.ntfs()) else { return Ok(row) };
    row.links = found.link_count() as u32;
    let directory = if row.directory { crate::tree::attribute::DIRECTORY } else { 0 };
    let bits = found.standard_information().map_or(0, |facts| facts.attributes.get());
    row.attributes = attribute_text(bits | directory);
    row.modified = found.times().map(|times| time_text(times[1])).unwrap_or_default();
    row.size = found.streams().find(|(name, _)| name.units().is_empty()).map_or(0, |(_, size)| size);
    let clusters = found.attributes().flat_map(|attribute| attribute.runs()).filter(|run| run.lcn.is_some());
    row.allocated = clusters.map(|run| run.clusters).sum::<u64>() * reader.cluster_size().bytes();
    row.streams =
        files.named_streams(file)?.into_iter().map(|(name, size)| StreamRow { name: name.to_string(), size }).collect();
    let data = found.attributes().find(|data| data.kind() == attribute_type::DATA && data.name().units().is_empty());
    if data.is_some_and(|data| data.flags() & attribute_flag::COMPRESSION_MASK != 0) {
        row.compression = Some("LZNT1".to_owned());
    }
    match found.reparse_tag() {
        Some(wof::TAG) => row.compression = wof::algorithm(&found)?.map(|algorithm| wof::name(algorithm).to_owned()),
        Some(tag) => {
            let data = reader.attribute_value(&found, attribute_type::REPARSE_POINT, "", 16 << 10)?;
            let target = data.as_deref().and_then(reparse_target);
            row.target = Some(target.unwrap_or_else(|| format!("reparse point {tag:#010x}")));
        }
        None => {}
    }
    Ok(row)
}
