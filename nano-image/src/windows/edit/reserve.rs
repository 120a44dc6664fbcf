//! Reserved places for what differs between the machines of one recipe.
//!
//! Windows reads a machine's settings from few files. Each of them has a reserved place on the volume, whether it
//! exists or not, and hives have room for more values. So two images that differ in such settings differ in few blocks.

use std::sync::Arc;

use super::files::PRIVATE;
use super::{HiveFile, ImageEdit, Slot, control_sets};
use crate::error::Result;
use crate::registry::Hive;
use crate::security::{ObjectClass, constant};
use crate::tree::Kept;

/// The answer file and the first-boot script, with their directories.
const ANSWER_FILE: &str = r"Windows\Panther\Unattend.xml";
const SCRIPT: &str = r"Windows\Setup\Scripts\SetupComplete.cmd";
const DIRECTORIES: [&str; 2] = [r"Windows\Panther", r"Windows\Setup\Scripts"];
/// Hives that settings of a machine are in. What is added to a hive lies at its end, and its root key at its start: so the
/// small ones come before the start of SOFTWARE, and the end of SYSTEM, which every machine touches, beside the answer file.
const HIVES: [HiveFile; 4] = [HiveFile::Default, HiveFile::NewUser, HiveFile::Software, HiveFile::System];
/// Keys of each control set with values for a machine's name, network, time zone and locale.
const SYSTEM_KEYS: [&str; 7] = [
    r"Control\ComputerName\ComputerName",
    r"Services\Tcpip\Parameters",
    r"Control\TimeZoneInformation",
    r"Control\Nls",
    r"Control\Nls\Language",
    r"Control\Nls\Locale",
    r"Control\Nls\CodePage",
];
/// The same for DEFAULT and for new users.
const USER_KEYS: [&str; 1] = [r"Control Panel\International"];
/// Bytes reserved for an answer file, for a script, and for additions to a hive: enough for all settings except large
/// answer files and long lists of registry edits.
const ROOM: u32 = 64 << 10;

impl ImageEdit<'_> {
    /// Reserves places for what the settings of a machine change. What all machines have in common must be done before.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) if a file is in the way of a directory.
    pub fn reserve(&mut self) -> Result<()> {
        let is_windows = self.tree.find("Windows").is_some_and(|node| self.tree[node].is_directory());
        if is_windows {
            for path in DIRECTORIES {
                // A file in the way is reported elsewhere.
                let (parent, _) = path.rsplit_once('\\').unwrap_or_default();
                let is_free = |path: &str| self.tree.find(path).is_none_or(|node| self.tree[node].is_directory());
                if is_free(path) && is_free(parent) {
                    self.create_directories(path)?;
                }
            }
        }
        let private = self.tree.add_descriptor(&constant(PRIVATE, ObjectClass::File));
        let kept = |path: &str, room, security| Kept { path: path.into(), room, security };
        for file in HIVES {
            // A hive that cannot be read is an error only if something edits it; otherwise it stays as it is.
            if self.load(file).is_ok()
                && let Slot::Open { hive, to_edit } = &mut self.registry.hives[file as usize]
            {
                let hive = Arc::make_mut(hive);
                hive.reserve(ROOM)?;
                gather(hive, file)?;
                *to_edit = true;
            }
            self.tree.keep(kept(file.path(), 0, None));
        }
        self.tree.keep(kept(DIRECTORIES[0], 0, None));
        self.tree.keep(kept(ANSWER_FILE, ROOM.into(), Some(private)));
        self.tree.keep(kept(DIRECTORIES[1], 0, None));
        self.tree.keep(kept(SCRIPT, ROOM.into(), None));
        Ok(())
    }
}

/// Moves what settings of a machine change to one place of the hive.
fn gather(hive: &mut Hive, file: HiveFile) -> Result<()> {
    let (parents, keys) = match file {
        HiveFile::System => (control_sets(hive).unwrap_or_default(), &SYSTEM_KEYS[..]),
        HiveFile::Default | HiveFile::NewUser => (vec![hive.root()], &USER_KEYS[..]),
        _ => return Ok(()),
    };
    for parent in parents {
        for path in keys {
            if let Some(key) = hive.find_from(parent, path) {
                hive.gather(key)?;
            }
        }
    }
    Ok(())
}
