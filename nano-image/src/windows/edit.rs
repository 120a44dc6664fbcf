//! An image that is being edited: its tree, the contents of its files, and its registry.
//!
//! All changes of an image go through one [`ImageEdit`]. A hive is read when it is first needed, and written back to
//! the tree at the end. So it is read and written once, and each step sees what the steps before it did.

mod control_set;
mod files;
mod hive_file;
mod image_files;
mod reserve;
#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::content::{BlobStore, Content, Overlay};
use crate::error::{Error, Result};
use crate::registry::{Hive, KeyId};
use crate::tree::{FileTree, Times};
use crate::types::FileTime;

pub use control_set::{all as control_sets, current as control_set};
pub use hive_file::{HiveFile, HiveKey};
pub use image_files::ImageFiles;

/// An image that is being edited.
pub struct ImageEdit<'a> {
    /// Names, attributes and contents.
    pub tree: &'a mut FileTree,
    /// The store of the contents.
    pub blobs: Overlay,
    /// The time that all changes get.
    pub time: FileTime,
    registry: Registry,
}

/// The hives of an image that have been read or edited, kept between two edits.
#[derive(Clone, Default)]
pub struct Registry {
    /// By their numbers.
    hives: [Slot; HiveFile::ALL.len()],
    /// Name of the control set in use, once it is known.
    control_set: Option<String>,
}

/// A hive, and whether it has been read.
#[derive(Clone, Default)]
enum Slot {
    #[default]
    Unread,
    /// The file is missing or empty.
    Absent,
    Open {
        /// Shared with other machines until one of them edits it.
        hive: Arc<Hive>,
        /// Whether it was requested for editing since it was last written back.
        to_edit: bool,
    },
}

impl<'a> ImageEdit<'a> {
    /// Starts editing the image `tree`, whose blobs are in `store`. All changes get `time`.
    pub fn new(tree: &'a mut FileTree, store: Arc<dyn BlobStore>, time: FileTime) -> Self {
        let blobs = Overlay::new(store, tree.next_blob());
        Self::resume(tree, blobs, time, Registry::default())
    }

    /// Continues with an image that was [suspended](Self::suspend).
    pub fn resume(tree: &'a mut FileTree, blobs: Overlay, time: FileTime, registry: Registry) -> Self {
        Self { tree, blobs, time, registry }
    }

    /// Suspends editing; changed hives are not written back yet.
    pub fn suspend(self) -> (Overlay, Registry) {
        (self.blobs, self.registry)
    }

    /// A hive for reading; `None` if the image does not have it.
    ///
    /// # Errors
    /// As [`Hive::open`].
    pub fn hive(&mut self, file: HiveFile) -> Result<Option<&Hive>> {
        self.load(file)?;
        Ok(match &self.registry.hives[file as usize] {
            Slot::Open { hive, .. } => Some(hive),
            _ => None,
        })
    }

    /// A hive for reading that the image must have.
    ///
    /// # Errors
    /// As [`edit`](Self::edit).
    pub fn needed(&mut self, file: HiveFile) -> Result<&Hive> {
        self.hive(file)?.ok_or_else(|| missing(file))
    }

    /// A hive for editing.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if the image does not have it, and errors of [`Hive::open`].
    pub fn edit(&mut self, file: HiveFile) -> Result<&mut Hive> {
        self.edit_if_there(file)?.ok_or_else(|| missing(file))
    }

    /// A hive for editing; `None` if the image does not have it.
    ///
    /// # Errors
    /// As [`Hive::open`].
    pub fn edit_if_there(&mut self, file: HiveFile) -> Result<Option<&mut Hive>> {
        self.load(file)?;
        Ok(self.registry.hives[file as usize].get_mut())
    }

    /// Two hives for editing at once; `None` for those that the image does not have.
    ///
    /// # Errors
    /// As [`Hive::open`].
    pub fn edit_both(&mut self, one: HiveFile, other: HiveFile) -> Result<(Option<&mut Hive>, Option<&mut Hive>)> {
        self.load(one)?;
        self.load(other)?;
        let slots = self.registry.hives.get_disjoint_mut([one as usize, other as usize]);
        let [one, other] = slots.expect("two different hives");
        Ok((one.get_mut(), other.get_mut()))
    }

