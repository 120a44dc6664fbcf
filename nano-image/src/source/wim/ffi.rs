//! Safe wrapper over the few functions of libwim that the room needs. It contains nearly all unsafe code of the
//! library.
//!
//! libwim opens the WIM, lists its blobs and decompresses chunks. It prints nothing: its error printing is off by
//! default, and it gets no file to print to. Source of the rules kept here: the documentation in wimlib.h 1.14.

#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::OnceLock;

#[cfg(without_libwim)]
use undocumented as sys;
#[cfg(not(without_libwim))]
use wimlib_sys as sys;

use super::format::Compression;
use crate::error::{Error, ErrorKind, Result};

unsafe extern "C" {
    /// libwim allocates the XML data with `malloc` (no other allocator is ever set).
    fn free(memory: *mut c_void);
}

/// Names of libwim's types, for builds of the documentation: these compile no bodies of functions and have no libwim.
#[cfg(without_libwim)]
#[allow(non_camel_case_types, missing_docs)]
mod undocumented {
    pub struct WIMStruct;
    pub struct wimlib_resource_entry;
    pub struct wimlib_compressor;
    pub struct wimlib_decompressor;
    pub type wimlib_tchar = std::ffi::c_char;
}

/// Functions of Windows that libwim calls, from a library that its build does not name. GNU's linker takes from a
/// library only what it knows to be needed at that point, and it sees this library before libwim. So all functions are
/// named here, and kept.
#[cfg(all(windows, target_env = "gnu"))]
mod needed_by_libwim {
    #[link(name = "advapi32")]
    unsafe extern "system" {
        fn AdjustTokenPrivileges();
        fn CloseEncryptedFileRaw();
        fn LookupPrivilegeValueW();
        fn OpenEncryptedFileRawW();
        fn OpenProcessToken();
        fn ReadEncryptedFileRaw();
        fn SystemFunction036();
        fn WriteEncryptedFileRaw();
    }

    #[used]
    static FUNCTIONS: [unsafe extern "system" fn(); 8] = [
        AdjustTokenPrivileges,
        CloseEncryptedFileRaw,
        LookupPrivilegeValueW,
        OpenEncryptedFileRawW,
        OpenProcessToken,
        ReadEncryptedFileRaw,
        SystemFunction036,
        WriteEncryptedFileRaw,
    ];
}

/// A failed call of libwim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Code(c_int);

/// What the header of an open WIM says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Info {
    pub image_count: u32,
    /// Default chunk size of its resources in bytes; 0 if uncompressed.
    pub chunk_size: u32,
    pub compression: Compression,
    pub pipable: bool,
    /// Whether targets of reparse points were made relative to the image's root at capture.
    pub reparse_fixed: bool,
}

/// One blob of the blob table.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlobEntry {
    pub digest: [u8; 20],
    /// Uncompressed length in bytes.
    pub len: u64,
    /// Length in the WIM, in bytes; meaningless in a solid resource.
    pub stored_len: u64,
    /// Byte offset in the WIM, or in the uncompressed solid resource.
    pub offset: u64,
    pub part_number: u32,
    pub is_compressed: bool,
    pub is_metadata: bool,
    pub solid: Option<SolidEntry>,
}

/// The solid resource that holds a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SolidEntry {
    /// Byte offset in the WIM.
    pub offset: u64,
    /// Length in the WIM, in bytes.
    pub stored_len: u64,
    /// Uncompressed length in bytes.
    pub len: u64,
}

/// Version of libwim: major, minor, patch.
pub(super) fn version() -> (u32, u32, u32) {
    // SAFETY: the function returns a constant and needs no initialization.
    let version = unsafe { sys::wimlib_get_version() };
    (version >> 20, version >> 10 & 0x3ff, version & 0x3ff)
}

/// An open WIM.
pub(super) struct Handle(NonNull<sys::WIMStruct>);

