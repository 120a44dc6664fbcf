//! An inspection as text for a terminal.

use std::fmt::{self, Formatter};

use crate::inspect::model::{
    BootDevice, BootEntry, BootStore, Container, FatVolume, Inspection, NtfsVolume, Partition, PartitionTable, Scheme,
    Volume, Windows,
};
use crate::types::{self, ByteSize, printable};

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "Image       {}", printable(&self.path))?;
        container(f, &self.container)?;
        table(f, &self.partition_table)?;
        volumes(f, &self.partition_table)?;
        writeln!(f, "\nBoot")?;
        match (&self.boot.removable_program, self.boot.removable_path) {
            (Some(name), Some(number)) => {
                let unsigned = if self.boot.removable_signed == Some(false) { ", not signed" } else { "" };
                writeln!(f, "  EFI\\Boot\\{name} on partition {number}{unsigned}")?;
            }
            _ => writeln!(f, "  no EFI\\Boot\\bootx64.efi")?,
        }
        if self.boot.stores.is_empty() {
            writeln!(f, "  no boot configuration")?;
        }
        self.boot.stores.iter().try_for_each(|boot| store(f, boot))?;
        for windows in &self.windows {
            let known = |text: &Option<String>| printable(text.as_deref().unwrap_or("unknown"));
            writeln!(f, "\nWindows on partition {}", windows.partition)?;
            writeln!(f, "  Product        {}", known(&windows.product))?;
            writeln!(f, "  Edition        {}", known(&windows.edition))?;
            writeln!(f, "  Installation   {}", known(&windows.installation_type))?;
            writeln!(f, "  Version        {}", known(&windows.version))?;
            writeln!(f, "  Computer name  {}", known(&windows.computer_name))?;
            let Windows { packages, services, drivers, .. } = windows;
            writeln!(f, "  Registry       {packages} packages installed, {services} services, {drivers} drivers")?;
        }
        if !self.notes.is_empty() {
            writeln!(f, "\nNotes")?;
            self.notes.iter().try_for_each(|note| writeln!(f, "  {}", printable(note)))?;
        }
        Ok(())
    }
}

fn container(f: &mut Formatter<'_>, container: &Container) -> fmt::Result {
    write!(f, "Format      {}", container.format.to_uppercase())?;
    if let Some(subformat) = &container.subformat {
        write!(f, ", {subformat}")?;
    }
    if let Some(block_size) = container.block_size {
        write!(f, ", blocks of {}", ByteSize::new(block_size))?;
    }
    writeln!(f, ", sectors of {} bytes", container.sector_size)?;
    write!(f, "Disk        {}", exact(container.virtual_size))?;
    if let Some(id) = &container.id {
        write!(f, ", id {id}")?;
    }
    writeln!(f)?;
    writeln!(
        f,
        "File        {}, {} of the disk allocated",
        exact(container.file_size),
        ByteSize::new(container.allocated)
    )
}

fn table(f: &mut Formatter<'_>, table: &PartitionTable) -> fmt::Result {
    let scheme = match table.scheme {
        Scheme::Gpt => "GPT",
        Scheme::Mbr => "MBR",
        Scheme::None => "none",
    };
    write!(f, "Partitions  {scheme}")?;
    if let Some(id) = &table.disk_id {
        write!(f, ", disk {id}")?;
    }
    writeln!(f, "\n")?;
    let rows = table.partitions.iter().map(|partition| {
        [
            partition.number.to_string(),
            printable(&partition.name),
            type_text(partition),
            ByteSize::new(partition.start).to_string(),
            ByteSize::new(partition.size).to_string(),
            partition.guid.clone().unwrap_or_default(),
        ]
    });
    let rows: Vec<_> = rows.collect();
    f.write_str(&types::table("  ", Some(["#", "Name", "Type", "Start", "Size", "GUID"]), 0, &rows))
}

fn type_text(partition: &Partition) -> String {
    let name = partition.type_name.as_ref().unwrap_or(&partition.partition_type);
    if partition.active { format!("{name}, active") } else { name.clone() }
}

fn volumes(f: &mut Formatter<'_>, table: &PartitionTable) -> fmt::Result {
    writeln!(f, "\nVolumes")?;
    let mut rows = Vec::new();
    for partition in &table.partitions {
        let (name, label, lines) = match &partition.volume {
            Some(Volume::Fat32(volume)) => ("FAT32".to_owned(), printable(&volume.label), fat_lines(volume)),
            Some(Volume::Ntfs(volume)) => {
                (format!("NTFS {}", volume.version), printable(&volume.label), ntfs_lines(volume))
            }
            Some(Volume::Other(volume)) => (volume.name.clone(), String::new(), vec![String::new()]),
            None => ("–".to_owned(), String::new(), vec![String::new()]),
        };
        let mut first = [partition.number.to_string(), name, label];
        for line in lines {
            let [number, name, label] = std::mem::take(&mut first);
            rows.push([number, name, label, line]);
        }
    }
    f.write_str(&types::table("  ", None, 0, &rows))
}

fn fat_lines(volume: &FatVolume) -> Vec<String> {
    let FatVolume { files, directories, .. } = volume;
    let bytes = ByteSize::new(volume.file_bytes);
    vec![format!("serial {}, {files} files with {bytes} in {directories} directories", volume.serial)]
}

fn ntfs_lines(volume: &NtfsVolume) -> Vec<String> {
    let clusters = |count: u64| ByteSize::new(count.saturating_mul(volume.cluster_size));
    let state = match (volume.dirty, volume.hibernated) {
        (false, false) => "clean",
        (true, false) => "dirty",
        (false, true) => "hibernated (fast startup)",
        (true, true) => "dirty, hibernated (fast startup)",
    };
    vec![
        format!("serial {}, {state}, clusters of {}", volume.serial, ByteSize::new(volume.cluster_size)),
        format!(
            "{}: {} used, {} free; {} of {} MFT records in use",
            ByteSize::new(volume.size),
            clusters(volume.used_clusters),
            clusters(volume.free_clusters),
            volume.mft_records_in_use,
            volume.mft_records
        ),
    ]
}

fn store(f: &mut Formatter<'_>, store: &BootStore) -> fmt::Result {
    write!(f, "  {} on partition {} ({})", store.path, store.partition, store.firmware.to_uppercase())?;
    match store.timeout {
        Some(seconds) => writeln!(f, ", timeout {seconds} s")?,
        None => writeln!(f)?,
    }
    store.entries.iter().try_for_each(|shown| entry(f, shown, store.default.as_deref() == Some(&shown.id)))
}

fn entry(f: &mut Formatter<'_>, entry: &BootEntry, default: bool) -> fmt::Result {
    let kind = if entry.boot_manager { "boot manager" } else { "loader" };
    let description = entry.description.as_deref().unwrap_or("(no description)");
    let mark = if default { ", default" } else { "" };
    writeln!(f, "    {} ({kind}{mark}) {{{}}}", printable(description), entry.id)?;
    let device = |device: &Option<BootDevice>| device.as_ref().map(|device| device.text.clone());
    let facts = [
        ("path", entry.path.clone()),
        ("device", device(&entry.device)),
        ("osdevice", device(&entry.os_device)),
        ("systemroot", entry.system_root.clone()),
    ];
    for (name, fact) in facts {
        if let Some(fact) = fact {
            writeln!(f, "      {name:<10}  {}", printable(&fact))?;
        }
    }
    Ok(())
}

/// A size with its bytes.
fn exact(bytes: u64) -> String {
    format!("{} ({bytes} bytes)", ByteSize::new(bytes))
}
