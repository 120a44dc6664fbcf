//! What each host is and needs.

use serde::{Deserialize, Serialize};

use super::azure;
use crate::error::Result;
use crate::registry::Value;
use crate::tree::FileTree;
use crate::types::form::Switched;
use crate::windows::boot::{BootSetting, BootSettings, Ems, Firmware};
use crate::windows::edit::{HiveFile, ImageEdit, control_sets};

/// What runs the image.
///
/// ```
/// # fn main() -> nano_image::Result<()> {
/// use nano_image::{Firmware, Host, Recipe};
///
/// let recipe = Recipe::image("1").host(Host::Openstack).build()?;
/// assert_eq!(recipe.firmware(), Firmware::Bios);
/// let recipe = Recipe::image("1").host(Host::Openstack).firmware(Firmware::Uefi).build()?;
/// assert_eq!(recipe.firmware(), Firmware::Uefi);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Host {
    /// Hyper-V: generation 2 with UEFI, generation 1 with BIOS.
    HyperV,
    /// QEMU with KVM, libvirt, Proxmox: virtio devices.
    Kvm,
    /// KubeVirt.
    Kubevirt,
    /// OpenStack on KVM.
    Openstack,
    /// Azure: generation 1 with BIOS, generation 2 with UEFI.
    Azure,
    /// VMware ESXi, Workstation, Fusion.
    Vmware,
    /// VirtualBox.
    Virtualbox,
    /// Cloud Hypervisor.
    CloudHypervisor,
}

/// What a host is and needs.
struct Facts {
    name: &'static str,
    /// Names of the formats that it accepts, the usual one first.
    formats: &'static [&'static str],
    /// `None` if it depends on the format.
    firmware: Option<Firmware>,
    /// Whether nobody sees its screen: then the console is a serial port, and Windows must not wait for an answer.
    is_headless: bool,
    /// Whether its clock shows UTC.
    clock_is_utc: bool,
    /// Whether disks that Windows has not seen before should be online.
    all_disks_online: bool,
}

impl Host {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::HyperV,
        Self::Kvm,
        Self::Kubevirt,
        Self::Openstack,
        Self::Azure,
        Self::Vmware,
        Self::Virtualbox,
        Self::CloudHypervisor,
    ];

    /// Its name, as recipes have it.
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// Names of the image formats that it accepts, the usual one first.
    pub fn formats(self) -> &'static [&'static str] {
        self.facts().formats
    }

    /// Whether its machines have one usual firmware for all image formats.
    pub fn has_usual_firmware(self) -> bool {
        self.usual_firmware().is_some()
    }

    /// The firmware of its machines; `None` if it depends on the format.
    pub(crate) fn usual_firmware(self) -> Option<Firmware> {
        self.facts().firmware
    }

    /// Whether boot entries should search for Windows instead of naming its partition. Convert-WindowsImage does so for
    /// BIOS.
    pub(crate) fn locates(self, firmware: Firmware) -> bool {
        firmware == Firmware::Bios && self != Self::Azure
    }

    /// Adds its boot settings to those of a recipe, which take precedence.
    pub(crate) fn add_to(self, given: &BootSettings) -> BootSettings {
        let mut all = given.clone();
        let mut add = |text: &str| {
            let setting: BootSetting = text.parse().expect("settings of a host are some");
            let is_rival = given.boot_setting.iter().any(|given| given.rivals(&setting));
            all.boot_setting.extend((!is_rival).then_some(setting));
        };
        if self.facts().is_headless {
            for setting in [
                "recoveryenabled=no",
                "bootstatuspolicy=ignoreallfailures",
                "displaybootmenu=yes",
                "timeout=5",
                "graphicsmodedisabled=no",
            ] {
                add(setting);
            }
            // Unless the debugger uses the port.
            let ems = all.ems.or(Some(Ems::ON));
            let candidate = BootSettings { ems, ..all.clone() };
            if candidate.check().is_ok() {
                all = candidate;
            }
        }
        if self == Self::Azure {
            let setting: BootSetting = "both:integrityservices=enable".parse().expect("a setting");
            if !all.boot_setting.iter().any(|given| given.rivals(&setting)) {
                all.boot_setting.push(setting);
            }
        }
        all
    }

    /// Writes its settings to the registry of `image`.
    ///
    /// # Errors
    /// As [`ImageEdit::edit`].
    pub(crate) fn prepare(self, image: &mut ImageEdit<'_>, warnings: &mut Vec<String>) -> Result<()> {
        let facts = self.facts();
        let system = image.edit(HiveFile::System)?;
        for set in control_sets(system)? {
            if facts.clock_is_utc {
                let key = system.create_key(set, r"Control\TimeZoneInformation")?;
                system.set_value(key, "RealTimeIsUniversal", Value::dword(1))?;
            }
            if facts.all_disks_online {
                let key = system.create_key(set, r"Services\partmgr\Parameters")?;
                system.set_value(key, "SanPolicy", Value::dword(ONLINE_ALL))?;
            }
            if facts.is_headless
                && let Some(console) = system.find_from(set, r"Services\sacsvr")
            {
                system.set_value(console, "Start", Value::dword(azure::AUTOMATIC))?;
            }
        }
        if self == Self::Azure {
            azure::prepare(image, warnings)?;
        }
        Ok(())
    }

    /// Warnings about an image for it that is otherwise complete.
    pub(crate) fn doubts(self, tree: &FileTree) -> Option<String> {
        const ANSWERS: [&str; 3] = [
            r"Windows\Panther\Unattend.xml",
            r"Windows\Panther\Unattend\Unattend.xml",
            r"Windows\Panther\Unattend\Autounattend.xml",
        ];
        let path = ANSWERS.into_iter().find(|path| self == Self::Kubevirt && tree.find(path).is_some())?;
        Some(format!(
            "the image has an answer file, {path}: Windows takes it instead of that of KubeVirt's sysprep disk"
        ))
    }

    fn facts(self) -> Facts {
        const UEFI: Option<Firmware> = Some(Firmware::Uefi);
        let plain = |name, formats, firmware| Facts {
            name,
            formats,
            firmware,
            is_headless: false,
            clock_is_utc: false,
            all_disks_online: false,
        };
        let unseen = |facts: Facts| Facts { is_headless: true, clock_is_utc: true, all_disks_online: true, ..facts };
        match self {
            Self::HyperV => plain("hyper-v", &["vhdx", "vhd"], None),
            Self::Kvm => {
                Facts { clock_is_utc: true, all_disks_online: true, ..plain("kvm", &["qcow2", "raw", "vmdk"], UEFI) }
            }
            Self::Kubevirt => unseen(plain("kubevirt", &["qcow2", "raw"], UEFI)),
            Self::Openstack => unseen(plain("openstack", &["qcow2", "raw", "vhdx", "vmdk"], Some(Firmware::Bios))),
            Self::Azure => unseen(plain("azure", &["azure"], None)),
            Self::Vmware => plain("vmware", &["vmdk"], UEFI),
            Self::Virtualbox => plain("virtualbox", &["vhd", "vmdk", "vhdx"], UEFI),
            Self::CloudHypervisor => unseen(plain("cloud-hypervisor", &["raw", "qcow2", "vhdx"], UEFI)),
        }
    }
}

/// SAN policy (`SanPolicy` of the partition manager): all disks are online.
const ONLINE_ALL: u32 = 1;
