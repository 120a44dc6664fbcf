//! One image for many machines: each machine is a disk that holds only what differs.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use super::pages::{self, PAGE, Page};
use super::plan::Plan;
use super::recipe::Recipe;
use super::shared::Shared;
use super::sources::Sources;
use super::template::{Template, Volume};
use crate::content::{BlobForm, BlobRequest, Extent, NewFile, NewFileOptions, NewFiles, ReadAt, ReadOptions};
use crate::disk::{self, CompareOutput, FileLayout, FileOutput, Format, Output, Parent};
use crate::error::{Error, Result};
use crate::identity::Seed;
use crate::progress::Observer;
use crate::report::Report;
use crate::types::DiskOffset;
use crate::volume::ntfs::{self, Piece};
use crate::windows::configure::{MachineConfig, Secret};

impl Recipe {
    /// Opens the sources, reads the image's metadata, and decides what the disk contains.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if the image or its boot files are missing,
    /// [`Corrupt`](crate::ErrorKind::Corrupt) and [`Unsupported`](crate::ErrorKind::Unsupported) for what the sources
    /// hold, [`TooSmall`](crate::ErrorKind::TooSmall) if the partitions do not fit on the disk.
    pub fn plan(&self, sources: &Sources, observer: &dyn Observer) -> Result<Plan> {
        let (shared, machine) = Shared::new(self, sources, observer)?;
        shared.plan(self, machine, observer)
    }
}

/// A golden image, from which other machines of its recipe are made: [`machine`](Self::machine) plans one of them. It
/// is written as a [clone](Machine::write_clone), a differencing disk that holds what differs from the golden image.
///
/// What a machine's settings touch has a fixed place in every image of a recipe. So a clone is small, and no blobs of
/// the source are read for it. Its disk is, byte for byte, the one that a build of that machine makes.
///
/// ```no_run
/// # fn main() -> nano_image::Result<()> {
/// use nano_image::{Format, Golden, MachineConfig, Recipe, Sources};
///
/// let recipe = Recipe::image("1").computer_name("golden").build()?;
/// let golden = Golden::new(&recipe, &Sources::wim("nano.wim"), &())?;
/// let file = golden.open("golden.vhdx")?;
/// for name in ["web-01", "web-02"] {
///     let config = MachineConfig { computer_name: Some(name.into()), ..recipe.machine().clone() };
///     let machine = golden.machine(name, config, None, None, &())?;
///     machine.write_clone(&file, format!("{name}.vhdx"), Format::VHDX.differencing(None)?)?;
/// }
/// # Ok(())
/// # }
/// ```
pub struct Golden {
    shared: Shared,
    plan: Plan,
    pieces: Vec<(u64, Piece<'static>)>,
    /// Machines from which others are made.
    pub(super) templates: RwLock<Vec<Arc<Template>>>,
}

/// How many machines are kept for others: a list of machines has only a few kinds.
const MAX_TEMPLATES: usize = 4;

/// The file of a golden image, after a check that it is the recipe's.
pub struct GoldenFile {
    path: PathBuf,
    format: Format,
}

/// One machine of a golden image's recipe.
pub struct Machine<'g> {
    golden: &'g Golden,
    plan: Plan,
}

/// A clone after it was written.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct CloneReport {
    /// The seed of its identifiers: `build` with this seed and the machine's settings makes the same disk.
    pub seed: String,
    /// The disk's GUID (GPT) or signature (MBR).
    pub disk_id: String,
    /// Length of the file.
    pub file_size: u64,
    /// Bytes in the pages of 4 KiB that differ from the golden image.
    pub differing: u64,
    /// How many blocks of the disk, of 1 MiB each, have such pages.
    pub blocks: u64,
    /// The path to the parent that the file has.
    pub parent: String,
    /// What the user should know.
    pub warnings: Vec<String>,
}

impl Golden {
    /// Plans the golden image, and reads what all machines need from the sources.
    ///
    /// # Errors
    /// As [`Recipe::plan`] and [`Plan::layout`].
    pub fn new(recipe: &Recipe, sources: &Sources, observer: &dyn Observer) -> Result<Self> {
        let (mut shared, machine) = Shared::new(recipe, sources, observer)?;
        shared.read_ahead(recipe)?;
        let plan = shared.clone().plan(recipe, machine, observer)?;
        let layout = plan.layout(observer)?;
        let pieces = layout.pieces(&mut |blob, len| Ok(ntfs::stand_in(blob, len, 0)))?;
        let pieces = pieces.into_iter().map(|(at, piece)| (at, piece.into_owned())).collect();
        drop(layout);
        Ok(Self { shared, plan, pieces, templates: RwLock::default() })
    }