impl Handle {
    /// Opens the WIM in `file`: libwim reads header, blob table and XML. Errors call the file `path`.
    pub fn open(file: &Path, path: &Path) -> Result<Self> {
        initialize().map_err(|code| code.into_error(path))?;
        let name = c_path(file)?;
        let mut wim = ptr::null_mut();
        // SAFETY: `name` ends with a zero and `wim` is a valid place for the result; both outlive the call.
        check(unsafe { sys::wimlib_open_wim(name.as_ptr(), 0, &mut wim) }).map_err(|code| code.into_error(path))?;
        NonNull::new(wim).map(Self).ok_or_else(|| Code(-1).into_error(path))
    }

    /// Adds the blobs of another part of a split WIM.
    pub fn reference(&mut self, path: &Path) -> Result<()> {
        let name = c_path(path)?;
        let names = [name.as_ptr()];
        // SAFETY: the handle is open; `names` holds the one path that `count` announces, and it ends with a zero.
        let code = unsafe { sys::wimlib_reference_resource_files(self.0.as_ptr(), names.as_ptr(), 1, 0, 0) };
        check(code).map_err(|code| code.into_error(path))
    }

    /// What the header says.
    pub fn info(&self, path: &Path) -> Result<Info> {
        // SAFETY: the struct is plain integers, for which zero bytes are valid.
        let mut info: sys::wimlib_wim_info = unsafe { std::mem::zeroed() };
        // SAFETY: the handle is open and `info` is writable.
        check(unsafe { sys::wimlib_get_wim_info(self.0.as_ptr(), &mut info) }).map_err(|code| code.into_error(path))?;
        let compression = u32::try_from(info.compression_type).ok().and_then(Compression::from_format);
        Ok(Info {
            image_count: info.image_count,
            chunk_size: info.chunk_size,
            compression: compression.ok_or_else(|| Code(16).into_error(path))?,
            pipable: info.pipable() != 0,
            reparse_fixed: info.has_rpfix() != 0,
        })
    }

    /// The XML data: UTF-16LE bytes.
    pub fn xml(&self, path: &Path) -> Result<Vec<u8>> {
        let (mut data, mut len) = (ptr::null_mut(), 0);
        // SAFETY: the handle is open; both results are writable.
        let code = unsafe { sys::wimlib_get_xml_data(self.0.as_ptr(), &mut data, &mut len) };
        check(code).map_err(|code| code.into_error(path))?;
        if data.is_null() {
            return Ok(Vec::new());
        }
        // SAFETY: on success `data` points to `len` bytes that are ours to free; they are copied first.
        unsafe {
            let xml = std::slice::from_raw_parts(data.cast::<u8>(), len).to_vec();
            free(data);
            Ok(xml)
        }
    }

    /// All blobs: first the metadata resource of each image in image order, then the files' blobs in no useful order.
    pub fn blobs(&self, path: &Path) -> Result<Vec<BlobEntry>> {
        let mut entries: Vec<BlobEntry> = Vec::new();
        // SAFETY: the handle is open; the callback gets `entries` back as its context, during this call only.
        let code = unsafe {
            let context = ptr::from_mut(&mut entries).cast();
            sys::wimlib_iterate_lookup_table(self.0.as_ptr(), 0, Some(collect), context)
        };
        check(code).map_err(|code| code.into_error(path))?;
        Ok(entries)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the handle came from wimlib_open_wim and is freed once.
        unsafe { sys::wimlib_free(self.0.as_ptr()) }
    }
}

/// Appends `entry` to the `Vec<BlobEntry>` that `context` points to. A panic must not cross into C.
unsafe extern "C" fn collect(entry: *const sys::wimlib_resource_entry, context: *mut c_void) -> c_int {
    // SAFETY: libwim passes a valid entry and the context of `Handle::blobs`, which nothing else uses meanwhile.
    let (entry, entries) = unsafe { (&*entry, &mut *context.cast::<Vec<BlobEntry>>()) };
    let push = AssertUnwindSafe(|| {
        let solid = (entry.packed() != 0).then_some(SolidEntry {
            offset: entry.raw_resource_offset_in_wim,
            stored_len: entry.raw_resource_compressed_size,
            len: entry.raw_resource_uncompressed_size,
        });
        entries.push(BlobEntry {
            digest: entry.sha1_hash,
            len: entry.uncompressed_size,
            stored_len: entry.compressed_size,
            offset: entry.offset,
            part_number: entry.part_number,
            is_compressed: entry.is_compressed() != 0,
            is_metadata: entry.is_metadata() != 0,
            solid,
        });
    });
    catch_unwind(push).map_or(-1, |()| 0)
}

