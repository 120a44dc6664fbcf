//! Files and folders of the host that are copied into the image.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::computer_name::upper;
use crate::content::{Added, Content, InputFile, InputFiles, InputKind};
use crate::error::{Error, Result};
use crate::types::{Utf16Name, form};
use crate::windows::edit::ImageEdit;

/// Files up to this length are kept in memory, as long as their total does not exceed [`MAX_SMALL`].
const SMALL: u64 = 64 << 10;
const MAX_SMALL: u64 = 64 << 20;
/// Folders nested deeper are refused.
const MAX_DEPTH: usize = 128;
/// The longest name that NTFS allows.
const MAX_NAME: usize = 255;

/// Something to copy into the image: `SOURCE`, which goes to the root, or `SOURCE:DESTINATION`.
///
/// A file goes to the destination, or into it if it is a folder or ends with `\` or `/`. The contents of a folder go
/// into the destination. Links in a folder are followed if they lead to files in it; others are refused. Missing
/// folders are created. Security is inherited; times are those of the build.
///
/// ```
/// # fn main() -> nano_image::Result<()> {
/// let copy: nano_image::FileCopy = r"tools:\Tools".parse()?;
/// assert_eq!(copy.destination.as_deref(), Some(r"\Tools"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FileCopy {
    /// File or folder.
    pub source: PathBuf,
    /// Path in the image; with `None` the root, under the source's own name.
    pub destination: Option<String>,
}

impl FromStr for FileCopy {
    type Err = Error;

    /// Parses `SOURCE` or `SOURCE:DESTINATION`. Both may begin with a drive (`C:\`), the source also with `\\?\` before
    /// it.
    fn from_str(text: &str) -> Result<Self> {
        let verbatim = if text.starts_with(r"\\?\") { 4 } else { 0 };
        let bytes = &text.as_bytes()[verbatim..];
        let is_drive = |at: usize| {
            at >= 1
                && bytes[at - 1].is_ascii_alphabetic()
                && (at == 1 || bytes[at - 2] == b':')
                && matches!(bytes.get(at + 1), Some(b'\\' | b'/'))
        };
        let split = match text[verbatim..].rfind(':') {
            Some(1) if is_drive(1) => None,
            Some(at) if is_drive(at) => Some(at - 2),
            other => other,
        };
        let (source, destination) = match split.map(|at| at + verbatim) {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        if source.is_empty() {
            return Err(Error::recipe(format!("`{text}` names nothing to copy"))
                .with_hint("write SOURCE:DESTINATION, e.g. `scripts:Windows\\Setup\\Scripts`"));
        }
        let copy = Self { source: source.into(), destination: destination.map(str::to_owned) };
        copy.check()?;
        Ok(copy)
    }
}

form::as_text!(FileCopy);

impl fmt::Display for FileCopy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.source.display())?;
        self.destination.iter().try_for_each(|destination| write!(f, ":{destination}"))
    }
}

impl FileCopy {
    /// Checks the destination. The source is not read.
    pub(super) fn check(&self) -> Result<()> {
        self.destination_parts().map(|_| ())
    }

    /// Names of the destination's path.
    fn destination_parts(&self) -> Result<Vec<String>> {
        let text = self.destination.as_deref().unwrap_or_default();
        let path = text.strip_prefix("C:").or(text.strip_prefix("c:")).unwrap_or(text);
        let parts: Vec<String> = path.split(['\\', '/']).filter(|part| !part.is_empty()).map(str::to_owned).collect();
        let bad = parts.iter().find_map(|part| Some((part, name_fault(part)?)));
        match bad {
            Some((part, why)) => Err(Error::recipe(format!("cannot copy to `{text}`: `{part}` {why}"))
                .with_hint("name a path on the Windows volume, e.g. `\\Tools`")),
            None => Ok(parts),
        }
    }
}

/// A file to copy into the image, or a folder.
struct Item {
    /// Path in the image, separated by `\`.
    path: String,
    /// The name that is added to the path if the path is a folder.
    into_folder: Option<String>,
    /// `None` for a folder.
    source: Option<Source>,
}

/// Where the contents of a file come from.
enum Source {
    /// A small file is kept in memory.
    Memory(Content),
    File(InputFile),
}

