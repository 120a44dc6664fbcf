//! An image under edit: its tree, the contents of its files, and its registry.
//!
//! All that changes an image does so through one [`ImageEdit`]. A hive is read when it is first asked for, and goes
//! back into the tree when all is done: so it is read and written once, and what one step does the next one sees.

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

/// An image under edit.
pub struct ImageEdit<'a> {
    /// Names, attributes and contents.
    pub tree: &'a mut FileTree,
    /// Where the contents are.
    pub blobs: Overlay,
    /// Time of everything that is changed.
    pub time: FileTime,
    registry: Registry,
}

/// The hives of an image that are read or edited, kept between two edits.
#[derive(Clone, Default)]
pub struct Registry {
    /// By their numbers.
    hives: [Slot; HiveFile::ALL.len()],
    /// Name of the control set in use, once it is known.
    control_set: Option<String>,
}

/// A hive, as far as it is read.
#[derive(Clone, Default)]
enum Slot {
    #[default]
    Unread,
    /// There is no file, or an empty one.
    Absent,
    Open {
        /// Shared with the machines that do not edit it.
        hive: Arc<Hive>,
        /// Whether somebody asked for it to edit it since it was last put back.
        to_edit: bool,
    },
}

impl<'a> ImageEdit<'a> {
    /// The image `tree`, whose blobs `store` has. Everything that changes gets `time`.
    pub fn new(tree: &'a mut FileTree, store: Arc<dyn BlobStore>, time: FileTime) -> Self {
        let blobs = Overlay::new(store, tree.next_blob());
        Self::resume(tree, blobs, time, Registry::default())
    }

    /// Goes on with an image that was [left](Self::suspend).
    pub fn resume(tree: &'a mut FileTree, blobs: Overlay, time: FileTime, registry: Registry) -> Self {
        Self { tree, blobs, time, registry }
    }

    /// Leaves the image as it is, its hives not yet put back.
    pub fn suspend(self) -> (Overlay, Registry) {
        (self.blobs, self.registry)
    }

    /// A hive to read; `None` if the image has none.
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

    /// A hive to read that the image must have.
    ///
    /// # Errors
    /// As [`edit`](Self::edit).
    pub fn needed(&mut self, file: HiveFile) -> Result<&Hive> {
        self.hive(file)?.ok_or_else(|| missing(file))
    }

    /// A hive to edit.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if the image has none, and those of [`Hive::open`].
    pub fn edit(&mut self, file: HiveFile) -> Result<&mut Hive> {
        self.edit_if_there(file)?.ok_or_else(|| missing(file))
    }

    /// A hive to edit; `None` if the image has none.
    ///
    /// # Errors
    /// As [`Hive::open`].
    pub fn edit_if_there(&mut self, file: HiveFile) -> Result<Option<&mut Hive>> {
        self.load(file)?;
        Ok(self.registry.hives[file as usize].get_mut())
    }

    /// Two hives to edit at once; `None` for those that the image lacks.
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

    /// The key at `path` of a hive, made if it is missing.
    ///
    /// # Errors
    /// As [`edit`](Self::edit).
    pub fn key(&mut self, file: HiveFile, path: &str) -> Result<(&mut Hive, KeyId)> {
        let hive = self.edit(file)?;
        let key = hive.create_key(hive.root(), path)?;
        Ok((hive, key))
    }

    /// The key at `path` of the control set in use, made if it is missing.
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

    /// The path in its hive of the key at `place`: `CurrentControlSet`, which exists only while Windows runs, is
    /// replaced by the set that it stands for.
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

    /// Puts the hives that changed back. Their logs are emptied, so that Windows applies none of them. Returns the store
    /// that has the contents of the tree.
    ///
    /// # Errors
    /// [`Recipe`](crate::ErrorKind::Recipe) if a directory has taken the place of a file.
    pub fn finish(mut self) -> Result<Overlay> {
        self.put_back()?;
        Ok(self.blobs)
    }

    /// Puts the hives that changed back, and goes on: [`finish`](Self::finish) does so again for those that change from
    /// now on.
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

    /// Drops what is known of the hive that is, or has a log, at `path`: another file is there now.
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

/// The error for a hive that is needed.
fn missing(file: HiveFile) -> Error {
    Error::not_found("the image has no such registry hive")
        .with_path(file.path())
        .with_hint("only images of an installed Windows can be changed, not install media")
}
