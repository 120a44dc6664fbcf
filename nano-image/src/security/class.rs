//! Classes of objects, and what generic rights mean for each.

/// What kind of object a descriptor is for. It decides what generic rights mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ObjectClass {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A registry key.
    Key,
    /// A service. It inherits nothing.
    Service,
}

impl ObjectClass {
    /// Replaces generic rights by the specific ones (GENERIC_MAPPING of winnt.h, winreg and winsvc.h).
    pub fn map(self, mask: u32) -> u32 {
        let [read, write, execute, all] = match self {
            Self::File | Self::Directory => [0x0012_0089, 0x0012_0116, 0x0012_00A0, 0x001F_01FF],
            Self::Key => [0x0002_0019, 0x0002_0006, 0x0002_0019, 0x000F_003F],
            Self::Service => [0x0002_008D, 0x0002_0002, 0x0002_0170, 0x000F_01FF],
        };
        let rights = [(0x8000_0000, read), (0x4000_0000, write), (0x2000_0000, execute), (0x1000_0000, all)];
        let mapped = rights.into_iter().filter(|(generic, _)| mask & generic != 0);
        mapped.fold(mask & !GENERIC, |mask, (_, rights)| mask | rights)
    }
}

/// The generic rights.
pub(super) const GENERIC: u32 = 0xF000_0000;
