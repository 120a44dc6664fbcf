//! Codes of elements and objects of BCD stores.

/// Codes of elements: class, format and subtype.
pub mod element {
    #![allow(missing_docs)]
    pub const DEVICE: u32 = 0x1100_0001;
    pub const PATH: u32 = 0x1200_0002;
    pub const DESCRIPTION: u32 = 0x1200_0004;
    pub const LOCALE: u32 = 0x1200_0005;
    pub const INHERIT: u32 = 0x1400_0006;
    pub const DEBUG_TYPE: u32 = 0x1500_0011;
    pub const DEBUG_PORT: u32 = 0x1500_0013;
    pub const DEBUG_BAUD_RATE: u32 = 0x1500_0014;
    pub const DEBUG_CHANNEL: u32 = 0x1500_0015;
    pub const DEBUG_TARGET: u32 = 0x1200_0016;
    pub const DEBUG_BUS: u32 = 0x1200_0019;
    pub const DEBUG_HOST: u32 = 0x1500_001A;
    pub const DEBUG_HOST_PORT: u32 = 0x1500_001B;
    pub const DEBUG_DHCP: u32 = 0x1600_001C;
    pub const DEBUG_KEY: u32 = 0x1200_001D;
    pub const EMS_PORT: u32 = 0x1500_0022;
    pub const EMS_BAUD_RATE: u32 = 0x1500_0023;
    pub const BAD_MEMORY_ACCESS: u32 = 0x1600_000B;
    pub const BOOT_DEBUG: u32 = 0x1600_0010;
    pub const BOOT_EMS: u32 = 0x1600_0020;
    pub const NO_INTEGRITY_CHECKS: u32 = 0x1600_0048;
    pub const TEST_SIGNING: u32 = 0x1600_0049;
    pub const ISOLATED_CONTEXT: u32 = 0x1600_0060;
    pub const ALLOWED_IN_MEMORY_SETTINGS: u32 = 0x1700_0077;
    /// In a resume object: the device of the hibernation file.
    pub const OS_DEVICE: u32 = 0x2100_0001;
    /// In a resume object: the path of the hibernation file.
    pub const SYSTEM_ROOT: u32 = 0x2200_0002;
    /// In the boot manager.
    pub const DEFAULT: u32 = 0x2300_0003;
    /// In a loader; the same code as [`DEFAULT`].
    pub const RESUME_OBJECT: u32 = 0x2300_0003;
    /// In the boot manager.
    pub const BOOTMGR_RESUME_OBJECT: u32 = 0x2300_0006;
    pub const DISPLAY_ORDER: u32 = 0x2400_0001;
    pub const TOOLS_DISPLAY_ORDER: u32 = 0x2400_0010;
    pub const TIMEOUT: u32 = 0x2500_0004;
    pub const RESUME_BOOT_MENU_POLICY: u32 = 0x2500_0008;
    pub const NX: u32 = 0x2500_0020;
    pub const BOOT_MENU_POLICY: u32 = 0x2500_00C2;
    pub const HYPERVISOR_DEBUG_TYPE: u32 = 0x2500_00F3;
    pub const HYPERVISOR_DEBUG_PORT: u32 = 0x2500_00F4;
    pub const HYPERVISOR_BAUD_RATE: u32 = 0x2500_00F5;
    pub const KERNEL_DEBUG: u32 = 0x2600_00A0;
    pub const KERNEL_EMS: u32 = 0x2600_00B0;
    /// In a template: path relative to the system root.
    pub const TEMPLATE_PATH: u32 = 0x4200_0002;
    /// In a template: 1 for the system partition, 2 for the Windows partition.
    #[cfg(test)]
    pub const TEMPLATE_DEVICE: u32 = 0x4500_0001;
    /// Class of elements that only templates have.
    pub const CLASS_TEMPLATE: u32 = 4;
}

/// Types of objects.
pub mod object_type {
    #![allow(missing_docs)]
    pub const BOOT_MANAGER: u32 = 0x1010_0002;
    pub const OS_LOADER: u32 = 0x1020_0003;
    pub const RESUME: u32 = 0x1020_0004;
    pub const MEMORY_TESTER: u32 = 0x1020_0005;
    pub const INHERIT_ANY: u32 = 0x2010_0000;
    pub const INHERIT_OS_LOADER: u32 = 0x2020_0003;
    pub const INHERIT_RESUME: u32 = 0x2020_0004;
}

/// Identifiers of objects that all stores share.
pub mod well_known {
    #![allow(missing_docs)]
    use crate::types::Guid;
    const fn guid(a: u32, b: u16, c: u16, d: u64) -> Guid {
        Guid::from_fields(a, b, c, d.to_be_bytes())
    }
    pub const BOOTMGR: Guid = guid(0x9dea862c, 0x5cdd, 0x4e70, 0xacc1_f32b344d4795);
    pub const MEMDIAG: Guid = guid(0xb2721d73, 0x1db4, 0x4c62, 0xbf78_c548a880142d);
    pub const GLOBAL_SETTINGS: Guid = guid(0x7ea2e1ac, 0x2e61, 0x4728, 0xaaa3_896d9d0a9f0e);
    pub const BOOT_LOADER_SETTINGS: Guid = guid(0x6efb52bf, 0x1766, 0x41db, 0xa6b3_0ee5eff72bd7);
    pub const RESUME_LOADER_SETTINGS: Guid = guid(0x1afa9c49, 0x16ab, 0x4a5c, 0x901b_212802da9460);
    pub const DEBUGGER_SETTINGS: Guid = guid(0x4636856e, 0x540f, 0x4170, 0xa130_a84776f4c654);
    pub const EMS_SETTINGS: Guid = guid(0x0ce4991b, 0xe6b3, 0x4b16, 0xb23c_5e0d9250e5d9);
    pub const BAD_MEMORY: Guid = guid(0x5189b25c, 0x5558, 0x4bf2, 0xbca4_289b11bd29e2);
    pub const HYPERVISOR_SETTINGS: Guid = guid(0x7ff607e0, 0x4395, 0x11db, 0xb0de_0800200c9a66);
    pub const NTLDR: Guid = guid(0x466f5a88, 0x0af2, 0x4f76, 0x9038_095b170dc21c);
    pub const TARGET_EFI: Guid = guid(0xb012b84d, 0xc47c, 0x4ed5, 0xb722_c0c42163e569);
    pub const TARGET_PCAT: Guid = guid(0xa1943bbc, 0xea85, 0x487c, 0x97c7_c9ede908a38a);
    pub const RESUME_EFI: Guid = guid(0x0c334284, 0x9a41, 0x4de1, 0x99b3_a7e87e8ff07e);
    pub const RESUME_PCAT: Guid = guid(0x98b02a23, 0x0674, 0x4ce7, 0xbdad_e0a15a8ff97b);
    pub const SETUP_EFI: Guid = guid(0x7254a080, 0x1510, 0x4e85, 0xac0f_e7fb3d444736);
    pub const SETUP_PCAT: Guid = guid(0xcbd971bf, 0xb7b8, 0x4885, 0x951a_fa03044f5d71);
}
