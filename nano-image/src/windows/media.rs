//! Install media: an ISO image, a folder with its files, or a WIM alone. Images and packages are found in these places,
//! from Technical Preview 2 to Windows Server 2016:
//!
//! | media | images | packages |
//! |---|---|---|
//! | Nano Server | `NanoServer\NanoServer.wim` | `NanoServer\Packages\NAME.cab` |
//! | up to Technical Preview 4 | | `NanoServer\Packages\LANGUAGE\NAME.cab` |
//! | from Technical Preview 5 on | | `NanoServer\Packages\LANGUAGE\NAME_LANGUAGE.cab` |
//! | any Windows Server | `sources\install.wim`, `.esd` or `.swm` | |
//!
//! The folder may also be the one that contains `NanoServer.wim` or `install.wim`. Packages for a single WIM are in
//! `Packages` beside it.

mod details;
mod files;
mod identified;
mod image;
mod names;
mod package;
mod select;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

pub use details::{CabinetDetails, Feature, PackageDetails};
pub use files::MediaFile;
pub use image::ImageChoice;
pub use names::{Deployment, Edition, Role, release};
pub use package::MediaPackage;
pub use select::Selection;

use crate::content::{InputFiles, InputKind, ReadAt};
use crate::error::{Error, ErrorKind, Result};
use crate::source::iso::Iso;
use crate::source::wim::Wim;
use crate::windows::package::cabinet::CabinetSource;
use crate::windows::package::mum::Package;
use files::{Directory, Files, same};

/// Directories that may contain images, and their files, most likely first.
const NANO: &str = "NanoServer";
const SOURCES: &str = "sources";
const WIMS: [&str; 4] = ["NanoServer.wim", "install.wim", "install.esd", "install.swm"];
const PACKAGES: &str = "Packages";
/// Directory in [`SOURCES`] with the files of features that are not in images.
const ON_DEMAND: &str = "sxs";
/// First bytes of a WIM; the second value is that of a pipable one.
const WIM_MAGICS: [&[u8; 8]; 2] = [b"MSWIM\0\0\0", b"WLPWM\0\0\0"];
/// The most names that an error lists.
const MAX_LISTED: usize = 40;

/// Opened install media.
///
/// ```no_run
/// # fn main() -> nano_image::Result<()> {
/// let media = nano_image::Media::open("WS2016.iso", &[])?;
/// for package in media.packages() {
///     println!("{}", package.name);
/// }
/// # Ok(())
/// # }
/// ```
pub struct Media {
    path: PathBuf,
    files: Files,
    /// Volume label of an ISO image.
    label: Option<String>,
    wims: Vec<MediaFile>,
    /// Further parts of a split WIM.
    parts: Vec<PathBuf>,
    packages: Vec<MediaPackage>,
    /// Directory of the packages, if it exists.
    has_packages: bool,
    /// Cabinets with the files of features that are not in images.
    on_demand: Vec<MediaFile>,
    /// Descriptions in the cabinets that were opened: each cabinet may be searched for many packages.
    descriptions: Mutex<BTreeMap<MediaFile, Package>>,
}

impl fmt::Debug for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (wims, packages) = (&self.wims, self.packages.len());
        f.debug_struct("Media").field("path", &self.path).field("wims", wims).field("packages", &packages).finish()
    }
}

impl Media {
    /// Opens the ISO image, folder or WIM at `path`. For a split WIM, further `parts` can be given.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is nothing to build from, with a list of what is there;
    /// [`Unsupported`](crate::ErrorKind::Unsupported) and [`Corrupt`](crate::ErrorKind::Corrupt) for a bad ISO image.
    pub fn open(path: impl AsRef<Path>, parts: &[PathBuf]) -> Result<Self> {
        Self::open_in(&InputFiles::default(), path.as_ref(), parts)
    }

