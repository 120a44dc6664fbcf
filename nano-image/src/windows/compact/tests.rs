use super::*;
use crate::content::{BlobSink, StoredForm};
use crate::error::ErrorKind;
use crate::tree::{Entry, NamedStream, Node, Reparse, Times};

/// A store that has every blob in this form.
struct Store(Option<StoredForm>);

impl BlobStore for Store {
    fn read_blobs(&self, _: &[BlobId], _: usize, _: &mut BlobSink<'_>) -> Result<()> {
        unreachable!("marking reads nothing")
    }

    fn read_blob(&self, _: BlobId, _: u64) -> Result<Vec<u8>> {
        unreachable!("marking reads nothing")
    }

    fn stored_form(&self, _: BlobId) -> Option<StoredForm> {
        self.0
    }
}

const LZX: Store = Store(Some(StoredForm { algorithm: WofAlgorithm::Lzx, len: 5000 }));
const XPRESS4K: Store = Store(Some(StoredForm { algorithm: WofAlgorithm::Xpress4k, len: 5000 }));
const FILES: [&str; 18] = [
    r"Windows\explorer.exe",
    r"Windows\System32\ntdll.dll",
    r"Windows\System32\halmacpi.dll",
    r"Windows\System32\Drivers\ACPI.SYS",
    r"Windows\System32\Drivers\UMDF\x.sys",
    r"Windows\System32\l_intl.nls",
    r"Windows\WinSxS\amd64_x\winload.efi",
    r"Windows\System32\config\SOFTWARE",
    r"Windows\System32\config\TxR\x.blf",
    r"Windows\System32\configuration.dll",
    r"Users\Default\NTUSER.DAT",
    r"Windows\Boot\PCAT\bootmgr",
    r"Windows\bootstat.dat",
    r"Windows\boot-check\linux",
    r"pagefile.sys",
    r"Windows\pagefile.sys",
    r"bootmgr",
    r"Boot\BCD",
];

fn tree(len: u64) -> FileTree {
    let mut tree = FileTree::new(Node::directory(Times::default()));
    for (path, id) in FILES.iter().zip(0..) {
        tree.write_file(path, Content::Blob { id: BlobId(id), len }, Times::default()).unwrap();
    }
    tree
}

/// Indexes of the files that are marked, and what is left to compress.
fn marked(store: &Store, choice: Compact, build: u32, len: u64) -> (Vec<usize>, Vec<(usize, WofAlgorithm)>) {
    let mut tree = tree(len);
    let pending = mark(&mut tree, store, choice, Some(build), 4096).unwrap();
    let nodes: Vec<NodeId> = FILES.iter().map(|path| tree.find(path).unwrap()).collect();
    let place = |node| nodes.iter().position(|known| *known == node).unwrap();
    let pending = pending.iter().map(|file| (place(file.node), file.algorithm)).collect();
    ((0..FILES.len()).filter(|index| tree[nodes[*index]].compact.is_some()).collect(), pending)
}

#[test]
fn the_build_decides_what_the_boot_loader_may_find_compressed() {
    let free = vec![0, 1, 4, 9, 15];
    let with_boot_files = vec![0, 1, 2, 3, 4, 5, 6, 9, 15];
    assert_eq!(marked(&LZX, Compact::Copy, 14393, 20_000), (free.clone(), vec![]));
    assert_eq!(marked(&LZX, Compact::Copy, 18361, 20_000), (free, vec![]));
    assert_eq!(marked(&LZX, Compact::Copy, 18362, 20_000), (with_boot_files.clone(), vec![]));
    assert_eq!(marked(&XPRESS4K, Compact::Copy, 10240, 20_000), (with_boot_files, vec![]));
}

#[test]
fn older_and_unknown_windows_are_refused() {
    for build in [None, Some(9600), Some(10239)] {
        let error = mark(&mut tree(20_000), &LZX, Compact::Copy, build, 4096).unwrap_err();
        assert!(error.kind() == ErrorKind::Unsupported && error.hint().is_some(), "{error}");
    }
}

#[test]
fn what_saves_no_cluster_stays_plain() {
    for (len, count) in [(5000, 0), (8192, 0), (8193, 5)] {
        assert_eq!(marked(&LZX, Compact::Copy, 14393, len).0.len(), count, "{len}");
    }
    assert_eq!(marked(&Store(None), Compact::Copy, 14393, 20_000), (vec![], vec![]));
    assert_eq!(marked(&Store(None), Compact::Lzx, 14393, 4096), (vec![], vec![]));
}

#[test]
fn an_algorithm_with_a_name_is_copied_where_it_is_there_and_made_elsewhere() {
    use WofAlgorithm::{Lzx, Xpress4k, Xpress16k};
    let boot = [2, 3, 5, 6].map(|index| (index, Xpress4k));
    assert_eq!(marked(&LZX, Compact::Lzx, 14393, 20_000), (vec![0, 1, 4, 9, 15], boot.to_vec()));
    let (copied, made) = marked(&XPRESS4K, Compact::Xpress16k, 14393, 20_000);
    assert_eq!(copied, [2, 3, 5, 6]);
    assert_eq!(made, [0, 1, 4, 9, 15].map(|index| (index, Xpress16k)));
    assert_eq!(marked(&Store(None), Compact::Lzx, 18362, 20_000).1.last(), Some(&(15, Lzx)));
}

#[test]
fn what_the_filter_has_no_room_for_stays_plain() {
    let file = || Node::file(Times::default(), Content::Blob { id: BlobId(0), len: 100_000 });
    let stream = |name: &str| vec![NamedStream { name: name.into(), content: Content::empty() }];
    let reparse = Some(Reparse { tag: 1, data: [].into() });
    for (node, is_compact) in [
        (file(), true),
        (Node { streams: stream("other"), ..file() }, true),
        (Node { streams: stream("wofcompresseddata"), ..file() }, false),
        (Node { reparse: reparse.map(Box::new), ..file() }, false),
        (Node { extended_attributes: Some([0; 12].into()), ..file() }, false),
    ] {
        let mut tree = FileTree::new(Node::directory(Times::default()));
        let node = tree.add_node(node);
        tree.link(NodeId::ROOT, "file".into(), Entry { short_name: None, node }).unwrap();
        mark(&mut tree, &LZX, Compact::Copy, Some(14393), 4096).unwrap();
        assert_eq!(tree[node].compact.is_some(), is_compact);
    }
}

#[test]
fn the_strictest_name_of_a_file_decides() {
    let mut tree = FileTree::new(Node::directory(Times::default()));
    let content = Content::Blob { id: BlobId(0), len: 100_000 };
    let node = tree.write_file(r"Windows\WinSxS\x\ci.dll", content, Times::default()).unwrap();
    let folder = tree.create_directories(r"Windows\System32", Times::default()).unwrap();
    tree.link(folder, "CI.dll".into(), Entry { short_name: None, node }).unwrap();
    mark(&mut tree, &LZX, Compact::Copy, Some(14393), 4096).unwrap();
    assert!(tree[node].compact.is_none());
}
