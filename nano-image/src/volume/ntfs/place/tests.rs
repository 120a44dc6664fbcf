use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::{NtfsLayout, NtfsOptions};
use crate::content::BlobId;
use crate::tree::{FileTree, Kept, Node, Times};
use crate::types::{ByteSize, FileTime, Lba};

const START: u64 = 117 << 20;
/// Kept files with their length, or with room while they are not there.
const KEPT: [(&str, usize, u64); 6] = [
    (r"hives\small", 150_000, 0),
    (r"hives\new user", 130_000, 0),
    (r"hives\large", 3_300_000, 0),
    (r"hives\system", 2_100_000, 0),
    ("answer file", 700, 64 << 10),
    ("script", 0, 64 << 10),
];

/// A volume with `filler` bytes before what is kept, and directories with indexes of 8 KiB.
fn layout(filler: usize, directories: usize) -> NtfsLayout {
    let times = Times::all(FileTime(1));
    let mut tree = FileTree::new(Node::directory(times));
    tree.write_file("filler", vec![1; filler], times).unwrap();
    for directory in 0..directories {
        for file in 0..8 {
            tree.write_file(&format!(r"{directory}\{file:0200}"), vec![1; 10], times).unwrap();
        }
    }
    for (path, len, room) in KEPT {
        if len > 0 {
            tree.write_file(path, vec![1; len], times).unwrap();
        }
        tree.keep(Kept { path: path.into(), room, security: None });
    }
    tree.settle(BlobId(0));
    let options = NtfsOptions {
        size: ByteSize::mib(64),
        start: Lba(START / 512),
        sector_size: 512,
        cluster_size: None,
        serial_number: 1,
        label: "Windows".into(),
        time: times,
        boot_code: None,
    };
    NtfsLayout::new(Arc::new(tree), options).unwrap()
}

/// Blocks of 1 MiB with starts and ends of what is kept.
fn blocks(layout: &NtfsLayout) -> usize {
    let mut blocks = BTreeSet::new();
    let mut add = |from: u64, to: u64| blocks.extend((START + from) >> 20..=(START + to - 1) >> 20);
    for (place, (_, len, _)) in layout.files.kept.iter().zip(KEPT) {
        let Some(place) = place else { continue };
        let run = layout.files.runs[layout.files.files[*place].first_run as usize];
        let (at, len) = (run.lcn.unwrap() * 4096, len.max(64 << 10) as u64);
        add(at, at + (8 << 10));
        add(at + len - (64 << 10), at + len);
    }
    let mft = layout.mft_extent().start;
    add(mft, mft + (32 << 10));
    blocks.len()
}

#[test]
fn what_is_kept_lies_in_the_fewest_blocks() {
    let mut without = Vec::new();
    for filler in (0..13).map(|step| 80_000 * step) {
        // The small ones with the start of the large one, its end with the start of the last one, whose end is with the rest.
        assert_eq!(blocks(&layout(filler, 100)), 3, "{filler}");
        without.push(blocks(&layout(filler, 0)));
    }
    assert!(without.iter().any(|blocks| *blocks > 3), "borders of blocks are nowhere near: {without:?}");
}
