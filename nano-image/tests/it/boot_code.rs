//! The boot code under SeaBIOS in QEMU, on volumes made by mkntfs, ntfs-3g's tools and wimlib.
//!
//! Needs nasm, qemu-system-x86, ntfs-3g and wimtools; no root, no mounts. `\bootmgr` is a small program that checks
//! what it is handed and every byte of itself (`boot_code/bootmgr.asm`).

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::support::bios::{GOOD, assemble, boot, bootmgr, finish, package, path, program, tool};

use nano_image::windows::boot_code::{mbr_code, volume_boot_code};
use tempfile::TempDir;

const SECTOR: u64 = 512;
/// First sector of the partition.
const START: u64 = 2048;
const RECORD: usize = 1024;

/// An NTFS volume in a file of its own.
struct Volume {
    dir: TempDir,
    cluster: usize,
}

impl Volume {
    /// Formats `mib` MiB with clusters of `cluster` bytes.
    fn new(cluster: usize, mib: u64) -> Self {
        Self::format(cluster, mib, &[])
    }

    fn format(cluster: usize, mib: u64, options: &[&str]) -> Self {
        let volume = Self { dir: TempDir::new().unwrap(), cluster };
        let image = volume.image();
        File::create(&image).unwrap().set_len(mib << 20).unwrap();
        let size = cluster.to_string();
        let start = START.to_string();
        let mut args = vec!["-F", "-Q", "-q", "-s", "512", "-H", "255", "-S", "63", "-p", &start, "-c", &size];
        args.extend(options);
        args.push(path(&image));
        tool("mkntfs", &args);
        volume
    }

    fn image(&self) -> PathBuf {
        self.dir.path().join("volume.img")
    }

    /// Writes a file of the root folder, or a named stream of it, replacing what is there.
    fn copy(&self, name: &str, stream: Option<&str>, bytes: &[u8]) {
        let source = self.dir.path().join("source");
        fs::write(&source, bytes).unwrap();
        let mut args = vec!["-q"];
        args.extend(stream.iter().flat_map(|stream| ["-N", stream]));
        let image = self.image();
        args.extend([path(&image), path(&source), name]);
        tool("ntfscp", &args);
    }

    fn with(self, name: &str, bytes: &[u8]) -> Self {
        self.copy(name, None, bytes);
        self
    }

    /// Adds the files of a WIM.
    fn apply(&self, wim: &Path) {
        tool("wimlib-imagex", &["apply", path(wim), "1", path(&self.image())]);
    }

    /// Marks every `n`th cluster as used, so that nothing large stays in one piece from now on.
    fn shatter(&self, n: usize) {
        let mut bitmap = tool("ntfscat", &["-i", "6", path(&self.image())]);
        for bit in (0..bitmap.len() * 8).step_by(n) {
            bitmap[bit / 8] |= 1 << (bit % 8);
        }
        let source = self.dir.path().join("bitmap");
        fs::write(&source, bitmap).unwrap();
        tool("ntfscp", &["-q", "-i", path(&self.image()), path(&source), "6"]);
    }

    fn info(&self, file: &[&str]) -> String {
        let image = self.image();
        let mut args = file.to_vec();
        args.push(path(&image));
        String::from_utf8_lossy(&tool("ntfsinfo", &args)).into_owned()
    }

    /// Whether the attribute list is resident; `None`: there is none.
    fn attribute_list(&self, file: &[&str]) -> Option<bool> {
        let info = self.info(file);
        let (_, list) = info.split_once("Dumping attribute $ATTRIBUTE_LIST")?;
        Some(list.lines().nth(1).unwrap().contains("Yes"))
    }

    /// Changes the volume's bytes behind the tools' back.
    fn edit(&self, change: impl FnOnce(&mut [u8])) {
        let mut bytes = fs::read(self.image()).unwrap();
        change(&mut bytes);
        fs::write(self.image(), bytes).unwrap();
    }

    /// Changes a file record of a volume whose `$MFT` is in one piece.
    fn edit_record(&self, number: usize, change: impl FnOnce(&mut [u8])) {
        self.edit(|bytes| {
            let lcn = u64::from_le_bytes(bytes[0x30..0x38].try_into().unwrap()) as usize;
            let at = lcn * self.cluster + number * RECORD;
            assert_eq!(bytes[at..at + 4], *b"FILE");
            change(&mut bytes[at..at + RECORD]);
        });
    }