/// Everything to copy.
#[derive(Default)]
pub(super) struct Copies {
    from: InputFiles,
    items: Vec<Item>,
    /// Path, length and digest of every file. They decide the bytes of the image.
    pub identity: Vec<u8>,
    /// Number of bytes kept in memory.
    kept: u64,
}

impl Copies {
    /// Examines all sources, and reads the small files.
    pub fn collect(wanted: &[FileCopy], from: &InputFiles) -> Result<Self> {
        let mut copies = Self { from: from.clone(), ..Self::default() };
        for copy in wanted {
            let parts = copy.destination_parts()?;
            let source = &copy.source;
            let kind = from.kind(source).map_err(|error| Error::io("copy", source, error))?;
            let own_name = || -> Result<String> {
                // `.` and `..` get the name of the folder that they stand for.
                let resolved = from.real_path(source).map_err(|error| Error::io("copy", source, error))?;
                let named = source.file_name().map(Path::new).unwrap_or(&resolved).to_owned();
                name_of(named.file_name().map(Path::new).unwrap_or(Path::new("")), source)
            };
            if kind == InputKind::Folder {
                let target = if copy.destination.is_some() { parts.join("\\") } else { own_name()? };
                copies.add_folder(source, source, target, 0)?;
                continue;
            }
            let text = copy.destination.as_deref().unwrap_or_default();
            let (path, into_folder) = match parts.is_empty() || text.ends_with(['\\', '/']) {
                true => ([&parts[..], &[own_name()?]].concat().join("\\"), None),
                // It is not known yet whether the destination is a folder of the image.
                false => (parts.join("\\"), Some(own_name()?)),
            };
            copies.add_file(source, path, into_folder)?;
        }
        Ok(copies)
    }

    /// Adds `source`, which is `root` or below it. Links to files are followed as long as they do not lead out of
    /// `root`.
    fn add_folder(&mut self, root: &Path, source: &Path, target: String, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(Error::unsupported(format!("folders are nested more than {MAX_DEPTH} deep")).with_path(source));
        }
        self.items.push(Item { path: target.clone(), into_folder: None, source: None });
        let failed = |error| Error::io("list", source, error);
        let mut entries = Vec::new();
        for path in self.from.list(source).map_err(failed)? {
            entries.push((name_of(&path, &path)?, path));
        }
        // Systems list directories in different orders.
        entries.sort();
        for (name, path) in entries {
            let target = if target.is_empty() { name } else { format!(r"{target}\{name}") };
            let failed = |error| Error::io("copy", &path, error);
            let is_link = self.from.is_link(&path).map_err(failed)?;
            match self.from.kind(&path).map_err(failed)? == InputKind::Folder {
                true if is_link => {
                    return Err(Error::unsupported("a link to a folder is not followed")
                        .with_path(&path)
                        .with_hint("copy what it points to by itself"));
                }
                true => self.add_folder(root, &path, target, depth + 1)?,
                false => {
                    if is_link {
                        self.from.check_inside(&path, root)?;
                    }
                    self.add_file(&path, target, None)?;
                }
            }
        }
        Ok(())
    }

    fn add_file(&mut self, source: &Path, path: String, into_folder: Option<String>) -> Result<()> {
        let kind = self.from.kind(source).map_err(|error| Error::io("copy", source, error))?;
        if !matches!(kind, InputKind::File(_)) {
            return Err(Error::unsupported("neither a file nor a folder: it cannot be copied").with_path(source));
        }
        let file = InputFile::open(&self.from, source)?;
        self.identity.extend(path.bytes().chain([0]).chain(*file.digest()));
        let source = if file.len() <= SMALL && self.kept + file.len() <= MAX_SMALL {
            self.kept += file.len();
            Source::Memory(self.from.read(source, SMALL, "the file that it was")?.into())
        } else {
            Source::File(file)
        };
        self.items.push(Item { path, into_folder, source: Some(source) });
        Ok(())
    }

    /// Whether a file is copied to exactly this path.
    pub fn wrote(&self, path: &str) -> bool {
        let path = upper(path);
        self.items.iter().filter(|item| item.source.is_some()).any(|item| match &item.into_folder {
            Some(name) if upper(&format!(r"{}\{name}", item.path)) == path => true,
            _ => upper(&item.path) == path,
        })
    }

    /// Copies everything into the image.
    pub fn apply(&self, image: &mut ImageEdit<'_>) -> Result<()> {
        let mut written = BTreeSet::new();
        for item in &self.items {
            let is_folder = |path: &str| image.tree.find(path).is_some_and(|node| image.tree[node].is_directory());
            let path = match &item.into_folder {
                Some(name) if is_folder(&item.path) => format!(r"{}\{name}", item.path),
                _ => item.path.clone(),
            };
            check_way(image, &path)?;
            let Some(source) = &item.source else {
                image.create_directories(&path)?;
                continue;
            };
            if !written.insert(upper(&path)) {
                return Err(Error::recipe(format!("two files are copied to `{path}`"))
                    .with_hint("Windows does not tell upper from lower case: rename one"));
            }
            let content = match source {
                Source::Memory(content) => content.clone(),
                Source::File(file) => image.blobs.add(Added::File(file.clone()))?,
            };
            image.write(&path, content)?;
        }
        Ok(())
    }
}

