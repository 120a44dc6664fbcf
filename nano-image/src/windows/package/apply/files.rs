//! Files and directories of components.

use super::target::Target;
use super::{Part, STORE, Spot};
use crate::content::Content;
use crate::error::Result;
use crate::report::InstalledPackage;
use crate::security::ObjectClass;
use crate::tree::{NodeId, attribute};
use crate::windows::package::manifest::ManifestFile;
use crate::windows::package::payload::PayloadFile;

impl Part<'_> {
    pub(super) fn make_directories(&self, target: &mut Target<'_, '_>, done: &mut InstalledPackage) -> Result<()> {
        for directory in &self.manifest.directories {
            let path = self.macros.path(&directory.path)?;
            let is_new = target.image.tree.find(&path).is_none();
            let node = target.image.create_directories(&path)?;
            let spot = Spot { element: "directory", name: &directory.path };
            if !target.image.tree[node].is_directory() {
                self.skip(done, spot, "it is a file in the image");
                continue;
            }
            if let Some(names) = &directory.attributes {
                match attributes(names) {
                    Some(bits) => target.image.tree[node].attributes |= bits,
                    None => self.skip(done, spot, format!("the attributes `{names}` are not known")),
                }
            }
            if is_new || directory.is_owner {
                let name = directory.security.as_deref();
                let parent = path.rsplit_once('\\').map_or("", |(parent, _)| parent);
                self.protect(target, node, name, ObjectClass::Directory, parent, spot, done)?;
            }
        }
        Ok(())
    }

    /// Puts a file into the store and, if `is_installed`, to the place where it is used.
    pub(super) fn install_file(
        &self,
        target: &mut Target<'_, '_>,
        file: &ManifestFile,
        payload: Option<&PayloadFile>,
        is_installed: bool,
        done: &mut InstalledPackage,
    ) -> Result<()> {
        let version = self.manifest.identity.version;
        let spot = Spot { element: "file", name: &file.name };
        let stored_name = file.source_name.as_deref().unwrap_or(&file.name);
        let stored = self.macros.path(&format!(r"{STORE}\{}\{stored_name}", self.key_form))?;
        let destination = match &file.destination_path {
            Some(path) => Some(self.macros.path(&format!(r"{path}\{}", file.installed_name()))?),
            None => None,
        };
        let links = file.links.iter().map(|link| self.macros.path(link)).collect::<Result<Vec<_>>>()?;
        let paths = destination.iter().chain(&links).filter(|_| is_installed);
        done.files += 1;
        let known = target.image.tree.find(&stored).filter(|node| !target.image.tree[*node].is_directory());
        let in_store = known.and_then(|node| target.image.tree[node].data.clone());
        let content = payload.map(|payload| payload.content.clone()).or(in_store).unwrap_or_else(Content::empty);
        let node = match known {
            Some(node) => node,
            None => {
                let node = self.add_node(target, content.clone(), file, spot, done);
                let parent =
                    destination.as_deref().unwrap_or(&stored).rsplit_once('\\').map_or("", |(parent, _)| parent);
                self.protect(target, node, file.security.as_deref(), ObjectClass::File, parent, spot, done)?;
                target.link(&stored, node, version)?;
                node
            }
        };
        for path in paths {
            let node = match file.writeable {
                false => node,
                // Windows changes the file later, and the store's copy must not change with it.
                true => {
                    let copy = self.add_node(target, content.clone(), file, spot, done);
                    target.image.tree[copy].security = target.image.tree[node].security;
                    copy
                }
            };
            if !target.link(path, node, version)? {
                target
                    .warnings
                    .push(format!("`{path}` of the image is newer than that of `{}`: it stays", self.key_form));
            }
        }
        Ok(())
    }

    fn add_node(
        &self,
        target: &mut Target<'_, '_>,
        content: Content,
        file: &ManifestFile,
        spot: Spot<'_>,
        done: &mut InstalledPackage,
    ) -> NodeId {
        done.bytes_added += content.len();
        let node = target.image.add_file(content);
        if let Some(names) = &file.attributes {
            match attributes(names) {
                Some(bits) => target.image.tree[node].attributes |= bits,
                None => self.skip(done, spot, format!("the attributes `{names}` are not known")),
            }
        }
        node
    }

    /// Gives `node`, in the directory at `parent`, the descriptor called `name`.
    #[allow(clippy::too_many_arguments, reason = "the place and what to tell the user about it")]
    fn protect(
        &self,
        target: &mut Target<'_, '_>,
        node: NodeId,
        name: Option<&str>,
        class: ObjectClass,
        parent: &str,
        spot: Spot<'_>,
        done: &mut InstalledPackage,
    ) -> Result<()> {
        if let Some(descriptor) = self.descriptor(name, class, target.descriptor(parent), spot, done)? {
            target.image.tree[node].security = Some(target.image.tree.add_descriptor(&descriptor));
        }
        Ok(())
    }
}

/// Parses file attributes: names (`readonly`, `FILE_ATTRIBUTE_HIDDEN`) or a number. Returns those that a tree can hold.
fn attributes(text: &str) -> Option<u32> {
    const NAMES: [(&str, u32); 7] = [
        ("readonly", attribute::READONLY),
        ("hidden", attribute::HIDDEN),
        ("system", attribute::SYSTEM),
        ("archive", attribute::ARCHIVE),
        ("not_content_indexed", attribute::NOT_CONTENT_INDEXED),
        ("normal", 0),
        ("directory", 0),
    ];
    const KEPT: u32 = 0x2027;
    let mut bits = 0;
    for word in text.split([' ', ',', '|', ';']).filter(|word| !word.is_empty()) {
        let word = word.to_ascii_lowercase();
        let name = word.strip_prefix("file_attribute_").unwrap_or(&word);
        let number = match name.strip_prefix("0x") {
            Some(hex) => u32::from_str_radix(hex, 16).ok(),
            None => name.parse().ok(),
        };
        let known = NAMES.iter().find(|(known, _)| *known == name).map(|(_, bit)| *bit);
        bits |= known.or(number.filter(|number| number & !(KEPT | 0x90) == 0))?;
    }
    Some(bits & KEPT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_have_names_and_numbers() {
        assert_eq!(attributes("readonly, FILE_ATTRIBUTE_HIDDEN"), Some(3));
        assert_eq!((attributes("0x26"), attributes("128"), attributes("")), (Some(0x26), Some(0), Some(0)));
        assert_eq!((attributes("odd"), attributes("0x800")), (None, None));
    }
}
