//! OCI images whose only layer has a disk image at `/disk/`, where KubeVirt looks for it (containerDisk): as a folder
//! ("image layout") or as a tar archive of that folder.
//! <https://github.com/opencontainers/image-spec>,
//! <https://kubevirt.io/user-guide/storage/disks_and_volumes/#containerdisk>
//!
//! The crate `oci-spec` has the documents, `tar` the headers. `ocidir` makes whole layouts, but only in a folder and
//! through its own temporary files: so its files would not appear together with the other outputs, and an archive would
//! take another copy.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use oci_spec::OciSpecError;
use oci_spec::image::{
    ANNOTATION_REF_NAME, Arch, Descriptor, Digest as OciDigest, ImageConfigurationBuilder, ImageIndexBuilder,
    ImageManifestBuilder, MediaType, OciLayoutBuilder, Os, PlatformBuilder, RootFsBuilder, SCHEMA_VERSION,
    Sha256Digest,
};
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};

use crate::content::NewFile;
use crate::disk::{FileOutput, Output};
use crate::error::{Error, Result};
use crate::types::{Architecture, ByteSize};

/// Extension of archives; any other name means a folder.
const ARCHIVE: &str = "tar";
/// KubeVirt opens disks as this user, which is QEMU's.
const QEMU: u64 = 107;
/// The image's name in its index.
const TAG: &str = "latest";
/// The unit of tar archives, in bytes.
const BLOCK: usize = 512;
/// An archive ends with two blocks of zeros.
const END: usize = 2 * BLOCK;
/// The number of files in a folder, see [`oci_files`].
const FOLDER_FILES: usize = 5;

/// The files of an OCI image at `path`, as [`Target::oci`](crate::Target::oci) wants them: one file if the name ends in
/// `.tar`; else those of a folder, in which `blobs/sha256` must exist. Blobs get their names when these are known.
///
/// ```
/// assert_eq!(nano_image::oci_files("web.tar".as_ref()).len(), 1);
/// assert!(nano_image::oci_files("web".as_ref()).iter().any(|path| path.ends_with("index.json")));
/// ```
pub fn oci_files(path: &Path) -> Vec<PathBuf> {
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(ARCHIVE)) {
        return vec![path.into()];
    }
    let blobs = path.join("blobs").join("sha256");
    let blobs = ["layer", "config", "manifest"].map(|name| blobs.join(name));
    blobs.into_iter().chain(["index.json", "oci-layout"].map(|name| path.join(name))).collect()
}

/// An OCI image that is being written.
pub(super) struct OciImage<'a> {
    files: Vec<&'a NewFile>,
    architecture: Arch,
    layer: Arc<OnceLock<Blob>>,
}

/// A blob: SHA-256 in hexadecimal digits, and length.
#[derive(Clone, Debug)]
struct Blob {
    digest: String,
    len: u64,
}

impl<'a> OciImage<'a> {
    /// An image in `files`, for machines of this architecture.
    pub fn new(files: Vec<&'a NewFile>, architecture: Option<Architecture>) -> Self {
        let architecture = match architecture {
            Some(Architecture::Arm64) => Arch::ARM64,
            _ => Arch::Amd64,
        };
        Self { files, architecture, layer: Arc::default() }
    }

    /// Begins the layer: a disk image of `len` bytes is written to it, which is called `disk.EXTENSION` there.
    pub fn layer(&self, extension: &str, len: ByteSize) -> Result<Box<dyn Output + 'a>> {
        let file = self.files[0];
        let open = file.file().try_clone().map_err(|error| Error::io("open", file.path(), error))?;
        let mut output = FileOutput::new(open, file.path())?;
        if self.is_archive() {
            output.write_all(&[entry("blobs/", 0), entry("blobs/sha256/", 0)].concat())?;
            // The header of the layer in the archive: the layer's name is known only at the end.
            output.write_all(&[0; BLOCK])?;
        }
        let mut layer = Layer { output, digest: Sha256::new(), len: 0, disk: len.bytes(), sealed: self.layer.clone() };
        let owned = |path: &str, mode, size| {
            let mut header = header(path, mode, size);
            header.set_uid(QEMU);
            header.set_gid(QEMU);
            sealed(header)
        };
        let name = format!("disk/disk.{extension}");
        layer.write_all(&[owned("disk/", 0o555, 0), owned(&name, 0o440, layer.disk)].concat())?;
        Ok(Box::new(layer))
    }

    /// Writes the documents that describe the layer, which is complete.
    pub fn finish(&self) -> Result<()> {
        let layer = self.layer.get().expect("the layer has been written").clone();
        let documents = Documents::of(&layer, &self.architecture)
            .map_err(|error| Error::unsupported("the documents of the OCI image cannot be made").with_source(error))?;
        let blobs = [&documents.config, &documents.manifest].map(|text| (Blob::of(text), text.as_bytes()));
        let others = [("index.json", &documents.index), ("oci-layout", &documents.layout)];
        if let [layer_file, config, manifest, index, oci_layout] = &self.files[..] {
            layer_file.rename(&layer.digest);
            for ((blob, bytes), file) in blobs.iter().zip([config, manifest]) {
                file.rename(&blob.digest);
                write(file, SeekFrom::Start(0), bytes)?;
            }
            let mut others = others.iter().zip([index, oci_layout]);
            return others.try_for_each(|((_, text), file)| write(file, SeekFrom::Start(0), text.as_bytes()));
        }
        let archive = self.files[0];
        let mut rest = Vec::new();
        let mut add = |name: &str, bytes: &[u8]| {
            rest.extend_from_slice(&entry(name, bytes.len() as u64));
            rest.extend_from_slice(bytes);
            rest.resize(rest.len().next_multiple_of(BLOCK), 0);
        };
        blobs.iter().for_each(|(blob, bytes)| add(&blob.path(), bytes));
        others.iter().for_each(|(name, text)| add(name, text.as_bytes()));
        rest.resize(rest.len() + END, 0);
        write(archive, SeekFrom::End(0), &rest)?;
        write(archive, SeekFrom::Start(2 * BLOCK as u64), &entry(&layer.path(), layer.len))
    }

    /// All files.
    pub fn files(&self) -> &[&'a NewFile] {
        &self.files
    }

    fn is_archive(&self) -> bool {
        self.files.len() != FOLDER_FILES
    }
}