    /// The key at `path` of a hive; it is created if it is missing.
    ///
    /// # Errors
    /// As [`edit`](Self::edit).
    pub fn key(&mut self, file: HiveFile, path: &str) -> Result<(&mut Hive, KeyId)> {
        let hive = self.edit(file)?;
        let key = hive.create_key(hive.root(), path)?;
        Ok((hive, key))
    }

    /// The key at `path` of the control set in use; it is created if it is missing.
    ///
    /// # Errors
    /// As [`edit`](Self::edit).
    pub fn system_key(&mut self, path: &str) -> Result<(&mut Hive, KeyId)> {
        let path = format!(r"{}\{path}", self.control_set()?);
        self.key(HiveFile::System, &path)
    }

    /// Name of the control set that Windows starts with, see [`control_set`].
    ///
    /// # Errors
    /// As [`edit`](Self::edit).
    pub fn control_set(&mut self) -> Result<&str> {
        if self.registry.control_set.is_none() {
            self.registry.control_set = Some(control_set(self.needed(HiveFile::System)?));
        }
        Ok(self.registry.control_set.as_deref().unwrap_or_default())
    }

    /// The path in its hive of the key at `place`. `CurrentControlSet`, which exists only while Windows runs, is
    /// replaced by the control set that it stands for.
    ///
    /// # Errors
    /// As [`edit`](Self::edit).
    pub fn resolve(&mut self, place: &HiveKey) -> Result<String> {
        let rest = hive_file::below(&place.path, hive_file::CURRENT).filter(|_| place.file == HiveFile::System);
        Ok(match rest {
            Some("") => self.control_set()?.to_owned(),
            Some(rest) => format!(r"{}\{rest}", self.control_set()?),
            None => place.path.clone(),
        })
    }

    /// Writes changed hives back and empties their logs, so that Windows does not apply them. Returns the store with
    /// the contents of the tree.
    ///
    /// # Errors
    /// [`Recipe`](crate::ErrorKind::Recipe) if a directory has taken the place of a file.
    pub fn finish(mut self) -> Result<Overlay> {
        self.put_back()?;
        Ok(self.blobs)
    }

    /// Writes changed hives back, and continues: [`finish`](Self::finish) does the same for hives that change later.
    ///
    /// # Errors
    /// As `finish`.
    pub fn put_back(&mut self) -> Result<()> {
        let times = Times::all(self.time);
        for (file, slot) in HiveFile::ALL.into_iter().zip(&mut self.registry.hives) {
            let Slot::Open { hive, to_edit } = slot else { continue };
            if !std::mem::take(to_edit) || !hive.is_edited() {
                continue;
            }
            self.tree.write_file(file.path(), hive.to_bytes(), times)?;
            for log in Hive::logs(file.path()) {
                let data = self.tree.find(&log).and_then(|node| self.tree[node].data.as_ref());
                if data.is_some_and(|data| !data.is_empty()) {
                    self.tree.write_file(&log, Content::empty(), times)?;
                }
            }
        }
        Ok(())
    }

    fn load(&mut self, file: HiveFile) -> Result<()> {
        if !matches!(self.registry.hives[file as usize], Slot::Unread) {
            return Ok(());
        }
        let hive = Hive::open(file.path(), |path, limit| self.read(path, limit))?;
        self.registry.hives[file as usize] = match hive {
            Some(mut hive) => {
                hive.set_time(self.time);
                Slot::Open { hive: hive.into(), to_edit: false }
            }
            None => Slot::Absent,
        };
        Ok(())
    }

    /// Forgets what is known about the hive that is at `path`, or whose log is there: there is another file now.
    fn forget_hive(&mut self, path: &str) {
        for file in HiveFile::ALL {
            let is_it = |other: &str| path.eq_ignore_ascii_case(other);
            if is_it(file.path()) || Hive::logs(file.path()).iter().any(|log| is_it(log)) {
                self.registry.hives[file as usize] = Slot::Unread;
                if file == HiveFile::System {
                    self.registry.control_set = None;
                }
            }
        }
    }
}

impl Slot {
    fn get_mut(&mut self) -> Option<&mut Hive> {
        match self {
            Self::Open { hive, to_edit } => {
                *to_edit = true;
                Some(Arc::make_mut(hive))
            }
            _ => None,
        }
    }
}

/// The error for a hive that is missing but needed.
fn missing(file: HiveFile) -> Error {
    Error::not_found("the image has no such registry hive")
        .with_path(file.path())
        .with_hint("only images of an installed Windows can be changed, not install media")
}