/// Decompresses chunks of one compression and chunk size; one per thread.
pub(super) struct Decompressor {
    raw: NonNull<sys::wimlib_decompressor>,
    max_len: usize,
}

// SAFETY: a decompressor is memory without ties to the thread that made it; `&mut self` keeps its users apart.
unsafe impl Send for Decompressor {}

impl Decompressor {
    /// A decompressor for chunks that decompress to at most `chunk_size` bytes; `None` if the compression has no such
    /// chunks or memory is short.
    pub fn new(compression: Compression, chunk_size: u32) -> Option<Self> {
        initialize().ok()?;
        let (mut raw, max_len) = (ptr::null_mut(), chunk_size as usize);
        // SAFETY: `raw` is a valid place for the result.
        check(unsafe { sys::wimlib_create_decompressor(compression as _, max_len, &mut raw) }).ok()?;
        Some(Self { raw: NonNull::new(raw)?, max_len })
    }

    /// Decompresses `chunk` so that it exactly fills `output`; `false` if the data is invalid.
    ///
    /// A chunk is always shorter than its contents (otherwise it is stored uncompressed), and only then libwim's codecs
    /// are memory-safe: LZMS with one byte of output is not. So everything else is refused here.
    pub fn decompress(&mut self, chunk: &[u8], output: &mut [u8]) -> bool {
        if chunk.is_empty() || chunk.len() >= output.len() || output.len() > self.max_len {
            return false;
        }
        // SAFETY: both slices are valid for their lengths, the output's within what the decompressor was made for.
        let code = unsafe {
            sys::wimlib_decompress(
                chunk.as_ptr().cast(),
                chunk.len(),
                output.as_mut_ptr().cast(),
                output.len(),
                self.raw.as_ptr(),
            )
        };
        code == 0
    }
}

impl Drop for Decompressor {
    fn drop(&mut self) {
        // SAFETY: it came from wimlib_create_decompressor and is freed once.
        unsafe { sys::wimlib_free_decompressor(self.raw.as_ptr()) }
    }
}

/// Compresses chunks of one compression and chunk size; one per thread.
pub(super) struct Compressor {
    raw: NonNull<sys::wimlib_compressor>,
    max_len: usize,
}

// SAFETY: a compressor is memory without ties to the thread that made it; `&mut self` keeps its users apart.
unsafe impl Send for Compressor {}

impl Compressor {
    /// A compressor for chunks of at most `chunk_size` bytes at libwim's default level; `None` if the compression has
    /// no such chunks or memory is short.
    pub fn new(compression: Compression, chunk_size: u32) -> Option<Self> {
        initialize().ok()?;
        let (mut raw, max_len) = (ptr::null_mut(), chunk_size as usize);
        // SAFETY: `raw` is a valid place for the result.
        check(unsafe { sys::wimlib_create_compressor(compression as _, max_len, 0, &mut raw) }).ok()?;
        Some(Self { raw: NonNull::new(raw)?, max_len })
    }

    /// Compresses `chunk` into `output` and returns its compressed length; `None` if it does not fit.
    pub fn compress(&mut self, chunk: &[u8], output: &mut [u8]) -> Option<usize> {
        if chunk.is_empty() || output.is_empty() || chunk.len() > self.max_len {
            return None;
        }
        // SAFETY: both slices are valid for their lengths, the chunk's within what the compressor was made for.
        let len = unsafe {
            sys::wimlib_compress(
                chunk.as_ptr().cast(),
                chunk.len(),
                output.as_mut_ptr().cast(),
                output.len(),
                self.raw.as_ptr(),
            )
        };
        (1..=output.len()).contains(&len).then_some(len)
    }
}

