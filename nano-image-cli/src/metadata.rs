//! `--metadata-file`: what was built from what, and how the run went.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use nano_image::FileTime;
use nano_image::libwim_version;
use nano_image::{Error, Layout, Phase, Plan, Recipe, Report, Result};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::args::Build;
use crate::{images, recipe, secret};

/// A file that decides the bytes of the image.
#[derive(Clone, Debug)]
pub struct Input {
    /// What it is for: the flag that names it.
    pub role: &'static str,
    /// Its name; for a file in a copied folder, its path in the folder.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// In hexadecimal digits.
    pub sha256: String,
}

/// The digests of all inputs, which another thread makes while the image is built.
pub struct Inputs(JoinHandle<Result<Vec<Input>>>);

impl Inputs {
    /// Starts to read the files.
    pub fn begin(arguments: &Build, plan: &Plan) -> Result<Self> {
        let files = files(arguments, plan)?;
        Ok(Self(std::thread::spawn(move || files.into_iter().map(Input::read).collect())))
    }

    /// Waits for the digests.
    pub fn join(self) -> Result<Vec<Input>> {
        self.0.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Input {
    fn read((role, name, path): (&'static str, String, PathBuf)) -> Result<Self> {
        let io = |error| Error::io("read", &path, error);
        let mut file = File::open(&path).map_err(io)?;
        let (mut hash, mut size, mut buffer) = (Sha256::new(), 0, vec![0; 256 << 10]);
        loop {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => {
                    hash.update(&buffer[..count]);
                    size += count as u64;
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(io(error)),
            }
        }
        let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { role, name, size, sha256 })
    }
}

/// Role, name and path of every file that the build reads, in the order of the flags.
fn files(arguments: &Build, plan: &Plan) -> Result<Vec<(&'static str, String, PathBuf)>> {
    let machine = &arguments.machine;
    let source = arguments.media.as_ref().map_or_else(|| arguments.source(), Ok)?;
    let mut files = source_files(source, arguments.media.is_some(), plan);
    files.extend(plan.disk_files().iter().map(|path| ("disk", name(path), path.clone())));
    let mut add = |role, paths: &mut dyn Iterator<Item = &PathBuf>| {
        files.extend(paths.map(|path| (role, name(path), path.clone())));
    };
    add("servicing-package", &mut arguments.packages.servicing_package.iter());
    add("unattend", &mut machine.unattend.iter());
    add("domain-blob", &mut machine.domain_blob.iter());
    add("reg", &mut machine.reg.iter());
    add("ssh-key", &mut machine.ssh_key.iter());
    for copy in &machine.copy {
        add_all("copy", &copy.source, &mut files)?;
    }
    if let Some(path) = &machine.cloud_init {
        add_all("cloud-init", path, &mut files)?;
    }
    for driver in &arguments.packages.driver {
        add_all("driver", driver, &mut files)?;
    }
    Ok(files)
}

/// What the image and its packages come from: an ISO image as a whole, otherwise the files themselves.
fn source_files(source: &Path, is_media: bool, plan: &Plan) -> Vec<(&'static str, String, PathBuf)> {
    let is_image = is_media && !source.is_dir();
    let mut files = Vec::new();
    if is_image {
        files.push(("media", name(source), source.to_owned()));
    }
    let wims = plan.wim_files().iter().map(|path| ("wim", path));
    for (role, path) in wims.chain(plan.cabinets().iter().map(|path| ("package", path))) {
        match path.strip_prefix(source) {
            Ok(_) if is_image => {}
            Ok(inner) if is_media => files.push(("media", inner.to_string_lossy().into_owned(), path.clone())),
            _ => files.push((role, name(path), path.clone())),
        }
    }
    files
}

/// Adds a file, or all files of a folder.
fn add_all(role: &'static str, path: &Path, files: &mut Vec<(&'static str, String, PathBuf)>) -> Result<()> {
    if path.is_dir() {
        return list(role, path, &name(path), files);
    }
    files.push((role, name(path), path.to_owned()));
    Ok(())
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// The files of a folder; files that cannot be read are refused where they are used.
fn list(
    role: &'static str,
    folder: &Path,
    prefix: &str,
    files: &mut Vec<(&'static str, String, PathBuf)>,
) -> Result<()> {
    let io = |error| Error::io("list", folder, error);
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(io)? {
        paths.push(entry.map_err(io)?.path());
    }
    paths.sort();
    for path in paths {
        let name = format!("{prefix}/{}", name(&path));
        let is_link = path.is_symlink();
        match path.is_dir() {
            true if is_link => {}
            true => list(role, &path, &name, files)?,
            false => files.push((role, name, path)),
        }
    }
    Ok(())
}

/// What a build is made from.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    pub arguments: &'a Build,
    pub recipe: &'a Recipe,
    pub plan: &'a Plan,
}

/// The part of the metadata that is the same for the same inputs.
pub fn build(facts: &Facts<'_>, layout: &Layout<'_>, made: &Report, inputs: &[Input]) -> Result<Value> {
    let mut build = serde_json::to_value(made).expect("a report is JSON");
    let object = build.as_object_mut().expect("a report is an object");
    object.remove("warnings");
    for key in ["image-index", "image-name"] {
        object.remove(key);
    }
    let extents: Vec<Value> = layout.data_extents()?.into_iter().map(|(start, len)| json!([start, len])).collect();
    let inputs: Vec<Value> = inputs
        .iter()
        .map(|input| json!({ "role": input.role, "name": input.name, "size": input.size, "sha256": input.sha256 }))
        .collect();
    let created = images::created(facts.plan.time());
    for (key, value) in [
        ("tool", json!({ "name": "nano-image", "version": env!("CARGO_PKG_VERSION"), "libwim": libwim_version() })),
        ("inputs", inputs.into()),
        ("recipe", recipe::value(facts.arguments, facts.recipe)?),
        ("secrets", json!(secret::names(&facts.arguments.machine.secret))),
        ("image", images::value(facts.plan.image())),
        ("time", created.into()),
        ("windows-packages", facts.plan.packages().into()),
        ("data-extents", extents.into()),
    ] {
        object.insert(key.into(), value);
    }
    Ok(build)
}

/// How a run went.
pub struct Timing {
    pub started: SystemTime,
    pub duration: Duration,
    pub phases: Vec<(Phase, Duration)>,
    pub warnings: Vec<String>,
}

impl Timing {
    /// The part of the metadata that differs from run to run.
    pub fn value(&self, arguments: &Build) -> Value {
        let seconds = |duration: Duration| (duration.as_secs_f64() * 1000.0).round() / 1000.0;
        let mut phases: BTreeMap<&str, f64> = BTreeMap::new();
        for (phase, duration) in &self.phases {
            *phases.entry(phase.name()).or_default() += seconds(*duration);
        }
        let started = self.started.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let (read, written) = transferred();
        let outputs: Vec<String> = arguments.output.iter().map(ToString::to_string).collect();
        json!({
            "started": images::created(FileTime::from_unix_seconds(started)),
            "seconds": seconds(self.duration),
            "phases-seconds": phases,
            "bytes-read": read,
            "bytes-written": written,
            "outputs": outputs,
            "warnings": self.warnings,
        })
    }
}

/// Bytes that the process has read and written, if the system counts them (Linux).
fn transferred() -> (Option<u64>, Option<u64>) {
    let text = fs::read_to_string("/proc/self/io").unwrap_or_default();
    let value = |key| text.lines().find_map(|line: &str| line.strip_prefix(key)?.trim().parse().ok());
    (value("rchar:"), value("wchar:"))
}