/// Refuses paths through files and links, where the file could not be found.
fn check_way(image: &ImageEdit<'_>, path: &str) -> Result<()> {
    let mut node = crate::tree::NodeId::ROOT;
    for part in path.split('\\').filter(|part| !part.is_empty()) {
        let Some(child) = image.tree.child(node, &Utf16Name::from(part)) else {
            return match image.tree[node].is_directory() {
                true => Ok(()),
                false => Err(Error::recipe(format!("cannot copy to `{path}`: there is a file in the way"))
                    .with_hint("choose another destination")),
            };
        };
        if image.tree[child].reparse.is_some() {
            return Err(Error::recipe(format!("cannot copy to `{path}`: `{part}` is a link in the image"))
                .with_hint("name the folder or file that the link points to"));
        }
        node = child;
    }
    Ok(())
}

/// The name of `path` for the image.
fn name_of(path: &Path, whole: &Path) -> Result<String> {
    let name = path.file_name().and_then(|name| name.to_str());
    let refuse = |why: &str| {
        Err(Error::unsupported(format!("cannot be copied: its name {why}")).with_path(whole).with_hint("rename it"))
    };
    match name {
        None => refuse("is not Unicode"),
        Some(name) => match name_fault(name) {
            Some(why) => refuse(why),
            None => Ok(name.into()),
        },
    }
}

