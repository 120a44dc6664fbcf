//! Where the bytes of an image file are.

use std::collections::BTreeMap;
use std::path::Path;

use super::disk_map::{DiskMap, OwnerKind, Span};
use super::image::Image;
use crate::content::Extent;
use crate::disk::FileContent;
use crate::error::Result;
use crate::inspect::model::{SizeReport, SizeRow, SizeTree, Volume};
use crate::volume::ntfs::format::attribute_type;

/// Bytes of an owner.
#[derive(Clone, Copy, Default)]
struct Bytes {
    used: u64,
    slack: u64,
}

/// Tells where the bytes of the image file at `path` are.
///
/// # Errors
/// As [`Image::open`]. What cannot be read below the partition table becomes a [note](SizeReport::notes).
pub fn size(path: impl AsRef<Path>) -> Result<SizeReport> {
    let image = Image::open(path)?;
    let map = DiskMap::read(&image)?;
    let mut owned = vec![Bytes::default(); map.owners.len()];
    let mut free: BTreeMap<Option<u32>, u64> = BTreeMap::new();
    let mut container: BTreeMap<&'static str, u64> = BTreeMap::new();
    for (extent, content) in image.disk().file_contents() {
        let start = match content {
            FileContent::Structure(name) => {
                *container.entry(name).or_default() += extent.len;
                continue;
            }
            FileContent::Unused => {
                *container.entry("unused").or_default() += extent.len;
                continue;
            }
            FileContent::Disk(offset) => offset.0,
        };
        map.parts(Extent { start, len: extent.len }, &mut |extent, owner| match owner {
            Ok(Span { owner, inside, .. }) => {
                let size = map.owners[owner as usize].size;
                let used = size.min(inside + extent.len) - size.min(inside);
                let bytes = &mut owned[owner as usize];
                bytes.used += used;
                bytes.slack += extent.len - used;
            }
            Err(partition) => *free.entry(partition).or_default() += extent.len,
        });
    }
    Ok(report(&image, map, &owned, &free, &container))
}

fn report(
    image: &Image,
    map: DiskMap,
    owned: &[Bytes],
    free: &BTreeMap<Option<u32>, u64>,
    container: &BTreeMap<&'static str, u64>,
) -> SizeReport {
    let names = partition_names(image);
    let mut tree = SizeTree::default();
    let (mut totals, mut folders) = (Rows::default(), Rows::default());
    let (mut components, mut files) = (Rows::default(), Rows::default());
    for (owner, bytes) in map.owners.iter().zip(owned) {
        let all = bytes.used + bytes.slack;
        let Some(partition) = owner.partition else {
            totals.add("partition tables", all, 0);
            tree.add(&["partition tables", &owner.name], all);
            continue;
        };
        let volume = &*names[&partition];
        let of_volume = |what: &str| format!("{what} ({volume})");
        let is_file = matches!(owner.kind, OwnerKind::Contents | OwnerKind::Stream(_));
        match &owner.kind {
            OwnerKind::Contents => totals.add(&of_volume("contents of files"), bytes.used, 0),
            OwnerKind::Stream(_) => totals.add(&of_volume("named streams"), bytes.used, 0),
            OwnerKind::Directory => totals.add(&of_volume("directories"), all, 0),
            OwnerKind::Attribute(_) => totals.add(&of_volume("other attributes"), all, 0),
            OwnerKind::System | OwnerKind::Table => totals.add(&of_volume(&owner.name), all, 0),
        }
        if !is_file {
            let name = match &owner.kind {
                OwnerKind::Directory => "directories",
                OwnerKind::Attribute(attribute_type::ATTRIBUTE_LIST) => "attribute lists",
                OwnerKind::Attribute(_) => "other attributes",
                _ => &owner.name,
            };
            tree.add(&[volume, "file system", name], all);
            continue;
        }
        totals.add(&of_volume("slack behind contents"), bytes.slack, 0);
        let info = owner.record.and_then(|record| map.files.get(&(partition, record)));
        if let Some(component) = info.and_then(|info| info.component.as_deref()) {
            components.add(component, all, bytes.slack);
        }
        let folder = folder(&owner.name);
        folders.add(&format!("{folder} ({volume})"), all, bytes.slack);
        let name = match &owner.kind {
            OwnerKind::Stream(stream) => format!("{}:{stream}", owner.name),
            _ => owner.name.clone(),
        };
        files.add(&format!("{name} ({volume})"), all, bytes.slack);
        let parts = owner.name.split('\\').filter(|part| !part.is_empty());
        let stream = name.strip_prefix(&*owner.name).filter(|stream| !stream.is_empty());
        tree.add(&[volume].into_iter().chain(parts).chain(stream).collect::<Vec<_>>(), all);
        if owner.record.is_none() {
            folders.count(&format!("{folder} ({volume})"));
            totals.count(&of_volume("contents of files"));
        }
    }
    for ((partition, _), info) in map.files.iter().filter(|(_, info)| !info.is_directory) {
        let volume = &*names[partition];
        totals.count(&format!("contents of files ({volume})"));
        folders.count(&format!("{} ({volume})", folder(&info.path)));
        if let Some(component) = &info.component {
            components.count(component);
        }
    }
    for (partition, bytes) in free {
        match partition {
            Some(partition) => {
                let volume = &*names[partition];
                totals.add(&format!("free space in allocated blocks ({volume})"), *bytes, 0);
                tree.add(&[volume, "free space"], *bytes);
            }
            None => {
                totals.add("outside of partitions", *bytes, 0);
                tree.add(&["outside of partitions"], *bytes);
            }
        }
    }
    for (name, bytes) in container {
        totals.add(&format!("container: {name}"), *bytes, 0);
        tree.add(&["container", name], *bytes);
    }
    SizeReport {
        path: image.path().display().to_string(),
        file_size: image.file_size(),
        totals: totals.sorted(),
        folders: folders.sorted(),
        components: components.sorted(),
        files: files.sorted(),
        notes: map.notes,
        tree,
    }
}