    /// A disk with this volume as its second, active partition.
    fn disk(&self) -> Disk {
        let mut volume = File::open(self.image()).unwrap();
        let length = volume.metadata().unwrap().len();
        let image = self.dir.path().join("disk.img");
        let mut disk = File::create(&image).unwrap();
        disk.set_len(START * SECTOR + length).unwrap();

        let mut mbr = [0; SECTOR as usize];
        mbr[..mbr_code().len()].copy_from_slice(mbr_code());
        mbr[440..444].copy_from_slice(b"test");
        mbr[462..478].copy_from_slice(&entry(0x80, START as u32, (length / SECTOR) as u32));
        mbr[510..].copy_from_slice(&[0x55, 0xAA]);
        disk.write_all(&mbr).unwrap();

        let mut chunk = vec![0; 1 << 20];
        for at in (0..length).step_by(chunk.len()) {
            let part = chunk.len().min((length - at) as usize);
            volume.read_exact(&mut chunk[..part]).unwrap();
            if at == 0 {
                let code = volume_boot_code();
                let parameters = chunk[0x0B..0x54].to_vec();
                chunk[..code.len()].copy_from_slice(code);
                chunk[0x0B..0x54].copy_from_slice(&parameters);
            }
            if chunk.iter().any(|&byte| byte != 0) {
                disk.seek(SeekFrom::Start(START * SECTOR + at)).unwrap();
                disk.write_all(&chunk[..part]).unwrap();
            }
        }
        Disk { image }
    }

    #[track_caller]
    fn assert_says(&self, message: &str) {
        self.disk().assert_says(message);
    }

    #[track_caller]
    fn assert_boots(&self) {
        self.assert_says(GOOD);
    }
}

/// Captures the files that `fill` makes.
fn capture(wim: &Path, fill: impl FnOnce(&Path)) {
    let dir = TempDir::new().unwrap();
    fill(dir.path());
    tool("wimlib-imagex", &["capture", path(dir.path()), path(wim), "--compress=none"]);
}

/// A WIM of empty files whose names sort on both sides of `bootmgr`, a file for each `links` names.
fn crowd(dir: &TempDir, names: usize, links: usize) -> PathBuf {
    let wim = dir.path().join("crowd.wim");
    capture(&wim, |_| ());
    let files = dir.path().join("crowd");
    fs::create_dir(&files).unwrap();
    let mut commands = String::new();
    for index in 0..names {
        let file = files.join((index / links).to_string());
        if index % links == 0 {
            File::create(&file).unwrap();
        }
        let first = char::from(b'a' + (index % 26) as u8);
        commands.push_str(&format!("add '{}' /{first}-{index:05}\n", path(&file)));
    }
    let script = dir.path().join("commands");
    fs::write(&script, commands).unwrap();
    finish(program("wimlib-imagex").args(["update", path(&wim), "1"]).stdin(File::open(script).unwrap()));
    wim
}

/// A partition table entry without CHS addresses.
fn entry(status: u8, first: u32, sectors: u32) -> [u8; 16] {
    let mut entry = [0; 16];
    entry[0] = status;
    entry[4] = 7;
    entry[8..12].copy_from_slice(&first.to_le_bytes());
    entry[12..].copy_from_slice(&sectors.to_le_bytes());
    entry
}

struct Disk {
    image: PathBuf,
}

impl Disk {
    fn edit(self, at: u64, bytes: &[u8]) -> Self {
        let mut file = File::options().write(true).open(&self.image).unwrap();
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(bytes).unwrap();
        self
    }

    #[track_caller]
    fn assert_says(&self, message: &str) {
        let text = self.boot();
        assert!(text.contains(message), "wanted {message:?}, the machine says:\n{text}");
    }

    fn boot(&self) -> String {
        boot(&self.image, "raw")
    }
}

#[test]
fn committed_code_is_the_assembled_source() {
    assert!(assemble(&package("src/windows/boot_code/mbr.asm")) == mbr_code(), "run nasm on mbr.asm");
    assert!(assemble(&package("src/windows/boot_code/vbr.asm")) == volume_boot_code(), "run nasm on vbr.asm");
}