    /// Opens the ISO image, folder or WIM at `path` among `files`.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub(crate) fn open_in(files: &InputFiles, path: &Path, parts: &[PathBuf]) -> Result<Self> {
        let io = |error| Error::io("open the media", path, error);
        if files.kind(path).map_err(io)? == InputKind::Folder {
            return Self::find(path, Files::Folder(files.clone(), path.to_owned()), None);
        }
        let file = files.open(path).map_err(io)?;
        if is_wim(&*file).map_err(io)? {
            return Self::wim(files, path, parts);
        }
        Self::iso(file, path)
    }

    /// Opens an ISO image or a WIM in `data`, e.g. in memory. Messages call it `name`.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn data(data: Arc<dyn ReadAt>, name: impl AsRef<Path>) -> Result<Self> {
        Self::open_in(&InputFiles::only(name.as_ref(), data), name.as_ref(), &[])
    }

    fn iso(data: Arc<dyn ReadAt>, path: &Path) -> Result<Self> {
        let iso = Iso::open(data, path).map_err(|error| match error.kind() {
            ErrorKind::Unsupported => Error::unsupported("neither an ISO image (UDF or ISO 9660) nor a WIM")
                .with_path(path)
                .with_hint("name the ISO image as Microsoft ships it, or a folder with the files of the medium"),
            _ => error,
        })?;
        let label = Some(iso.label().to_owned());
        Self::find(path, Files::Iso { iso: Box::new(iso), path: path.to_owned() }, label)
    }

    /// Opens the WIM at `path` among `files` as media. Its packages are in the folder `Packages` beside it, if that
    /// exists; for a WIM in memory they must be in memory, too.
    ///
    /// # Errors
    /// [`Io`](crate::ErrorKind::Io) and [`NotFound`](crate::ErrorKind::NotFound). What is wrong with the WIM is
    /// reported when its images are read.
    pub(crate) fn wim(files: &InputFiles, path: &Path, parts: &[PathBuf]) -> Result<Self> {
        let wims = vec![MediaFile::at(files, path)?];
        let files = if files.in_memory(path).is_some() { files.without_host() } else { files.clone() };
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        let beside = folder.join(PACKAGES);
        let (mut packages, has_packages) = (Vec::new(), files.is_folder(&beside));
        if has_packages {
            let files = Files::Folder(files.clone(), beside);
            packages = package::list(&files, &files.root()?)?;
        }
        let parts = parts.to_vec();
        let files = Files::Folder(files, folder);
        let on_demand = on_demand(&files, &files.root()?)?;
        Ok(Self { files, wims, parts, packages, has_packages, on_demand, ..Self::none(path) })
    }

    /// Media without images and packages. Errors name `path`.
    pub fn none(path: impl AsRef<Path>) -> Self {
        let (path, files) = (path.as_ref().to_owned(), Files::Folder(InputFiles::default(), PathBuf::new()));
        Self {
            path,
            files,
            label: None,
            wims: Vec::new(),
            parts: Vec::new(),
            packages: Vec::new(),
            has_packages: false,
            on_demand: Vec::new(),
            descriptions: Mutex::default(),
        }
    }

    /// Looks for images and packages.
    fn find(path: &Path, files: Files, label: Option<String>) -> Result<Self> {
        let root = files.root().map_err(|error| error.with_path(path))?;
        let nano = files.directory(&root, NANO)?;
        let sources = files.directory(&root, SOURCES)?;
        let places: Vec<&Directory> = [Some(&root), nano.as_ref(), sources.as_ref()].into_iter().flatten().collect();
        let mut wims = Vec::new();
        for name in WIMS {
            wims.extend(places.iter().filter_map(|place| place.file(name)).cloned());
        }
        if wims.is_empty() {
            return Err(nothing_found(&places, &root).with_path(path));
        }
        let mut packages = None;
        for place in [nano.as_ref(), Some(&root)].into_iter().flatten() {
            if packages.is_none() {
                packages = files.directory(place, PACKAGES)?;
            }
        }
        let has_packages = packages.is_some();
        let packages = packages.map(|directory| package::list(&files, &directory)).transpose()?.unwrap_or_default();
        let mut found = Vec::new();
        for place in [sources.as_ref(), Some(&root)].into_iter().flatten() {
            found.extend(on_demand(&files, place)?);
        }
        Ok(Self { files, label, wims, packages, has_packages, on_demand: found, ..Self::none(path) })
    }

    /// Path of the media.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Label of the volume, of an ISO image.
    pub fn label(&self) -> Option<&str> {
        self.label.as_deref()
    }

    /// The WIMs with images of Windows, that of Nano Server first; never empty.
    pub fn wims(&self) -> &[MediaFile] {
        &self.wims
    }

    /// The packages, sorted by name.
    pub fn packages(&self) -> &[MediaPackage] {
        &self.packages
    }

    /// The cabinets in `sources/sxs`, with the files of features that are not in images.
    pub fn on_demand(&self) -> &[MediaFile] {
        &self.on_demand
    }

    /// Opens a file of the media.
    ///
    /// # Errors
    /// [`Io`](crate::ErrorKind::Io); [`Corrupt`](crate::ErrorKind::Corrupt) for a truncated ISO image.
    pub fn read(&self, file: &MediaFile) -> Result<Arc<dyn ReadAt>> {
        self.files.open(file)
    }

    /// The cabinet `file` of a package, for installing it.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    pub fn cabinet(&self, file: &MediaFile) -> Result<CabinetSource> {
        Ok(CabinetSource { path: file.path.clone(), data: self.read(file)? })
    }

    /// Opens one of the [`wims`](Self::wims). If it is inside an ISO image or in memory, this needs a small temporary
    /// file in the folder `scratch`.
    ///
    /// # Errors
    /// Those of [`Wim::open`] and [`Wim::open_within`]; [`Recipe`](crate::ErrorKind::Recipe) if a scratch folder is
    /// needed and not given.
    pub fn open_wim(&self, wim: &MediaFile, scratch: Option<&Path>) -> Result<Wim> {
        if wim.is_plain() {
            return Wim::open(&wim.path, &self.parts);
        }
        let folder = scratch.ok_or_else(|| {
            Error::recipe("a WIM inside an ISO image or in memory needs a scratch folder to be opened")
                .with_hint("name a folder")
        })?;
        let data = self.read(wim)?;
        Wim::open_within(data, &wim.path, folder)
    }
}

