//! What is at a byte, and files in a list, as text for a terminal.

use std::fmt;

use crate::inspect::model::{FileRow, Location};
use crate::types::printable;

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = |at: u64| format!("byte {at} ({at:#x})");
        writeln!(f, "File       {}", place(self.offset))?;
        match (&self.structure, self.disk_offset) {
            (Some(structure), _) => writeln!(f, "Container  {structure}, from {}", place(self.structure_start))?,
            (None, Some(_)) => writeln!(f, "Container  a piece of the disk, from {}", place(self.structure_start))?,
            (None, None) => {}
        }
        if let Some(at) = self.disk_offset {
            writeln!(f, "Disk       {}", place(at))?;
        }
        if let (Some(number), Some(at)) = (self.partition, self.partition_offset) {
            writeln!(f, "Partition  {number}, {}", place(at))?;
        }
        if let Some(cluster) = self.cluster {
            writeln!(f, "Cluster    {cluster}")?;
        }
        writeln!(f, "Owner      {}", printable(&self.owner))?;
        if let Some(at) = self.byte {
            writeln!(f, "           {} of it", place(at))?;
        }
        Ok(())
    }
}

impl fmt::Display for FileRow {
    /// A line: attributes, links, size, allocated size, time, path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { attributes, links, size, allocated, modified, path, .. } = self;
        let modified = modified.get(..19).unwrap_or(modified);
        write!(f, "{attributes:<7} {links:>2} {size:>11} {allocated:>11} {modified} {}", printable(path))?;
        if let Some(compression) = &self.compression {
            write!(f, " [{compression}]")?;
        }
        if let Some(target) = &self.target {
            write!(f, " -> {}", printable(target))?;
        }
        for stream in &self.streams {
            write!(f, " [:{} {}]", printable(&stream.name), stream.size)?;
        }
        writeln!(f)
    }
}