    /// The plan of the golden image itself.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Opens the golden image and checks that it is what the recipe makes: the identifiers of its format, its size, and
    /// all bytes except the contents of the source's files. [`Layout::compare`](crate::Layout::compare) compares every
    /// byte.
    ///
    /// # Errors
    /// [`Recipe`](crate::ErrorKind::Recipe) if it is another image, or if it was changed; the errors of
    /// [`open_disk`](crate::open_disk).
    pub fn open(&self, path: impl Into<PathBuf>) -> Result<GoldenFile> {
        let path = path.into();
        let file = std::fs::File::open(&path).map_err(|error| Error::io("open", &path, error))?;
        let file: Arc<dyn ReadAt> = Arc::new(file);
        let in_file = |error: Error| error.with_path(&path);
        let failed = |error| Error::io("read", &path, error);
        let hint = "take the recipe and the sources that it was built of, or build it again; a golden image must never be \
                    started or written to";
        let differs = |what: String| Error::recipe(what).with_path(&path).with_hint(hint);
        let disk = disk::open(file.clone()).map_err(in_file)?;
        let layout = self.plan.layout(&())?;
        let file_layout = layout.file_layout(disk.format()).map_err(in_file)?;
        let (len, expected) = (file.len().map_err(failed)?, file_layout.file_size().bytes());
        let is_length = len == expected || (file_layout.is_packed() && len < expected);
        if disk.size() != self.plan.recipe.disk_size() || !is_length {
            return Err(differs(format!(
                "not the golden image of this recipe: it has {len} bytes for a disk of {}, and {expected} for one of {} are expected",
                disk.size(),
                self.plan.recipe.disk_size()
            )));
        }
        if file_layout.content_id() != disk.content_id() {
            return Err(differs(
                "not the golden image of this recipe, or it was written to: its identifier is another".into(),
            ));
        }
        let (mfts, mut found) = (layout.mfts(), Vec::new());
        for (at, piece) in &self.pieces {
            let Piece::Bytes(bytes) = piece else { continue };
            // Records may hold contents of the source's files.
            if mfts.iter().any(|mft| (mft.start..mft.end()).contains(at)) {
                continue;
            }
            found.resize(bytes.len(), 0);
            disk.read_exact_at(&mut found, *at).map_err(failed)?;
            if let Some(byte) = (0..bytes.len()).find(|byte| found[*byte] != bytes[*byte]) {
                let offset = at + byte as u64;
                let what = layout.describe(DiskOffset(offset), &file_layout);
                return Err(differs(format!(
                    "not the golden image of this recipe: byte {offset} of its disk differs ({what})"
                )));
            }
        }
        Ok(GoldenFile { format: disk.format(), path })
    }

    /// Plans a machine: `config` has all its settings. Without a `seed` its identifiers come from its recipe. They also
    /// come from `name` if recipes of machines may be alike: if the recipe has a seed itself or no computer name.
    ///
    /// # Errors
    /// As [`Recipe::plan`].
    pub fn machine(
        &self,
        name: &str,
        config: MachineConfig,
        password: Option<Secret>,
        seed: Option<Seed>,
        observer: &dyn Observer,
    ) -> Result<Machine<'_>> {
        let recipe = &self.plan.recipe;
        let mut choices = recipe.choices.clone();
        let is_named = config.computer_name.as_deref().is_some_and(|name| name != "*");
        choices.machine = config;
        let mut recipe = Recipe::try_from(choices)?;
        recipe.administrator_password = password.or_else(|| self.plan.recipe.administrator_password.clone());
        let architecture = self.shared.architecture();
        let password = recipe.administrator_password.as_ref();
        let mut machine = recipe.machine().prepare_from(self.shared.files(), password, architecture)?;
        if !machine.take_servicing().is_like(self.shared.servicing()) {
            let what = "the machine's answer file wants other packages or drivers than the golden image's";
            return Err(Error::recipe(what).with_hint("build a golden image with them"));
        }
        recipe.choices.seed = match (seed, recipe.seed()) {
            (Some(seed), _) => Some(seed),
            (None, None) if is_named => None,
            (None, given) => {
                let seed = given.unwrap_or_else(|| self.shared.seed(&recipe, &machine));
                Some(Seed::from_bytes(seed.derive(&format!("clone {name}"))))
            }
        };
        let plan = self.shared.clone().plan(&recipe, machine, observer)?;
        Ok(Machine { golden: self, plan })
    }
}

