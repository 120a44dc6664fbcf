//! The files that an image is made of.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::content::{InputFiles, ReadAt};
use crate::error::Result;
use crate::windows::media::Media;

/// The files that an image is made of.
///
/// ```no_run
/// # fn main() -> nano_image::Result<()> {
/// use nano_image::{Recipe, Sources};
///
/// let sources = Sources::media("WS2016.iso").servicing_package("kb4103723.msu").driver("virtio-win").scratch(".");
/// let plan = Recipe::image("ServerStandardNano").build()?.plan(&sources, &())?;
/// println!("{}", plan.image().name);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Sources {
    media: Origin,
    /// Media with packages for the Windows of a disk.
    package_media: Option<PathBuf>,
    parts: Vec<PathBuf>,
    pub(super) scratch: Option<PathBuf>,
    pub(super) servicing_packages: Vec<PathBuf>,
    pub(super) drivers: Vec<PathBuf>,
    pub(super) files: InputFiles,
}

#[derive(Clone, Debug)]
enum Origin {
    Media(PathBuf),
    /// A WIM, whatever its name and first bytes are.
    Wim(PathBuf),
    /// A disk image with Windows.
    Disk(PathBuf),
}

impl Sources {
    /// Install media: an ISO image, a folder with its files, or a WIM. See [`Media`].
    pub fn media(path: impl Into<PathBuf>) -> Self {
        Self::of(Origin::Media(path.into()))
    }

    /// A WIM file: `.wim`, `.esd`, or the first part of a split `.swm` set, whose other parts are found beside it.
    /// Packages are in the folder `Packages` beside it.
    pub fn wim(path: impl Into<PathBuf>) -> Self {
        Self::of(Origin::Wim(path.into()))
    }

    /// An ISO image or a WIM that is not a file, for example bytes in memory; messages call it `name`. For a WIM this
    /// needs a [`scratch`](Self::scratch) folder.
    ///
    /// ```no_run
    /// # fn main() -> nano_image::Result<()> {
    /// # let bytes = std::fs::read("nano.wim").expect("it is there");
    /// use nano_image::{Recipe, Sources};
    ///
    /// let sources = Sources::data(std::sync::Arc::new(bytes), "nano.wim").scratch(std::env::temp_dir());
    /// let plan = Recipe::image("1").build()?.plan(&sources, &())?;
    /// assert_eq!(plan.image().index, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn data(data: Arc<dyn ReadAt>, name: impl Into<PathBuf>) -> Self {
        let name = name.into();
        Self::media(&name).file(name, data)
    }

    /// A disk image with Windows (VHDX, VHD, qcow2, VMDK, raw; made by any program), which is only read: the files of
    /// its volume become a new image, with all changes that a recipe can make.
    ///
    /// ```no_run
    /// # fn main() -> nano_image::Result<()> {
    /// use nano_image::{ByteSize, Format, Recipe, Sources};
    ///
    /// let larger = Recipe::only_image().disk_size(ByteSize::gib(8)).build()?;
    /// let plan = larger.plan(&Sources::disk("old.vhd"), &())?;
    /// plan.layout(&())?.write_file("new.vhdx", Format::VHDX, &())?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn disk(path: impl Into<PathBuf>) -> Self {
        Self::of(Origin::Disk(path.into()))
    }

    fn of(media: Origin) -> Self {
        let (package_media, parts, scratch) = (None, Vec::new(), None);
        let (files, servicing_packages, drivers) = (InputFiles::default(), Vec::new(), Vec::new());
        Self { media, package_media, parts, scratch, servicing_packages, drivers, files }
    }

    /// A file in memory: everything that names `path`, in these sources or in a recipe, gets `data` and not the file
    /// with that name. A folder has these files in addition to its own; it need not exist. So media, packages, updates,
    /// drivers, answer files and copied files can all come from memory.
    ///
    /// ```
    /// # #[cfg(feature = "internals")] // The tests of a package alone have no fixtures.
    /// # fn main() -> nano_image::Result<()> {
    /// # let wim = fixtures::scenes::nano_small(&fixtures::scenes::pe_stand_in()).to_bytes();
    /// use nano_image::{MachineConfig, Recipe, Sources};
    /// use std::sync::Arc;
    ///
    /// let sources = Sources::wim("nano.wim").file("nano.wim", Arc::new(wim)).scratch(std::env::temp_dir());
    /// let sources = sources.file("tools/hello.cmd", Arc::new(b"echo hello".to_vec()));
    /// let machine = MachineConfig { copy: vec![r"tools:\Tools".parse()?], ..MachineConfig::default() };
    /// let plan = Recipe::image("1").machine(machine).build()?.plan(&sources, &())?;
    /// assert!(plan.inputs().is_empty(), "no file was read");
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "internals"))]
    /// # fn main() {}
    /// ```
    pub fn file(mut self, path: impl Into<PathBuf>, data: Arc<dyn ReadAt>) -> Self {
        self.files.add(path, data);
        self
    }

    /// Media whose packages can be added to the Windows of a [disk](Self::disk); other sources bring their own.
    pub fn package_media(mut self, path: impl Into<PathBuf>) -> Self {
        self.package_media = Some(path.into());
        self
    }

    /// A further part of a split WIM that does not lie beside the first.
    pub fn part(mut self, path: impl Into<PathBuf>) -> Self {
        self.parts.push(path.into());
        self
    }

    /// An update that is installed after all packages: a `.cab` or `.msu` file.
    pub fn servicing_package(mut self, path: impl Into<PathBuf>) -> Self {
        self.servicing_packages.push(path.into());
        self
    }

    /// A driver: an INF file, or a folder from which all INF files are taken.
    pub fn driver(mut self, path: impl Into<PathBuf>) -> Self {
        self.drivers.push(path.into());
        self
    }

    /// A folder for what must be made before the image can be laid out (see [`Compact`](crate::Compact)), and for
    /// opening a WIM that is not a file; its files are removed with the plan.
    pub fn scratch(mut self, folder: impl Into<PathBuf>) -> Self {
        self.scratch = Some(folder.into());
        self
    }

    /// The media or WIM, and whether to read it as a WIM in any case.
    pub(super) fn source(&self) -> Option<(&Path, bool)> {
        match &self.media {
            Origin::Media(path) => Some((path, false)),
            Origin::Wim(path) => Some((path, true)),
            Origin::Disk(_) => self.package_media.as_deref().map(|path| (path, false)),
        }
    }

    /// The disk image, if that is the source.
    pub(super) fn disk_image(&self) -> Option<&Path> {
        match &self.media {
            Origin::Disk(path) => Some(path),
            _ => None,
        }
    }

    /// Further parts of a split WIM.
    pub(super) fn parts(&self) -> &[PathBuf] {
        &self.parts
    }

    pub(super) fn open(&self) -> Result<Media> {
        match &self.media {
            Origin::Media(path) => Media::open_in(&self.files, path, &self.parts),
            Origin::Wim(path) => Media::wim(&self.files, path, &self.parts),
            Origin::Disk(path) => match &self.package_media {
                Some(media) => Media::open_in(&self.files, media, &[]),
                None => Ok(Media::none(path)),
            },
        }
    }
}
