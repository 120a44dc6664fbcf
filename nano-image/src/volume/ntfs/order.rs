//! The order of records, clusters and descriptors. What all machines of a recipe have in common comes first. What may
//! differ has a reserved place, whether it is there or not, so that a setting of one machine moves nothing else.
//! differ in has its place whether it is there or not. So a setting of one machine moves nothing else.

use std::collections::BTreeMap;

use super::files::{Files, Zone};
use super::secure::SecurityTable;
use crate::content::Content;
use crate::error::{Error, Result};
use crate::security::{ObjectClass, inherited};
use crate::tree::{Kept, NodeId, SecurityId};

/// Numbers of descriptors that are known.
struct Known {
    /// Numbers of the descriptors of the tree, by their index there.
    explicit: Vec<Option<u32>>,
    /// Numbers of inherited descriptors: by the parent's number, and whether a directory inherits it.
    inherited: BTreeMap<(Option<u32>, bool), u32>,
}

impl Files {
    /// Finds the files that the tree keeps, by their index in the walk.
    pub fn find_kept(&mut self) {
        for kept in self.tree.clone().kept() {
            let place = self.tree.find(&kept.path).map(|node| self.places[node.0 as usize] as usize);
            // The root has its own record, and a second name of a file gets no second place.
            let place = place.filter(|place| *place > 0 && !self.kept.contains(&Some(*place)));
            self.kept.push(place);
        }
    }

    /// Numbers all descriptors: first those of what every machine has, then those of kept files, whether these are
    /// there or not, then the rest.
    pub fn assign_descriptors(&mut self, security: &mut SecurityTable) -> Result<()> {
        let tree = self.tree.clone();
        let mut known = Known { explicit: vec![None; tree.descriptors().len()], inherited: BTreeMap::new() };
        let is_kept =
            |files: &Self, place| files.kept.contains(&Some(place)) && !tree[files.files[place].node].is_directory();
        let is_late = |files: &Self, place: usize| place > 0 && tree.is_late(files.files[place].node);
        for place in 0..self.files.len() {
            if !is_kept(self, place) && !is_late(self, place) {
                self.assign_descriptor(place, security, &mut known)?;
            }
        }
        for (number, kept) in tree.kept().iter().enumerate() {
            match self.kept[number] {
                Some(place) if is_kept(self, place) => self.assign_descriptor(place, security, &mut known)?,
                Some(_) => {}
                None => self.assign_absent(security, kept)?,
            }
        }
        for place in 0..self.files.len() {
            if !is_kept(self, place) && is_late(self, place) {
                self.assign_descriptor(place, security, &mut known)?;
            }
        }
        Ok(())
    }

    /// Sorts the files in the order of their records: the root, what is kept, what is settled, what is late.
    pub fn order(&mut self) {
        let tree = self.tree.clone();
        for (place, kept) in self.kept.iter().zip(tree.kept()) {
            let Some(file) = place.map(|place| &mut self.files[place]) else { continue };
            let node = &tree[file.node];
            let is_known = matches!(node.data, Some(Content::Bytes(_))) && node.compact.is_none();
            // Blobs come in the order of their store.
            file.zone = if is_known || node.is_directory() { Zone::Kept } else { Zone::Settled };
            file.room = if is_known && !node.is_directory() { kept.room.max(1) } else { 0 };
        }
        let kept: BTreeMap<NodeId, usize> =
            self.kept.iter().flatten().map(|place| self.files[*place].node).zip(0..).collect();
        self.files[1..].sort_by_cached_key(|file| match kept.get(&file.node) {
            Some(number) => (Zone::Settled, *number),
            None if tree.is_late(file.node) => (Zone::Late, usize::MAX),
            None => (Zone::Settled, usize::MAX),
        });
        for (place, file) in self.files.iter().enumerate() {
            self.places[file.node.0 as usize] = place as u32;
        }
        for (place, next) in self.kept.iter_mut().flatten().zip(1..) {
            *place = next;
        }
    }

    fn assign_descriptor(&mut self, place: usize, security: &mut SecurityTable, known: &mut Known) -> Result<()> {
        let tree = &self.tree;
        let file = &self.files[place];
        let node = &tree[file.node];
        let link = self.names(file).next().expect("every file has a name");
        let id = match node.security {
            Some(SecurityId(id)) => match known.explicit[id as usize] {
                Some(known) => known,
                None => {
                    let owner = |error: Error| error.with_hint(format!("it belongs to `{}`", link.name));
                    let added = security.add(&tree.descriptors()[id as usize]).map_err(owner)?;
                    *known.explicit[id as usize].insert(added)
                }
            },
            None => {
                // Directories get theirs before their contents do; the root has no parent to inherit from.
                let parent = self.places[link.parent.0 as usize] as usize;
                let parent_id = (parent != place).then(|| self.files[parent].security_id);
                let key = (parent_id, node.is_directory());
                match known.inherited.get(&key) {
                    Some(known) => *known,
                    None => {
                        let class = if node.is_directory() { ObjectClass::Directory } else { ObjectClass::File };
                        let descriptor = inherited(parent_id.map(|id| security.get(id)), class);
                        let id = security.add(&descriptor)?;
                        known.inherited.insert(key, id);
                        id
                    }
                }
            }
        };
        self.files[place].security_id = id;
        Ok(())
    }

    /// Adds the descriptor of a kept file that is not there.
    fn assign_absent(&self, security: &mut SecurityTable, kept: &Kept) -> Result<()> {
        let parent = kept.path.rsplit_once('\\').map_or("", |(parent, _)| parent);
        let parent = self.tree.find(parent).filter(|_| kept.room > 0);
        let descriptor = match (kept.security, parent) {
            (Some(id), _) => self.tree.descriptors()[id.0 as usize].to_vec(),
            (None, Some(parent)) => inherited(Some(security.get(self.file_of(parent).security_id)), ObjectClass::File),
            (None, None) => return Ok(()),
        };
        security.add(&descriptor).map(drop)
    }
}