/// The cabinets in the directory of features below `place`, if it has one, sorted.
fn on_demand(files: &Files, place: &Directory) -> Result<Vec<MediaFile>> {
    let directory = files.directory(place, ON_DEMAND)?;
    let all = directory.into_iter().flat_map(|directory| directory.files);
    let mut cabinets: Vec<MediaFile> = all.filter(|file| file.has_extension("cab")).collect();
    cabinets.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(cabinets)
}

/// Whether `data` begins like a WIM.
fn is_wim(data: &dyn ReadAt) -> std::io::Result<bool> {
    let mut magic = [0; 8];
    if data.len()? >= 8 {
        data.read_exact_at(&mut magic, 0)?;
    }
    Ok(WIM_MAGICS.contains(&&magic))
}

/// The error for media without images. It lists what is there.
fn nothing_found(places: &[&Directory], root: &Directory) -> Error {
    let other = places.iter().flat_map(|place| &place.files).find(|file| file.has_extension("wim"));
    let what = format!("no {NANO}/{}, and no {SOURCES}/{}", WIMS[0], WIMS[1]);
    let hint = match other {
        Some(other) => format!("there is `{}`: name the file itself if it is meant", other.path.display()),
        None => format!("there is: {}", list(root.names())),
    };
    Error::not_found(what).with_hint(hint)
}

/// Joins names for a message.
fn list(mut names: Vec<String>) -> String {
    if names.is_empty() {
        return "nothing".into();
    }
    if names.len() > MAX_LISTED {
        names.truncate(MAX_LISTED);
        names.push("…".into());
    }
    names.join(", ")
}