#[test]
fn boots_at_all_cluster_sizes() {
    for (cluster, mib) in [(512, 32), (1024, 32), (4096, 32), (65536, 32), (131_072, 64), (2 << 20, 512)] {
        Volume::new(cluster, mib).with("BootMgr", &bootmgr(400_001)).assert_boots();
    }
}

#[test]
fn boots_from_a_crowded_root_folder() {
    let dir = TempDir::new().unwrap();
    let crowd = crowd(&dir, 15_000, 100);
    for cluster in [512, 4096, 65536] {
        let volume = Volume::new(cluster, 64);
        volume.apply(&crowd);
        volume.with("bootmgr", &bootmgr(65_536)).assert_boots();
    }
}

#[test]
fn boots_with_a_fragmented_mft() {
    let dir = TempDir::new().unwrap();
    let crowd = crowd(&dir, 15_000, 10);
    for (cluster, n) in [(4096, 2), (1024, 8), (512, 8)] {
        let volume = Volume::new(cluster, 64);
        volume.shatter(n);
        volume.apply(&crowd);
        let volume = volume.with("bootmgr", &bootmgr(5_000));
        let pieces = volume.info(&["-i", "0"]).matches("Dumping attribute $DATA").count();
        assert!(pieces > 2, "$MFT is in {pieces} pieces");
        assert_eq!(volume.attribute_list(&["-i", "5"]), Some(false), "and so is the root folder");
        volume.assert_boots();
    }
}

#[test]
fn boots_a_fragmented_bootmgr() {
    let volume = Volume::new(512, 64);
    volume.shatter(2);
    let file = bootmgr(250_000);
    for length in (1024..file.len()).step_by(1024).chain([file.len()]) {
        volume.copy("bootmgr", None, &file[..length]);
    }
    assert_eq!(volume.attribute_list(&["-F", "bootmgr"]), Some(false));
    volume.assert_boots();

    // Other streams of the file, whose names fill the list.
    for index in 0..12 {
        volume.copy("bootmgr", Some(&format!("{index:0200}")), b"not this one");
    }
    volume.assert_boots();
}

#[test]
fn boots_with_a_resident_attribute_list() {
    let volume = Volume::new(4096, 32);
    let wim = volume.dir.path().join("links.wim");
    capture(&wim, |dir| {
        fs::write(dir.join("bootmgr"), bootmgr(400_000)).unwrap();
        for name in ["l", "m"] {
            fs::hard_link(dir.join("bootmgr"), dir.join(name.repeat(200))).unwrap();
        }
    });
    volume.apply(&wim);
    assert_eq!(volume.attribute_list(&["-F", "bootmgr"]), Some(true));
    volume.assert_boots();
}

#[test]
fn boots_a_resident_bootmgr() {
    let volume = Volume::new(4096, 32).with("bootmgr", &bootmgr(600));
    let info = volume.info(&["-F", "bootmgr"]);
    let (_, data) = info.split_once("Dumping attribute $DATA").unwrap();
    assert!(data.lines().nth(1).unwrap().contains("Yes"), "resident");
    volume.assert_boots();
}

#[test]
fn boots_what_just_fits_in_memory() {
    Volume::new(4096, 32).with("bootmgr", &bootmgr(520_000)).assert_boots();
    let larger = Volume::new(4096, 32).with("bootmgr", &bootmgr(530_000));
    larger.assert_says("The file bootmgr is too large.");
}

#[test]
fn says_what_is_wrong_with_bootmgr() {
    let volume = Volume::new(4096, 32);
    volume.assert_says("The file bootmgr is missing.");
    let volume = volume.with("bootmgr.exe", b"").with("bootmg", b"").with("bootmgq", b"").with("bootmgs", b"");
    volume.assert_says("The file bootmgr is missing.");
    let wim = volume.dir.path().join("folder.wim");
    capture(&wim, |dir| fs::create_dir(dir.join("bootmgr")).unwrap());
    volume.apply(&wim);
    volume.assert_says("The file bootmgr is missing.");

    Volume::new(4096, 32).with("bootmgr", b"").assert_says("The file bootmgr is empty.");

    let packed = "The file bootmgr is compressed, encrypted, sparse or incomplete.";
    let volume = Volume::format(4096, 32, &["-C"]).with("bootmgr", &vec![7; 100_000]);
    assert!(volume.info(&["-F", "bootmgr"]).contains("Compressed size"));
    volume.assert_says(packed);

    let volume = Volume::new(4096, 32).with("bootmgr", &bootmgr(10_000));
    tool("ntfstruncate", &["-q", path(&volume.image()), "64", "0x80", "100000"]);
    volume.assert_says(packed);
}

