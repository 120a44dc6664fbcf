//! A BIOS machine: SeaBIOS in QEMU, and a `\bootmgr` for it. Needs nasm and qemu-system-x86.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// What `bootmgr` prints when everything is as it should be.
pub const GOOD: &str = "all good says bootmgr";

/// A program that must be there, found also where `mkntfs` lives for those who are not root.
pub fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    command.env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()));
    command.env("LC_ALL", "C").stdin(Stdio::null());
    command
}

pub const HINT: &str = "install nasm, ntfs-3g, wimtools and qemu-system-x86";

/// Runs a program to its end and returns what it printed.
pub fn tool(name: &str, args: &[&str]) -> Vec<u8> {
    finish(program(name).args(args))
}

pub fn finish(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; {HINT}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{stderr}", output.status);
    output.stdout
}

pub fn assemble(source: &Path) -> Vec<u8> {
    let dir = TempDir::new().unwrap();
    let object = dir.path().join("out.bin");
    let include = format!("{}/", source.parent().unwrap().display());
    tool("nasm", &["-f", "bin", "-Werror", "-I", &include, "-o", path(&object), path(source)]);
    fs::read(object).unwrap()
}

pub fn path(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}

pub fn package(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

/// Bytes without repetition, the same in every run.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}

/// `\bootmgr` of a length in bytes.
pub fn bootmgr(length: usize) -> Vec<u8> {
    let mut file = assemble(&package("tests/it/boot_code/bootmgr.asm"));
    let body = file.len();
    file.extend(noise(length.checked_sub(body).expect("the program itself must fit")));
    let sum = file[body..].iter().fold(0u32, |sum, &byte| sum.wrapping_add(byte.into()).rotate_left(1));
    file[3..7].copy_from_slice(&(length as u32).to_le_bytes());
    file[7..11].copy_from_slice(&sum.to_le_bytes());
    file
}

/// Boots and returns what the machine prints, up to the end of a message.
pub fn boot(image: &Path, format: &str) -> String {
    // Without graphics SeaBIOS shows its text screen on the serial line.
    let mut machine = program("qemu-system-i386")
        .args(["-machine", "pc,graphics=off", "-accel", "tcg", "-m", "32", "-nodefaults", "-display", "none"])
        .args(["-serial", "stdio", "-drive"])
        .arg(format!("file={},format={format},if=ide,snapshot=on", path(image)))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("qemu-system-i386: {error}; {HINT}"));
    let mut stdout = machine.stdout.take().unwrap();
    let (sender, receiver) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = stdout.read(&mut buffer) {
            if sender.send(buffer[..length].to_vec()).is_err() {
                break;
            }
        }
    });
    let end = Instant::now() + Duration::from_secs(60);
    let mut bytes = Vec::new();
    let mut text = String::new();
    while !text.contains("says bootmgr") && !text.contains("Ctrl+Alt+Del to restart.") {
        let Ok(more) = receiver.recv_timeout(end.saturating_duration_since(Instant::now())) else {
            text.push_str("\n[nothing more came]");
            break;
        };
        bytes.extend(more);
        text = without_escapes(&bytes);
    }
    machine.kill().unwrap();
    machine.wait().unwrap();
    drop(receiver);
    reader.join().unwrap();
    text
}

/// Terminal output as plain text.
fn without_escapes(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut bytes = bytes.iter();
    while let Some(&byte) = bytes.next() {
        if byte != 0x1B {
            text.push(byte.into());
        } else if bytes.next() == Some(&b'[') {
            bytes.by_ref().find(|byte| byte.is_ascii_alphabetic());
        }
    }
    text
}