impl Blob {
    fn of(text: &str) -> Self {
        Self { digest: hex::encode(Sha256::digest(text.as_bytes())), len: text.len() as u64 }
    }

    fn path(&self) -> String {
        format!("blobs/sha256/{}", self.digest)
    }

    fn descriptor(&self, media_type: MediaType) -> std::result::Result<Descriptor, OciSpecError> {
        let digest: Sha256Digest = self.digest.parse()?;
        Ok(Descriptor::new(media_type, self.len, OciDigest::from(digest)))
    }
}

/// The four documents, as JSON.
struct Documents {
    config: String,
    manifest: String,
    index: String,
    layout: String,
}

impl Documents {
    fn of(layer: &Blob, architecture: &Arch) -> std::result::Result<Self, OciSpecError> {
        let layers =
            RootFsBuilder::default().typ("layers").diff_ids(vec![format!("sha256:{}", layer.digest)]).build()?;
        let config = ImageConfigurationBuilder::default()
            .architecture(architecture.clone())
            .os(Os::Linux)
            .rootfs(layers)
            .build()?
            .to_string()?;
        let manifest = ImageManifestBuilder::default()
            .schema_version(SCHEMA_VERSION)
            .media_type(MediaType::ImageManifest)
            .config(Blob::of(&config).descriptor(MediaType::ImageConfig)?)
            .layers(vec![layer.descriptor(MediaType::ImageLayer)?])
            .build()?
            .to_string()?;
        let mut described = Blob::of(&manifest).descriptor(MediaType::ImageManifest)?;
        let platform = PlatformBuilder::default().architecture(architecture.clone()).os(Os::Linux).build()?;
        described.set_platform(Some(platform));
        described.set_annotations(Some([(ANNOTATION_REF_NAME.to_owned(), TAG.to_owned())].into_iter().collect()));
        let index = ImageIndexBuilder::default()
            .schema_version(SCHEMA_VERSION)
            .media_type(MediaType::ImageIndex)
            .manifests(vec![described])
            .build()?
            .to_string()?;
        let layout = OciLayoutBuilder::default().image_layout_version("1.0.0").build()?.to_string()?;
        Ok(Self { config, manifest, index, layout })
    }
}

/// A layer that is being written: a tar archive with the disk image.
struct Layer {
    output: FileOutput,
    digest: Sha256,
    /// Bytes of the layer so far.
    len: u64,
    /// Bytes of the disk image.
    disk: u64,
    sealed: Arc<OnceLock<Blob>>,
}

impl Output for Layer {
    fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        self.digest.update(bytes);
        self.len += bytes.len() as u64;
        self.output.write_all(bytes)
    }

    fn skip(&mut self, zeros: u64) -> Result<()> {
        static ZEROS: [u8; 4096] = [0; 4096];
        let mut rest = zeros;
        while rest > 0 {
            let piece = rest.min(ZEROS.len() as u64);
            self.digest.update(&ZEROS[..piece as usize]);
            rest -= piece;
        }
        self.len += zeros;
        self.output.skip(zeros)
    }

    fn finish(&mut self) -> Result<()> {
        let padding = self.disk.next_multiple_of(BLOCK as u64) - self.disk;
        self.write_all(&vec![0; padding as usize + END])?;
        let digest = hex::encode(std::mem::take(&mut self.digest).finalize());
        // This happens only once.
        let _ = self.sealed.set(Blob { digest, len: self.len });
        self.output.finish()
    }
}

/// The header of an entry of the archive.
fn entry(path: &str, size: u64) -> Vec<u8> {
    sealed(header(path, if path.ends_with('/') { 0o755 } else { 0o644 }, size))
}

fn header(path: &str, mode: u32, size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_path(path).expect("a short path");
    header.set_entry_type(if path.ends_with('/') { EntryType::Directory } else { EntryType::Regular });
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header
}

fn sealed(mut header: Header) -> Vec<u8> {
    header.set_cksum();
    header.as_bytes().to_vec()
}

fn write(file: &NewFile, place: SeekFrom, bytes: &[u8]) -> Result<()> {
    let mut open: &File = file.file();
    let written = open.seek(place).and_then(|_| open.write_all(bytes));
    written.map_err(|error| Error::io("write", file.path(), error))
}