impl Golden {
    /// The pages of `plan` that differ from this image, if an earlier machine has everything in the same places.
    fn by_template(&self, plan: &Plan) -> Result<Option<Vec<(u64, Page)>>> {
        let templates = self.templates.read().unwrap_or_else(PoisonError::into_inner).clone();
        for template in templates {
            if let Some(made) = template.pages_of(&self.pieces, plan)? {
                return Ok(Some(made));
            }
        }
        Ok(None)
    }

    /// Whether a machine like `plan` should be kept for others. Another thread may have had one like it already.
    fn wanted(&self, plan: &Plan) -> bool {
        let known = self.templates.read().unwrap_or_else(PoisonError::into_inner).len();
        known < MAX_TEMPLATES && matches!(self.by_template(plan), Ok(None))
    }
}

impl Machine<'_> {
    /// The plan of the whole image of this machine.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Writes a whole image.
    ///
    /// # Errors
    /// As [`Layout::write`](crate::Layout::write).
    pub fn write_full(&self, target: super::write::Target<'_>, observer: &dyn Observer) -> Result<Report> {
        self.plan.layout(observer)?.jobs(1).write(vec![target], observer)
    }

    /// Writes a differencing disk of `golden` at `path`, in a format of [`Format::differencing`]. The file appears when
    /// it is complete; an existing one is replaced.
    ///
    /// # Errors
    /// [`Recipe`](crate::ErrorKind::Recipe) if the format cannot have such a parent, or if no path leads to it;
    /// [`Io`](crate::ErrorKind::Io).
    pub fn write_clone(&self, golden: &GoldenFile, path: impl AsRef<Path>, format: Format) -> Result<CloneReport> {
        let files = NewFiles::create(&[path.as_ref()], NewFileOptions { replace: true, mode: None })?;
        let report = self.write_clone_to(golden, &files.files()[0], format)?;
        files.flush()?;
        files.publish()?;
        Ok(report)
    }

    /// Like [`write_clone`](Self::write_clone), into a file that the caller created and will publish.
    ///
    /// # Errors
    /// As `write_clone`.
    pub fn write_clone_to(&self, golden: &GoldenFile, file: &NewFile, format: Format) -> Result<CloneReport> {
        let open = file.file().try_clone().map_err(|error| Error::io("open", file.path(), error))?;
        self.send(golden, file.path(), format, &mut FileOutput::new(open, file.path())?.min_hole(PAGE))
    }

    /// Whether the file at `path` is what [`write_clone`](Self::write_clone) would write there.
    ///
    /// # Errors
    /// As `write_clone`.
    pub fn is_clone(&self, golden: &GoldenFile, path: &Path, format: Format) -> Result<bool> {
        let file = std::fs::File::open(path).map_err(|error| Error::io("open", path, error))?;
        let mut output = CompareOutput::new(&file, path)?;
        match self.send(golden, path, format, &mut output) {
            Err(_) if output.difference().is_some() => Ok(false),
            sent => sent.map(|_| output.difference().is_none()),
        }
    }

    fn send(&self, golden: &GoldenFile, path: &Path, format: Format, output: &mut dyn Output) -> Result<CloneReport> {
        if golden.format.name() != format.name() && format.name() != "qcow2" {
            let (clone, parent) = (format.title(), golden.format.title());
            return Err(Error::recipe(format!("a {clone} cannot have a {parent} image as its parent"))
                .with_hint(format!("write a {parent} clone, or a qcow2 image, or a whole image (--full)")));
        }
        let parent_path = relative(&golden.path, path)?;
        let of = &self.golden.plan;
        let format_name = golden.format.qemu_name();
        let parent = Parent { path: &parent_path, format: format_name, identity: &of.identity, time: of.time };
        let sent = |pages: &[Extent], send: &mut dyn FnMut(&FileLayout) -> Result<()>| {
            let (disk, identity, time) = (self.plan.recipe.disk(), &self.plan.identity, self.plan.time);
            let file_layout = FileLayout::over_parent(Some(&parent), format, disk, pages, identity, time)?;
            send(&file_layout)?;
            let mut blocks: Vec<u64> =
                pages.iter().flat_map(|page| page.start >> 20..=(page.end() - 1) >> 20).collect();
            blocks.dedup();
            Ok(CloneReport {
                seed: self.plan.seed().to_string(),
                disk_id: self.plan.disk_id(),
                file_size: file_layout.file_size().bytes(),
                differing: pages.iter().map(|page| page.len).sum(),
                blocks: blocks.len() as u64,
                parent: parent_path.clone(),
                warnings: self.plan.warnings.clone(),
            })
        };
        if let Some(made) = self.golden.by_template(&self.plan)? {
            let pages: Vec<Extent> = made.iter().map(|(start, _)| Extent { start: *start, len: PAGE }).collect();
            return sent(&pages, &mut |file_layout| {
                let mut writer = file_layout.writer(output)?;
                made.iter().try_for_each(|(at, page)| writer.write_at(DiskOffset(*at), page))?;
                writer.finish().map(drop)
            });
        }
        let layout = self.plan.layout(&())?;
        // A number for a blob that only this machine has; no other machine has the same number.
        let mark = u32::from_le_bytes(self.plan.identity.bytes.to_bytes()[..4].try_into().expect("4 of 32 bytes")) | 1;
        let tree = &self.plan.tree;
        let mut stand_in =
            |blob: BlobRequest, len| Ok(ntfs::stand_in(blob, len, if tree.is_late_blob(blob.id) { mark } else { 0 }));
        let mut pieces = layout.pieces(&mut stand_in)?;
        let pages = pages::differing(&self.golden.pieces, &pieces, &|blob| tree.is_late_blob(blob.id));
        let needed = layout.residents_in(&pages);
        if !needed.is_empty() {
            pieces =
                layout.pieces(&mut |blob, len| match needed.contains(&blob) && blob.form == BlobForm::Contents {
                    true => self.plan.store.read_blob(blob.id, len),
                    false => stand_in(blob, len),
                })?;
        }
        let report = sent(&pages, &mut |file_layout| self.send_pages(file_layout, &pieces, &pages, output))?;
        if let Some(volume) = self.golden.wanted(&self.plan).then(|| Volume::new(&layout, &pieces, &pages)).flatten() {
            drop(pieces);
            let template = Arc::new(Template::new(volume, layout));
            self.golden.templates.write().unwrap_or_else(PoisonError::into_inner).push(template);
        }
        Ok(report)
    }

    fn send_pages(
        &self,
        file_layout: &FileLayout,
        pieces: &pages::Pieces<'_>,
        pages: &[Extent],
        output: &mut dyn Output,
    ) -> Result<()> {
        let mut writer = file_layout.writer(output)?;
        // What lies in one of the pages.
        let mut put = |at: u64, bytes: &[u8]| -> Result<()> {
            let end = at + bytes.len() as u64;
            let first = pages.partition_point(|page| page.end() <= at);
            for page in pages[first..].iter().take_while(|page| page.start < end) {
                let (start, stop) = (page.start.max(at), page.end().min(end));
                writer.write_at(DiskOffset(start), &bytes[(start - at) as usize..(stop - at) as usize])?;
            }
            Ok(())
        };
        for (at, piece) in pieces {
            let first = pages.partition_point(|page| page.end() <= *at);
            if pages.get(first).is_none_or(|page| page.start >= at + piece.size()) {
                continue;
            }
            match piece {
                Piece::Bytes(bytes) => put(*at, bytes)?,
                Piece::Ones(len) => {
                    for start in (0..*len).step_by(ONES.len()) {
                        put(at + start, &ONES[..(len - start).min(ONES.len() as u64) as usize])?;
                    }
                }
                Piece::Blob(blob, _) => {
                    let mut done = 0;
                    self.plan.store.read_forms(&[*blob], ReadOptions::from(1), &mut |_, bytes| {
                        put(at + done, bytes)?;
                        done += bytes.len() as u64;
                        Ok(())
                    })?;
                }
            }
        }
        writer.finish().map(drop)
    }
}

static ONES: [u8; 64 << 10] = [0xFF; 64 << 10];

/// The path from the folder of `child` to `golden`, with `/` between the parts.
fn relative(golden: &Path, child: &Path) -> Result<String> {
    let folder = match child.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let real = |path: &Path| std::fs::canonicalize(path).map_err(|error| Error::io("find", path, error));
    let (target, folder) = (real(golden)?, real(folder)?);
    let (target, folder): (Vec<_>, Vec<_>) = (target.components().collect(), folder.components().collect());
    let same = target.iter().zip(&folder).take_while(|(one, other)| one == other).count();
    let up = folder[same..].iter().map(|_| Some(".."));
    let parts: Option<Vec<&str>> = up.chain(target[same..].iter().map(|part| part.as_os_str().to_str())).collect();
    let bad = || {
        Error::unsupported("no relative path leads from the clone to the golden image")
            .with_path(golden)
            .with_hint("keep both on one volume, below folders whose names are text")
    };
    if same == 0 { Err(bad()) } else { parts.map(|parts| parts.join("/")).ok_or_else(bad) }
}
