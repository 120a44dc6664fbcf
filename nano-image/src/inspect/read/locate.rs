//! Finds what is at a byte of an image file.

use std::path::Path;

use super::disk_map::{DiskMap, Owner, OwnerKind};
use super::image::Image;
use crate::content::Extent;
use crate::disk::FileContent;
use crate::error::{Error, Result};
use crate::inspect::model::Location;
use crate::types::DiskOffset;

/// Describes what is at byte `offset` of the image file at `path`.
///
/// # Errors
/// As [`Image::open`]; [`NotFound`](crate::ErrorKind::NotFound) if the file has no such byte.
pub fn locate(path: impl AsRef<Path>, offset: u64) -> Result<Location> {
    let image = Image::open(path)?;
    let contents = image.disk().file_contents();
    let found = contents.iter().find(|(extent, _)| extent.start <= offset && offset - extent.start < extent.len);
    let Some((extent, content)) = found else {
        let message = format!("the file has {} bytes and none at {offset}", image.file_size());
        return Err(Error::not_found(message).with_path(image.path()));
    };
    let mut location = Location { offset, structure_start: extent.start, ..Location::default() };
    match content {
        FileContent::Structure(name) => {
            location.structure = Some((*name).to_owned());
            location.owner = format!("{name} of the container");
            location.byte = Some(offset - extent.start);
        }
        FileContent::Unused => {
            location.structure = Some("unused".to_owned());
            location.owner = "nothing: the container does not use it".to_owned();
        }
        FileContent::Disk(DiskOffset(start)) => {
            on_disk(&image, start + (offset - extent.start), &mut location)?;
        }
    }
    Ok(location)
}

fn on_disk(image: &Image, at: u64, location: &mut Location) -> Result<()> {
    location.disk_offset = Some(at);
    let map = DiskMap::read(image)?;
    let mut cluster_size = None;
    let mut record_size = None;
    if let Some((extent, number)) = map.partition_at(at) {
        location.partition = Some(number);
        location.partition_offset = Some(at - extent.start);
        if let Ok(files) = image.files(number)
            && let Some(reader) = files.ntfs()
        {
            cluster_size = Some(reader.cluster_size().bytes());
            record_size = Some(reader.record_size().bytes());
        }
        location.cluster = cluster_size.map(|size| (at - extent.start) / size);
    }
    let mut found = Err(None);
    map.parts(Extent { start: at, len: 1 }, &mut |_, part| found = part);
    let span = match found {
        Ok(span) => span,
        Err(Some(_)) => {
            location.owner = if cluster_size.is_some() { "a free cluster" } else { "free space" }.to_owned();
            return Ok(());
        }
        Err(None) => {
            location.owner = "no partition".to_owned();
            return Ok(());
        }
    };
    let owner = &map.owners[span.owner as usize];
    location.byte = Some(span.inside);
    location.slack = span.inside >= owner.size;
    location.record = owner.record;
    match &owner.kind {
        OwnerKind::Contents => location.path = Some(owner.name.clone()),
        OwnerKind::Stream(stream) => {
            (location.path, location.stream) = (Some(owner.name.clone()), Some(stream.clone()));
        }
        OwnerKind::Directory | OwnerKind::Attribute(_) => location.path = Some(owner.name.clone()),
        OwnerKind::System | OwnerKind::Table => {}
    }
    location.owner = text(owner, location.slack);
    if let (Some(size), true, Some(partition)) = (record_size, owner.name == "$MFT", location.partition) {
        in_mft(image, &map, partition, span.inside / size, location)?;
    }
    Ok(())
}

fn text(owner: &Owner, slack: bool) -> String {
    let text = match &owner.kind {
        OwnerKind::Contents => format!("the contents of {}", owner.name),
        OwnerKind::Stream(stream) => format!("the stream `{stream}` of {}", owner.name),
        OwnerKind::Directory => format!("the directory {}", owner.name),
        OwnerKind::Attribute(kind) => format!("attribute {kind:#x} of {}", owner.name),
        OwnerKind::System => format!("{} of the file system", owner.name),
        OwnerKind::Table => owner.name.clone(),
    };
    if slack { format!("behind the end of {text}") } else { text }
}

/// Describes the file to which a record of the MFT belongs.
fn in_mft(image: &Image, map: &DiskMap, partition: u32, record: u64, location: &mut Location) -> Result<()> {
    location.record = Some(record);
    let files = image.files(partition)?;
    let Some(reader) = files.ntfs() else { return Ok(()) };
    let owner = match reader.owner_of_record(record) {
        Ok(owner) => owner,
        Err(error) => {
            location.owner = format!("MFT record {record}, which is not readable: {error}");
            return Ok(());
        }
    };
    let Some(owner) = owner else {
        location.owner = format!("MFT record {record}, which is free");
        return Ok(());
    };
    let known = map.files.get(&(partition, owner)).map(|info| info.path.clone());
    let name = known.or_else(|| {
        let file = reader.file_in_record(owner).ok()?;
        Some(file.names().first()?.name.to_string())
    });
    let name = name.unwrap_or_else(|| "a file without a name".to_owned());
    location.owner = format!("MFT record {record}, of {name}");
    location.path = Some(name);
    Ok(())
}