impl Drop for Compressor {
    fn drop(&mut self) {
        // SAFETY: it came from wimlib_create_compressor and is freed once.
        unsafe { sys::wimlib_free_compressor(self.raw.as_ptr()) }
    }
}

/// Initializes libwim once, before any thread uses it.
fn initialize() -> Result<(), Code> {
    static CODE: OnceLock<c_int> = OnceLock::new();
    // SAFETY: no precondition; OnceLock lets one thread call it and the others wait.
    check(*CODE.get_or_init(|| unsafe { sys::wimlib_global_init(0) }))
}

fn check(code: c_int) -> Result<(), Code> {
    if code == 0 { Ok(()) } else { Err(Code(code)) }
}

/// The path in the form that libwim takes: characters of the host, ending with a zero.
fn c_path(path: &Path) -> Result<Vec<sys::wimlib_tchar>> {
    #[cfg(unix)]
    let mut units: Vec<_> = {
        use std::os::unix::ffi::OsStrExt;
        path.as_os_str().as_bytes().iter().map(|byte| *byte as sys::wimlib_tchar).collect()
    };
    #[cfg(windows)]
    let mut units: Vec<sys::wimlib_tchar> = std::os::windows::ffi::OsStrExt::encode_wide(path.as_os_str()).collect();
    if units.contains(&0) {
        return Err(Error::not_found("the file's name has a zero in it").with_path(path));
    }
    units.push(0);
    Ok(units)
}

impl Code {
    /// The error for a failed call with the WIM at `path` (codes: `enum wimlib_error_code`).
    fn into_error(self, path: &Path) -> Error {
        let (kind, message) = match self.0 {
            15 => (ErrorKind::Corrupt, "the chunk size does not fit the compression"),
            16 => (ErrorKind::Unsupported, "unknown compression"),
            17 | 10 => (ErrorKind::Corrupt, "bad WIM header"),
            20 => (ErrorKind::Corrupt, "bad blob table"),
            2 => (ErrorKind::Corrupt, "the blob table does not decompress"),
            39 => (ErrorKind::Io, "not enough memory to open the WIM"),
            43 => (ErrorKind::Corrupt, "not a WIM file"),
            47 | 50 => (ErrorKind::Io, "cannot read the WIM"),
            65 => (ErrorKind::Corrupt, "the WIM is truncated"),
            67 => (ErrorKind::Unsupported, "unknown WIM version"),
            73 => (ErrorKind::Corrupt, "bad XML data in the WIM"),
            74 => (ErrorKind::Unsupported, "the WIM is encrypted (an ESD file of Windows Update)"),
            84 => (ErrorKind::Corrupt, "the WIM is incomplete: its writer did not finish"),
            code => return Error::corrupt(format!("libwim cannot open the WIM (code {code})")).with_path(path),
        };
        let error = Error::new(kind, message).with_path(path);
        match self.0 {
            74 => error.with_hint("decrypt the ESD file first, or take the WIM of the install media"),
            65 | 84 => error.with_hint("copy the file again and compare its size and hash with the original"),
            _ => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_that_the_codec_must_not_see_are_refused() {
        let mut lzms = Decompressor::new(Compression::Lzms, 1 << 15).unwrap();
        assert!(!lzms.decompress(&[0; 4], &mut [0; 1]));
        assert!(!lzms.decompress(&[], &mut [0; 16]));
        assert!(!lzms.decompress(&[0; 16], &mut [0; 16]));
        assert!(!lzms.decompress(&[0; 16], &mut vec![0; (1 << 15) + 1]));
        assert!(Decompressor::new(Compression::Xpress, 1 << 30).is_none());
    }

    #[test]
    fn a_missing_file_is_an_error_with_its_path() {
        let error = Handle::open(Path::new("no/such"), Path::new("a.wim")).err().unwrap();
        assert_eq!((error.kind(), error.path()), (ErrorKind::Io, Some(Path::new("a.wim"))));
    }
}
