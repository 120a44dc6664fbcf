//! The image under edit: its tree, its files and its hives.

use std::collections::BTreeMap;

use crate::content::{BlobStore, Content};
use crate::error::{Error, Result};
use crate::registry::{Hive, KeyId};
use crate::tree::{FileTree, NodeId, SecurityId, Times, attribute};
use crate::types::FileTime;

/// No hive of an image is larger.
const MAX_HIVE: u64 = 512 << 20;
/// Windows keeps a log of a hive in files with these endings.
const LOGS: [&str; 3] = ["LOG1", "LOG2", "LOG"];

/// A hive file in `Windows\System32\config`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum HiveFile {
    System,
    Software,
    Sam,
    Security,
    Default,
    Components,
}

impl HiveFile {
    /// Path in the image.
    pub fn path(self) -> &'static str {
        match self {
            Self::System => r"Windows\System32\config\SYSTEM",
            Self::Software => r"Windows\System32\config\SOFTWARE",
            Self::Sam => r"Windows\System32\config\SAM",
            Self::Security => r"Windows\System32\config\SECURITY",
            Self::Default => r"Windows\System32\config\DEFAULT",
            Self::Components => r"Windows\System32\config\COMPONENTS",
        }
    }
}

/// An image under edit. Hives are read when they are first asked for and go back with [`Self::save`].
pub(super) struct Image<'a> {
    pub tree: &'a mut FileTree,
    /// Time of everything that is changed.
    pub time: FileTime,
    blobs: &'a dyn BlobStore,
    hives: BTreeMap<HiveFile, OpenHive>,
}

struct OpenHive {
    hive: Hive,
    changed: bool,
}

impl<'a> Image<'a> {
    pub fn new(tree: &'a mut FileTree, blobs: &'a dyn BlobStore, time: FileTime) -> Self {
        Self { tree, time, blobs, hives: BTreeMap::new() }
    }

    /// The whole file at `path` of at most `limit` bytes; `None` if there is none.
    pub fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let Some(data) = self.tree.find(path).and_then(|node| self.tree[node].data.as_ref()) else { return Ok(None) };
        if data.len() > limit {
            let what = format!("file of {} bytes; {limit} at most are expected", data.len());
            return Err(Error::unsupported(what).with_path(path));
        }
        match data {
            Content::Bytes(bytes) => Ok(Some(bytes.to_vec())),
            Content::Blob { id, .. } => self.blobs.read_blob(*id, limit).map(Some).map_err(|e| e.with_path(path)),
        }
    }

    /// Writes a file; what is new inherits its descriptor from its directory when the volume is laid out.
    pub fn write(&mut self, path: &str, data: impl Into<Content>) -> Result<NodeId> {
        let known = self.tree.node_count();
        let node = self.tree.write_file(path, data, Times::all(self.time))?;
        self.inherit_from(known);
        Ok(node)
    }

    /// Makes the directories of `path` that are missing; they inherit their descriptors.
    pub fn create_directories(&mut self, path: &str) -> Result<NodeId> {
        let known = self.tree.node_count();
        let node = self.tree.create_directories(path, Times::all(self.time))?;
        self.inherit_from(known);
        Ok(node)
    }

    /// Writes a file that only SYSTEM and Administrators can open.
    pub fn write_private(&mut self, path: &str, data: Vec<u8>) -> Result<()> {
        let node = self.write(path, data)?;
        let security = private_descriptor(self.tree);
        self.tree[node].security = Some(security);
        self.tree[node].attributes &= !attribute::READONLY;
        Ok(())
    }

    fn inherit_from(&mut self, first: usize) {
        for number in first..self.tree.node_count() {
            self.tree[NodeId(number as u32)].security = None;
        }
    }

    /// A hive to read; `None` if the image has none.
    pub fn hive(&mut self, file: HiveFile) -> Result<Option<&Hive>> {
        Ok(self.load(file)?.map(|open| &open.hive))
    }

    /// A hive to edit.
    pub fn edit(&mut self, file: HiveFile) -> Result<&mut Hive> {
        let Some(open) = self.load(file)? else {
            return Err(Error::not_found("the image has no such registry hive")
                .with_path(file.path())
                .with_hint("only images of an installed Windows can be configured, not install media"));
        };
        open.changed = true;
        Ok(&mut open.hive)
    }

    fn load(&mut self, file: HiveFile) -> Result<Option<&mut OpenHive>> {
        if !self.hives.contains_key(&file) {
            let path = file.path();
            let Some(bytes) = self.read(path, MAX_HIVE)? else { return Ok(None) };
            let logs = LOGS.map(|ending| self.read(&format!("{path}.{ending}"), MAX_HIVE));
            let logs = logs.into_iter().collect::<Result<Vec<_>>>()?;
            let logs: Vec<&[u8]> = logs.iter().flatten().map(Vec::as_slice).filter(|log| !log.is_empty()).collect();
            let mut hive = Hive::recover(bytes, &logs).map_err(|error| error.with_path(path))?;
            hive.set_time(self.time);
            self.hives.insert(file, OpenHive { hive, changed: false });
        }
        Ok(self.hives.get_mut(&file))
    }

    /// Puts the hives that were edited back. Their logs are emptied, so that none is applied to the edited hive.
    pub fn save(mut self) -> Result<()> {
        for (file, open) in std::mem::take(&mut self.hives) {
            if !open.changed {
                continue;
            }
            let path = file.path();
            self.write(path, open.hive.into_bytes())?;
            for log in LOGS.map(|ending| format!("{path}.{ending}")) {
                if self.tree.find(&log).is_some_and(|node| self.tree[node].data.as_ref().is_some_and(|d| !d.is_empty()))
                {
                    self.write(&log, Vec::new())?;
                }
            }
        }
        Ok(())
    }
}