/// Why Windows cannot use a name ([MS-FSCC] 2.1.5 and "Naming Files, Paths, and Namespaces").
fn name_fault(name: &str) -> Option<&'static str> {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let is_device = matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL")
        || ["COM", "LPT"].iter().any(|device| {
            stem.strip_prefix(device).is_some_and(|n| n.len() == 1 && n.bytes().all(|b| (b'1'..=b'9').contains(&b)))
        });
    if name.is_empty() || matches!(name, "." | "..") {
        Some("is not a name")
    } else if name.chars().any(|c| c.is_control() || r#"<>:"/\|?*"#.contains(c)) {
        Some("contains a character that Windows does not allow")
    } else if name.ends_with(['.', ' ']) {
        Some("ends with a dot or a space")
    } else if is_device {
        Some("is the name of a device")
    } else if name.encode_utf16().count() > MAX_NAME {
        Some("has more than 255 characters")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::tests::{TIME, bytes, edit, image};
    use super::*;
    use crate::tree::{FileTree, NodeId, Reparse};

    fn copy(wanted: &[(&Path, &str)], tree: &mut FileTree) -> Result<Copies> {
        let parse = |(source, destination): &(&Path, &str)| format!("{}{destination}", source.display()).parse();
        let copies = Copies::collect(&wanted.iter().map(parse).collect::<Result<Vec<_>>>()?, &InputFiles::default())?;
        edit(tree, TIME, |image| copies.apply(image))?;
        Ok(copies)
    }

    #[test]
    fn files_and_folders_go_where_they_are_sent() {
        let folder = tempfile::tempdir().unwrap();
        let (root, file) = (folder.path().join("kit"), folder.path().join("kit").join("a.txt"));
        fs::create_dir_all(root.join("sub").join("empty")).unwrap();
        fs::write(&file, "a").unwrap();
        fs::write(root.join("sub").join("big"), vec![7; SMALL as usize + 1]).unwrap();
        let mut tree = image();
        tree.create_directories("Tools", crate::tree::Times::default()).unwrap();
        let wanted = [
            (&*root, ""),
            (&*root, ":/Data/kit"),
            (&*file, ""),
            (&*file, r":C:\New\b.txt"),
            (&*file, r":\Dir\"),
            (&*file, ":tools"),
        ];
        let copies = copy(&wanted, &mut tree).unwrap();
        for path in [r"kit\a.txt", r"Data\kit\a.txt", "a.txt", r"New\b.txt", r"Dir\a.txt", r"Tools\a.txt"] {
            assert_eq!(bytes(&tree, path).unwrap(), b"a", "{path}");
            assert_eq!(tree[tree.find(path).unwrap()].security, None);
        }
        assert!(tree[tree.find(r"kit\sub\empty").unwrap()].is_directory());
        let large = copies.items.iter().filter(|item| matches!(item.source, Some(Source::File(_))));
        assert_eq!(large.count(), 2);
        assert_eq!(tree[tree.find(r"kit\sub\big").unwrap()].data.as_ref().unwrap().len(), SMALL + 1);
    }

    #[cfg(unix)]
    #[test]
    fn links_stay_in_the_copied_folder() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let kit = folder.path().join("kit");
        fs::create_dir(&kit).unwrap();
        fs::write(kit.join("a"), "a").unwrap();
        fs::write(folder.path().join("outside"), "secret").unwrap();
        symlink("a", kit.join("b")).unwrap();
        let mut tree = image();
        copy(&[(&kit, ":Tools")], &mut tree).unwrap();
        assert_eq!(bytes(&tree, r"Tools\b").unwrap(), b"a");
        for target in ["../outside", "/etc/passwd", ".."] {
            symlink(target, kit.join("c")).unwrap();
            let error = copy(&[(&kit, ":Tools")], &mut image()).err().unwrap();
            assert!(error.message().contains("link") && error.hint().is_some(), "{target}: {error}");
            fs::remove_file(kit.join("c")).unwrap();
        }
    }

    #[test]
    fn what_cannot_be_copied_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        fs::write(&file, "a").unwrap();
        let mut tree = image();
        let link = tree.create_directories("Link", crate::tree::Times::default()).unwrap();
        tree[link].reparse = Some(Reparse { tag: 0xA000_0003, data: [].into() }.into());
        tree.write_file("File", vec![1], crate::tree::Times::default()).unwrap();
        for bad in [":a/../b", ":con", ":lpt1.txt", ":a*", ":a. ", ":D:\\x", ":Link/x", ":File/x"] {
            let error = copy(&[(&file, bad)], &mut tree).err().unwrap();
            assert!(error.hint().is_some(), "{bad}: {error}");
        }
        let twice = [(&*file, ":X"), (&*file, ":x")];
        assert!(copy(&twice, &mut tree).err().unwrap().message().contains("two files"));
        let missing = folder.path().join("missing");
        assert_eq!(copy(&[(&missing, ":x")], &mut tree).err().unwrap().kind(), crate::error::ErrorKind::NotFound);
        assert!(":x".parse::<FileCopy>().is_err());
        assert!(tree[NodeId::ROOT].is_directory());
    }

    #[test]
    fn both_sides_may_have_a_drive() {
        for (text, source, destination) in [
            ("a", "a", None),
            ("a:b", "a", Some("b")),
            (r"C:\a", r"C:\a", None),
            (r"C:\a:b", r"C:\a", Some("b")),
            (r"C:\a:C:\b", r"C:\a", Some(r"C:\b")),
            (r"\\?\C:\a", r"\\?\C:\a", None),
            (r"\\?\C:\a:b", r"\\?\C:\a", Some("b")),
            (r"\\?\C:\a:C:\b", r"\\?\C:\a", Some(r"C:\b")),
            ("a:", "a", Some("")),
            ("ab:/b", "ab", Some("/b")),
        ] {
            let copy: FileCopy = text.parse().unwrap();
            assert_eq!((copy.source.to_str().unwrap(), copy.destination.as_deref()), (source, destination), "{text}");
            assert_eq!(copy.to_string(), text);
        }
    }
}
