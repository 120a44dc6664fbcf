//! Boot configuration stores, with all their entries.

use super::hives;
use super::image::Image;
use crate::error::Result;
use crate::inspect::model::{BootElement, BootObject, StoreDetails};
use crate::inspect::tell::bcd::{element_name, element_value, kind_name, object_name};
use crate::windows::boot::bcd::BcdStore;

/// Paths of stores: on a UEFI system partition, and on a BIOS one.
const STORES: [&str; 2] = [r"EFI\Microsoft\Boot\BCD", r"Boot\BCD"];

/// All stores of an image, and notes about those that cannot be read.
pub fn boot_details(image: &Image) -> (Vec<StoreDetails>, Vec<String>) {
    let (mut stores, mut notes) = (Vec::new(), Vec::new());
    for partition in &image.partition_table().partitions {
        for path in STORES {
            match store(image, partition.number, path) {
                Ok(store) => stores.extend(store),
                Err(error) => notes.push(format!("partition {}: {path}: {error}", partition.number)),
            }
        }
    }
    (stores, notes)
}

fn store(image: &Image, partition: u32, path: &str) -> Result<Option<StoreDetails>> {
    // A partition without files has no store.
    let Ok(files) = image.files(partition) else { return Ok(None) };
    let Some(file) = files.find(path)? else { return Ok(None) };
    let Some(hive) = hives::open(&files, path, file)? else { return Ok(None) };
    let Some(bcd) = BcdStore::from_hive(&hive)? else { return Ok(None) };
    let table = image.partition_table();
    let objects = bcd.objects.iter().map(|(id, object)| BootObject {
        id: id.to_string(),
        name: object_name(*id),
        kind: kind_name(object.kind),
        elements: object
            .elements
            .iter()
            .map(|(code, value)| BootElement {
                code: format!("{code:08x}"),
                name: element_name(object.kind, *code),
                value: element_value(*code, value, object, table),
            })
            .collect(),
    });
    Ok(Some(StoreDetails { partition, path: format!("\\{path}"), objects: objects.collect() }))
}
