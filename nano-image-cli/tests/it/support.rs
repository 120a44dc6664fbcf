//! Runs the program in a folder with a WIM.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use fixtures::{Data, FileSpec, Image, Tree, WimBuilder, scenes};
use nano_image::registry::{Hive, HiveOptions, Value as RegistryValue};
use nano_image::types::FileTime;
use serde_json::Value;
use tempfile::TempDir;

const NANO_IMAGE: &str = env!("CARGO_BIN_EXE_nano-image");

/// A folder with a WIM of two Nano-like images.
pub struct Place(TempDir);

impl Place {
    pub fn new() -> Self {
        static NANO: LazyLock<Vec<u8>> = LazyLock::new(|| scenes::nano_small(&scenes::pe_stand_in()).to_bytes());
        let place = Self(TempDir::new().unwrap());
        fs::write(place.path("nano.wim"), &*NANO).unwrap();
        place
    }

    /// A folder with nothing in it.
    pub fn empty() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// Names in the folder, sorted.
    pub fn names(&self) -> Vec<String> {
        self.names_in("")
    }

    /// Names in a folder below it, sorted.
    pub fn names_in(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(NANO_IMAGE);
        command.args(arguments).current_dir(self.0.path()).stdin(Stdio::null());
        for variable in ["SOURCE_DATE_EPOCH", "NO_COLOR", "CLICOLOR_FORCE"] {
            command.env_remove(variable);
        }
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
        Run::of(self.command(arguments).output().unwrap())
    }

    /// Builds image 1 of `nano.wim`, a disk of 256 MiB.
    pub fn build(&self, output: &str, more: &[&str]) -> Run {
        self.run(&build(output, more))
    }
}

/// Arguments that build an image of `nano.wim` in 256 MiB.
pub fn build<'a>(output: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["build", "--wim", "nano.wim", "-o", output];
    for (name, value) in [("--image", "1"), ("--size", "256M")] {
        if !more.contains(&name) {
            arguments.extend([name, value]);
        }
    }
    arguments.extend(more);
    arguments
}

/// What a run gave.
pub struct Run {
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Run {
    pub fn of(output: Output) -> Self {
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!stderr.contains("panicked"), "{stderr}");
        Self { code: output.status.code(), stdout: output.stdout, stderr }
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self
    }

    /// Ended with `code`, and the last lines are an error that says all of `parts`.
    #[track_caller]
    pub fn fails(self, code: i32, parts: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        let error = self.stderr.find("error: ").map(|at| &self.stderr[at..]).unwrap_or_default();
        for part in parts {
            assert!(error.contains(part), "`{part}` is not in:\n{}", self.stderr);
        }
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).unwrap()
    }
}

/// Writes the Windows volume of the raw image `image`, of which `report` tells, as `volume`.
pub fn cut_volume(place: &Place, image: &str, report: &Value) {
    let windows = report["partitions"].as_array().unwrap().last().unwrap();
    let number = |name: &str| windows[name].as_u64().unwrap() as usize;
    let volume = &place.read(image)[number("start")..][..number("size")];
    fs::write(place.path("volume"), volume).unwrap();
}

/// A script of the repository agrees, and says `says`; gives all that it says.
pub fn run_script(place: &Place, name: &str, flags: &[&str], says: &str) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts").join(name);
    let run = Command::new("python3").arg(script).args(flags).current_dir(place.path("")).output();
    let run = run.expect("python3 judges; scripts/install-deps installs it");
    let text = String::from_utf8_lossy(&[run.stdout, run.stderr].concat()).into_owned();
    assert!(run.status.success() && text.contains(says), "{name}: {text}");
    text
}

/// A WIM with one image that boots either way and has hives, for the name `MINWINPC`.
pub fn image_with_hives() -> Vec<u8> {
    let mut system = Hive::new(FileTime(1), &HiveOptions::default()).unwrap();
    let key = system.create_key(system.root(), r"ControlSet001\Control\ComputerName\ComputerName").unwrap();
    system.set_value(key, "ComputerName", RegistryValue::sz("MINWINPC")).unwrap();
    system.create_key(system.root(), r"ControlSet001\Services\Tcpip\Parameters").unwrap();
    let key = system.create_key(system.root(), "Select").unwrap();
    system.set_value(key, "Current", RegistryValue::dword(1)).unwrap();
    let software = Hive::new(FileTime(1), &HiveOptions::default()).unwrap();
    let default = Hive::new(FileTime(1), &HiveOptions::default()).unwrap();
    let mut tree = Tree::new();
    for (path, data) in [
        (r"Windows\Boot\EFI\bootmgfw.efi", scenes::pe_stand_in()),
        (r"Windows\Boot\PCAT\bootmgr", Data::noise(1, 300_000)),
        (r"Windows\System32\winload.exe", Data::noise(2, 50_000)),
        (r"Windows\System32\winload.efi", Data::noise(3, 50_000)),
        (r"Windows\System32\config\SYSTEM", Data::bytes(system.into_bytes())),
        (r"Windows\System32\config\DEFAULT", Data::bytes(default.into_bytes())),
        (r"Windows\System32\config\SOFTWARE", Data::bytes(software.into_bytes())),
    ] {
        tree.add(path, FileSpec::file(data));
    }
    WimBuilder::new().push(Image::new("Only", tree).edition("ServerDatacenterNano")).to_bytes()
}
