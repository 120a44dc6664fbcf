//! WIMs to measure with, and the facts of any WIM.
//!
//! Each runs in a process of its own: otherwise memory that the measuring process once used would count for its
//! children.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use clap::Args;
use fixtures::tree::FileSpec;
use fixtures::{Data, Image, Tree, WimBuilder, scenes};
use nano_image::source::wim::Wim;
use nano_image::tree::NodeId;
use serde_json::json;

use crate::Failure;

/// What to generate.
#[derive(Args, Debug)]
pub struct Generate {
    /// File to write
    wim: PathBuf,
    /// Number of files of some hundred to some thousand bytes
    #[arg(long)]
    files: Option<u64>,
    /// Total bytes of files of 256 KiB each, half of them incompressible
    #[arg(long, conflicts_with = "files")]
    bytes: Option<u64>,
}

impl Generate {
    pub fn run(&self) -> Result<(), Failure> {
        let builder = match (self.files, self.bytes) {
            (Some(files), _) => scenes::many_files(files, files / 5),
            (_, bytes) => large(bytes.unwrap_or(100 << 20)),
        };
        Ok(builder.write(BufWriter::with_capacity(1 << 20, File::create(&self.wim)?))?)
    }
}

/// An image with this many bytes.
fn large(bytes: u64) -> WimBuilder {
    const FILE: u64 = 256 << 10;
    let mut tree = Tree::new();
    tree.add(r"Windows\Boot\EFI\bootmgfw.efi", FileSpec::file(scenes::pe_stand_in()));
    for index in 0..bytes / FILE {
        let data = if index % 2 == 0 { Data::text(index, FILE) } else { Data::noise(index, FILE) };
        tree.add(&format!(r"Windows\WinSxS\{:03}\file {index}.dll", index / 100), FileSpec::file(data));
    }
    WimBuilder::new().push(Image::new("Large", tree).edition("ServerDatacenterNano"))
}

/// Prints the bytes of all streams, each file once, and the number of files and directories.
pub fn facts(wim: &Path, image: &str) -> Result<(), Failure> {
    let wim = Wim::open(wim, &[])?;
    let tree = wim.read_image(wim.find_image(image)?)?.tree;
    let nodes = (0..tree.node_count() as u32).map(|number| &tree[NodeId(number)]);
    let stream_bytes: u64 = nodes
        .map(|node| {
            let data = node.data.iter().chain(node.streams.iter().map(|stream| &stream.content));
            data.map(nano_image::content::Content::len).sum::<u64>()
        })
        .sum();
    println!("{}", json!({ "stream-bytes": stream_bytes, "files": tree.node_count() }));
    Ok(())
}
