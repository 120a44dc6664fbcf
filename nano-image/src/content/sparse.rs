//! Holes in files. Unix makes one where nothing is written; Windows only in a file of which that was said before.

use std::fs::File;

/// Lets what is not written of `file` take no room, where the file system can.
#[cfg(not(windows))]
pub(crate) fn allow_holes(_file: &File) {}

/// Lets what is not written of `file` take no room, where the file system can. Hyper-V takes no VHD or VHDX file that is
/// marked so.
#[cfg(windows)]
#[allow(unsafe_code)]
pub(crate) fn allow_holes(file: &File) {
    use std::os::windows::io::AsRawHandle;
    use std::ptr::{null, null_mut};

    use windows_sys::Win32::System::IO::DeviceIoControl;
    use windows_sys::Win32::System::Ioctl::FSCTL_SET_SPARSE;

    let mut returned = 0;
    // SAFETY: the handle is open as long as `file` is borrowed. The call takes no bytes and gives none, so null is right
    // for both; `returned` is writable, and nothing is overlapped.
    // Without it the file is as large as it says: that is no failure.
    let _ = unsafe {
        DeviceIoControl(file.as_raw_handle(), FSCTL_SET_SPARSE, null(), 0, null_mut(), 0, &mut returned, null_mut())
    };
}