#[test]
fn says_what_is_wrong_with_the_disk() {
    let disk = || Volume::new(4096, 32).with("bootmgr", &bootmgr(1_000));
    let volume = disk();
    let active = 446 + 16;
    volume.disk().edit(active, &[0]).assert_says("The disk has no active partition.");
    volume.disk().edit(446, &entry(0x80, 9, 9)).assert_says("The partition table is damaged.");
    volume.disk().edit(446, &entry(0x12, 9, 9)).assert_says("The partition table is damaged.");
    let beyond = entry(0x80, 0x7000_0000, 9);
    volume.disk().edit(active, &beyond).assert_says("The active partition cannot be read.");
    let elsewhere = entry(0x80, START as u32 + 9000, 9);
    volume.disk().edit(active, &elsewhere).assert_says("The active partition has no boot record.");

    let boot = START * SECTOR;
    volume.disk().edit(boot + 0x0B, &4096u16.to_le_bytes()).assert_says("The volume does not have 512-byte sectors.");
    let wrong = "Boot code is incomplete or the boot sector's hidden sectors are wrong.";
    volume.disk().edit(boot + 0x1C, &2049u32.to_le_bytes()).assert_says(wrong);
    volume.disk().edit(boot + volume_boot_code().len() as u64 - 512, &[0; 512]).assert_says(wrong);
    volume.disk().edit(boot + 0x1C, &0xFFFF_FFFFu32.to_le_bytes()).assert_says("The disk cannot be read.");
}

#[test]
fn says_where_ntfs_is_damaged() {
    let whole = || Volume::new(4096, 32).with("bootmgr", &bootmgr(100_000));
    let damaged = "NTFS is damaged or not understood: ";
    let check = |place: &str, number: usize, change: &dyn Fn(&mut [u8])| {
        let volume = whole();
        volume.edit_record(number, change);
        volume.assert_says(&format!("{damaged}{place}"));
    };
    check("$MFT", 0, &|record| record[510] ^= 1); // a torn write
    check("$MFT", 0, &|record| record[0x16] = 0); // not in use
    check("root folder", 5, &|record| record[0..4].copy_from_slice(b"BAAD"));
    check("root folder", 5, &|record| record[0x16] = 1); // no folder
    check("bootmgr", 64, &|record| record[0x10] ^= 1); // another file by now
    check("bootmgr", 64, &|record| record[0x20] = 9); // an extension record
    check("bootmgr", 64, &|record| record[0x38 + 4] = 0); // an attribute without length
    check("bootmgr", 64, &|record| {
        let data = attribute(record, 0x80);
        record[data + 0x40 + 1] = 1; // the run list ends too early
    });
    check("bootmgr", 64, &|record| {
        let data = attribute(record, 0x80);
        record[data + 0x40 + 2..][..2].copy_from_slice(&[0xFF, 0x7F]); // a run behind the volume
    });

    // Every index block points to itself.
    let volume = Volume::new(4096, 32);
    volume.apply(&crowd(&volume.dir, 1_000, 100));
    volume.edit(|bytes| {
        for block in bytes.chunks_exact_mut(4096).filter(|block| block.starts_with(b"INDX")) {
            let vcn: [u8; 8] = block[0x10..0x18].try_into().unwrap();
            block[0x18..0x20].copy_from_slice(&[0x28, 0, 0, 0, 0x40, 0, 0, 0]);
            block[0x40..0x50].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0x18, 0, 0, 0, 3, 0, 0, 0]);
            block[0x50..0x58].copy_from_slice(&vcn);
        }
    });
    volume.assert_says(&format!("{damaged}root folder"));
}

/// Offset of the first attribute of a type in a file record.
fn attribute(record: &[u8], kind: u32) -> usize {
    let u32_at = |at: usize| u32::from_le_bytes(record[at..at + 4].try_into().unwrap());
    let mut at = usize::from(record[0x14]);
    while u32_at(at) != kind {
        at += u32_at(at + 4) as usize;
    }
    at
}
