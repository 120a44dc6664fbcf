//! Where the bytes of an image file are.

use std::collections::BTreeMap;
use std::path::Path;

use super::disk_map::{DiskMap, Owner, OwnerKind, Span};
use super::image::Image;
use crate::content::Extent;
use crate::disk::FileContent;
use crate::error::Result;
use crate::inspect::model::{SizeReport, SizeRow, SizeTree, Volume};
use crate::volume::ntfs::format::attribute_type;

/// The bytes of an owner.
#[derive(Clone, Copy, Default)]
struct Bytes {
    used: u64,
    slack: u64,
}

/// Reports where the bytes of the image file at `path` are.
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
    let mut sums = Sums { names: partition_names(&image), ..Sums::default() };
    sums.add_owners(&map, &owned);
    sums.count_files(&map);
    sums.add_free(&free);
    sums.add_container(&container);
    Ok(sums.report(&image, map.notes))
}

/// Collects the sums and their names.
#[derive(Default)]
struct Sums {
    /// Names of partitions.
    names: BTreeMap<u32, String>,
    totals: Rows,
    folders: Rows,
    components: Rows,
    files: Rows,
    tree: SizeTree,
}

impl Sums {
    fn add_owners(&mut self, map: &DiskMap, owned: &[Bytes]) {
        for (owner, bytes) in map.owners.iter().zip(owned) {
            let all = bytes.used + bytes.slack;
            let Some(partition) = owner.partition else {
                self.totals.add("partition tables", all, 0);
                self.tree.add(&["partition tables", &owner.name], all);
                continue;
            };
            let volume = self.names[&partition].clone();
            let (what, used) = match &owner.kind {
                OwnerKind::Contents => ("contents of files", bytes.used),
                OwnerKind::Stream(_) => ("named streams", bytes.used),
                OwnerKind::Directory => ("directories", all),
                OwnerKind::Attribute(_) => ("other attributes", all),
                OwnerKind::System | OwnerKind::Table => (&*owner.name, all),
            };
            self.totals.add(&format!("{what} ({volume})"), used, 0);
            let name = match &owner.kind {
                OwnerKind::Contents | OwnerKind::Stream(_) => {
                    self.add_file(map, owner, partition, *bytes, &volume);
                    continue;
                }
                OwnerKind::Attribute(attribute_type::ATTRIBUTE_LIST) => "attribute lists",
                _ => what,
            };
            self.tree.add(&[&volume, "file system", name], all);
        }
    }

    /// Adds the contents or a named stream of a file.
    fn add_file(&mut self, map: &DiskMap, owner: &Owner, partition: u32, bytes: Bytes, volume: &str) {
        let all = bytes.used + bytes.slack;
        self.totals.add(&format!("slack behind contents ({volume})"), bytes.slack, 0);
        let info = owner.record.and_then(|record| map.files.get(&(partition, record)));
        if let Some(component) = info.and_then(|info| info.component.as_deref()) {
            self.components.add(component, all, bytes.slack);
        }
        let folder = format!("{} ({volume})", folder(&owner.name));
        self.folders.add(&folder, all, bytes.slack);
        let stream = match &owner.kind {
            OwnerKind::Stream(stream) => Some(format!(":{stream}")),
            _ => None,
        };
        let stream = stream.as_deref().unwrap_or_default();
        self.files.add(&format!("{}{stream} ({volume})", owner.name), all, bytes.slack);
        let parts = owner.name.split('\\').chain([stream]).filter(|part| !part.is_empty());
        self.tree.add(&[volume].into_iter().chain(parts).collect::<Vec<_>>(), all);
        if owner.record.is_none() {
            self.folders.count(&folder);
            self.totals.count(&format!("contents of files ({volume})"));
        }
    }

    fn count_files(&mut self, map: &DiskMap) {
        for ((partition, _), info) in map.files.iter().filter(|(_, info)| !info.is_directory) {
            let volume = &*self.names[partition];
            self.totals.count(&format!("contents of files ({volume})"));
            self.folders.count(&format!("{} ({volume})", folder(&info.path)));
            if let Some(component) = &info.component {
                self.components.count(component);
            }
        }
    }

    /// Adds unused bytes, partition by partition.
    fn add_free(&mut self, free: &BTreeMap<Option<u32>, u64>) {
        for (partition, bytes) in free {
            match partition {
                Some(partition) => {
                    let volume = &*self.names[partition];
                    self.totals.add(&format!("free space in allocated blocks ({volume})"), *bytes, 0);
                    self.tree.add(&[volume, "free space"], *bytes);
                }
                None => {
                    self.totals.add("outside of partitions", *bytes, 0);
                    self.tree.add(&["outside of partitions"], *bytes);
                }
            }
        }
    }

    fn add_container(&mut self, container: &BTreeMap<&'static str, u64>) {
        for (name, bytes) in container {
            self.totals.add(&format!("container: {name}"), *bytes, 0);
            self.tree.add(&["container", name], *bytes);
        }
    }

    fn report(self, image: &Image, notes: Vec<String>) -> SizeReport {
        SizeReport {
            path: image.path().display().to_string(),
            file_size: image.file_size(),
            totals: self.totals.sorted(),
            folders: self.folders.sorted(),
            components: self.components.sorted(),
            files: self.files.sorted(),
            notes,
            tree: self.tree,
        }
    }
}

/// Names of the partitions: their labels, or else their types.
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

/// The folder for which a file counts: the first one of its path, or the second one in `\Windows`.
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

    /// Rows, largest first. Rows with neither bytes nor files are left out.
    fn sorted(self) -> Vec<SizeRow> {
        let rows = self.0.into_values().filter(|row| row.bytes > 0 || row.files > 0);
        let mut rows: Vec<SizeRow> = rows.collect();
        rows.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
        rows
    }
}
