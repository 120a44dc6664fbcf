//! Holes in files. On Unix, parts that are never written are holes; on Windows only if the file was marked as sparse.

use std::fs::File;

/// Makes unwritten parts of `file` take no space, where the file system can.
#[cfg(not(windows))]
pub(crate) fn allow_holes(_file: &File) {}

/// Makes unwritten parts of `file` take no space, where the file system can. Hyper-V does not open VHD and VHDX files
/// that are marked as sparse.
#[cfg(windows)]
#[allow(unsafe_code)]
pub(crate) fn allow_holes(file: &File) {
    use std::os::windows::io::AsRawHandle;
    use std::ptr::{null, null_mut};

    use windows_sys::Win32::System::IO::DeviceIoControl;
    use windows_sys::Win32::System::Ioctl::FSCTL_SET_SPARSE;

    let mut returned = 0;
    // SAFETY: the handle is open as long as `file` is borrowed. The call takes and gives no bytes, so null is right for
    // both buffers; `returned` is writable, and the call is not overlapped.
    // If this fails, the file takes its full size on disk, which is not an error.
    let _ = unsafe {
        DeviceIoControl(file.as_raw_handle(), FSCTL_SET_SPARSE, null(), 0, null_mut(), 0, &mut returned, null_mut())
    };
}