/// What partitions are called: by label, else by type.
fn partition_names(image: &Image) -> BTreeMap<u32, String> {
    let partitions = image.partition_table().partitions.iter().map(|partition| {
        let bytes = image.partition_bytes(partition.number);
        let volume = bytes.and_then(|bytes| super::volume::read(bytes, &mut |_: &str, _| {}).ok()?.0);
        let label = match volume {
            Some(Volume::Ntfs(volume)) => Some(volume.label),
            Some(Volume::Fat32(volume)) => Some(volume.label).filter(|label| label != "NO NAME"),
            _ => None,
        };
        let label = label.filter(|label| !label.is_empty());
        let name = label.or_else(|| Some(partition.name.clone()).filter(|name| !name.is_empty()));
        let name = name.or_else(|| partition.type_name.clone()).unwrap_or_else(|| "partition".to_owned());
        (partition.number, format!("{}: {name}", partition.number))
    });
    partitions.collect()
}

/// The folder that a file counts for: the first of its path, in `\Windows` the second.
fn folder(path: &str) -> String {
    let parts: Vec<&str> = path.split('\\').filter(|part| !part.is_empty()).collect();
    let folders = parts.split_last().map_or(&[][..], |(_, folders)| folders);
    let depth = if folders.first().is_some_and(|first| first.eq_ignore_ascii_case("Windows")) { 2 } else { 1 };
    format!("\\{}", folders[..folders.len().min(depth)].join("\\"))
}

/// Rows by name.
#[derive(Default)]
struct Rows(BTreeMap<String, SizeRow>);

impl Rows {
    fn add(&mut self, name: &str, bytes: u64, slack: u64) {
        let row = self.row(name);
        row.bytes += bytes;
        row.slack += slack;
    }

    fn count(&mut self, name: &str) {
        self.row(name).files += 1;
    }

    fn row(&mut self, name: &str) -> &mut SizeRow {
        if !self.0.contains_key(name) {
            self.0.insert(name.to_owned(), SizeRow { name: name.to_owned(), ..SizeRow::default() });
        }
        self.0.get_mut(name).expect("it was put there")
    }

    /// The largest first; what has neither bytes nor files is left out.
    fn sorted(self) -> Vec<SizeRow> {
        let rows = self.0.into_values().filter(|row| row.bytes > 0 || row.files > 0);
        let mut rows: Vec<SizeRow> = rows.collect();
        rows.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
        rows
    }
}