/// The keys `ControlSetNNN` of a SYSTEM hive; never empty.
pub(super) fn control_sets(hive: &Hive) -> Result<Vec<KeyId>> {
    let is_control_set = |name: String| {
        let name = name.to_ascii_uppercase();
        name.strip_prefix("CONTROLSET").is_some_and(|n| n.len() == 3 && n.bytes().all(|b| b.is_ascii_digit()))
    };
    let keys = hive.subkeys(hive.root()).into_iter();
    let sets: Vec<KeyId> = keys.filter(|key| is_control_set(hive.name(*key).to_string())).collect();
    if sets.is_empty() {
        return Err(Error::corrupt("registry hive without any key `ControlSetNNN`").with_path(HiveFile::System.path()));
    }
    Ok(sets)
}

/// Full access for SYSTEM and Administrators and for nobody else ([MS-DTYP] 2.4.6): the DACL is protected, so that
/// nothing is inherited.
fn private_descriptor(tree: &mut FileTree) -> SecurityId {
    const FILE_ALL_ACCESS: u32 = 0x001F_01FF;
    const ADMINISTRATORS: [u8; 16] = [1, 2, 0, 0, 0, 0, 0, 5, 0x20, 0, 0, 0, 0x20, 2, 0, 0];
    const SYSTEM: [u8; 12] = [1, 1, 0, 0, 0, 0, 0, 5, 0x12, 0, 0, 0];
    let ace = |sid: &[u8]| [&[0, 0, 8 + sid.len() as u8, 0], &FILE_ALL_ACCESS.to_le_bytes()[..], sid].concat();
    // Self-relative, DACL present and protected; owner at 0x48, group at 0x58, no SACL, DACL at 0x14.
    let header = [1, 0, 4, 0x90, 0x48, 0, 0, 0, 0x58, 0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0];
    let acl = [2, 0, 0x34, 0, 2, 0, 0, 0];
    let bytes = [&header[..], &acl, &ace(&SYSTEM), &ace(&ADMINISTRATORS), &ADMINISTRATORS, &SYSTEM].concat();
    tree.add_descriptor(&bytes)
}
