//! Facts about a Windows from its registry: the same that a WIM gives about its images.

use lcid::LanguageId;

use crate::error::Result;
use crate::registry::{Hive, KeyId};
use crate::source::wim::{Architecture, ImageInfo, Version};
use crate::tree::{FileTree, NodeId};
use crate::types::{ByteSize, FileTime};
use crate::volume::ntfs::NtfsReader;
use crate::windows::contents;
use crate::windows::edit::{self, HiveFile};
use crate::windows::program;

/// Programs whose header states the architecture, for a registry that does not.
const PROGRAMS: [&str; 3] =
    [r"Windows\System32\ntoskrnl.exe", r"Windows\System32\ntdll.dll", r"Windows\System32\winload.efi"];
/// Bytes of a program in which its header is.
const HEADER: u64 = 1024;

/// Reads the facts about the Windows on the volume of `reader`, whose files are `tree`. What cannot be read becomes a
/// warning.
pub(super) fn read(reader: &NtfsReader<'_>, tree: &FileTree, warnings: &mut Vec<String>) -> Result<ImageInfo> {
    let mut hive = |file: HiveFile| {
        let read = |path: &str, limit: u64| read_file(reader, path, limit);
        Hive::open(file.path(), read).unwrap_or_else(|error| {
            warnings.push(format!("the registry hive `{}` is not readable: {error}", file.path()));
            None
        })
    };
    let (software, system) = (hive(HiveFile::Software), hive(HiveFile::System));
    let mut info = ImageInfo::default();
    if let Some(hive) = &software
        && let Some(key) = hive.find(r"Microsoft\Windows NT\CurrentVersion")
    {
        let text = |name: &str| hive.value(key, name).and_then(|value| value.text()).unwrap_or_default();
        info.name = text("ProductName");
        info.display_name.clone_from(&info.name);
        info.edition_id = text("EditionID");
        info.installation_type = text("InstallationType");
        info.version = version(hive, key);
    }
    if let Some(hive) = &system {
        let set = edit::control_set(hive);
        let text = |path: &str, name: &str| {
            let key = hive.find(&format!(r"{set}\Control\{path}"))?;
            hive.value(key, name)?.text()
        };
        info.default_language = text(r"Nls\Language", "InstallLanguage").and_then(|number| language(&number));
        info.languages = info.default_language.iter().cloned().collect();
        let processor = text(r"Session Manager\Environment", "PROCESSOR_ARCHITECTURE");
        info.architecture = processor.and_then(|name| Architecture::named(&name));
    }
    if info.architecture.is_none() {
        info.architecture = PROGRAMS.iter().find_map(|path| machine(reader, path));
    }
    let times = [&system, &software].into_iter().flatten().map(|hive| hive.time().0);
    info.creation_time = FileTime(times.max().unwrap_or(0));
    if info.name.is_empty() {
        info.name = "Windows".into();
    }
    count(tree, &mut info);
    Ok(info)
}

/// The file at `path`, decompressed, of at most `limit` bytes.
fn read_file(reader: &NtfsReader<'_>, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
    let Some(reference) = reader.find(path)? else { return Ok(None) };
    let Some(stream) = contents::open(reader, &reader.file(reference)?, "")? else { return Ok(None) };
    let fails = |error| crate::error::Error::corrupt("cannot read the file").with_path(path).with_source(error);
    let len = stream.len().map_err(fails)?;
    if len > limit {
        let message = format!("file of {len} bytes; {limit} at most are expected");
        return Err(crate::error::Error::unsupported(message).with_path(path));
    }
    let mut bytes = vec![0; len as usize];
    stream.read_exact_at(&mut bytes, 0).map_err(fails)?;
    Ok(Some(bytes))
}

/// The processor that the program at `path` is for.
fn machine(reader: &NtfsReader<'_>, path: &str) -> Option<Architecture> {
    let file = reader.file(reader.find(path).ok()??).ok()?;
    let stream = contents::open(reader, &file, "").ok()??;
    let mut start = vec![0; stream.len().ok()?.min(HEADER) as usize];
    stream.read_exact_at(&mut start, 0).ok()?;
    program::architecture(&start)
}

/// Since Windows 10 the first two numbers are values of their own, and `CurrentVersion` stays 6.3.
fn version(hive: &Hive, key: KeyId) -> Option<Version> {
    let number = |name: &str| hive.value(key, name).and_then(|value| value.as_dword());
    let text = |name: &str| hive.value(key, name).and_then(|value| value.text());
    let build = text("CurrentBuildNumber").or_else(|| text("CurrentBuild"))?.parse().ok()?;
    let (major, minor) = match (number("CurrentMajorVersionNumber"), number("CurrentMinorVersionNumber")) {
        (Some(major), Some(minor)) => (major, minor),
        _ => {
            let text = text("CurrentVersion")?;
            let (major, minor) = text.split_once('.')?;
            (major.parse().ok()?, minor.parse().ok()?)
        }
    };
    Some(Version { major, minor, build, service_pack_build: number("UBR").unwrap_or(0) })
}

/// The name of the language with this number in hexadecimal digits, e.g. `0409`.
fn language(number: &str) -> Option<String> {
    let number = u32::from_str_radix(number.trim(), 16).ok()?;
    let language: &LanguageId = number.try_into().ok()?;
    Some(language.name.to_owned())
}

/// Counts files, directories and bytes. Each hard link counts.
fn count(tree: &FileTree, info: &mut ImageInfo) {
    let mut bytes = 0u64;
    for number in 0..tree.node_count() as u32 {
        for entry in tree[NodeId(number)].children.iter().flat_map(|children| children.values()) {
            let node = &tree[entry.node];
            if node.is_directory() {
                info.directory_count += 1;
            } else {
                info.file_count += 1;
                bytes = bytes.saturating_add(node.data.as_ref().map_or(0, |data| data.len()));
            }
        }
    }
    info.total_bytes = ByteSize::new(bytes);
}
