//! Makes the store of one installation from the image's BCD template.
//!
//! A template holds the shared settings, the boot manager, and for each firmware patterns of a loader and a resume
//! entry. Elements of class 4 say how to use a pattern: which partition its device is, and where its program lies below
//! the system root. They are not copied to the store.

use super::bcd::{BcdObject, BcdStore, element, object_type, well_known};
use super::device::searched_path;
use super::files::Collected;
use super::{BootDevice, BootOptions, Firmware, recovery};
use crate::error::Result;
use crate::registry::{Hive, Value};
use crate::types::Guid;
use crate::windows::edit::{HiveFile, ImageEdit};

pub(super) const TEMPLATE: &str = HiveFile::BcdTemplate.path();
/// Objects that only templates have.
const PATTERNS: [Guid; 7] = [
    well_known::TARGET_EFI,
    well_known::TARGET_PCAT,
    well_known::RESUME_EFI,
    well_known::RESUME_PCAT,
    well_known::SETUP_EFI,
    well_known::SETUP_PCAT,
    well_known::NTLDR,
];

/// Makes the store; also returns the identifier of the entry that starts Windows.
pub(super) fn store(
    image: &mut ImageEdit<'_>,
    files: &Collected,
    options: &BootOptions,
    warnings: &mut Vec<String>,
) -> Result<(BcdStore, Guid)> {
    let mut template = match read_template(image, options.firmware, warnings)? {
        Some(template) => template,
        None => default_template(options.firmware),
    };
    options.settings.apply(&mut template, &[target(options.firmware)])?;
    let description = match &options.description {
        Some(description) => description.clone(),
        None => product_name(image, warnings),
    };
    let program = format!(r"Windows\System32\winload.{}", extension(options.firmware));
    if image.tree.find(&program).is_none() {
        warnings.push(format!("`{program}`, which the boot entry starts, is not in the image"));
    }
    Ok(instantiate(template, files, options, &description))
}

fn read_template(
    image: &mut ImageEdit<'_>,
    firmware: Firmware,
    warnings: &mut Vec<String>,
) -> Result<Option<BcdStore>> {
    let mut without = |why: &str| {
        warnings.push(format!("{why}: the boot menu gets Windows' default settings"));
        Ok(None)
    };
    let Some(hive) = image.hive(HiveFile::BcdTemplate)? else {
        return without(&format!("the image has no `{TEMPLATE}`, or an empty one"));
    };
    let Some(store) = BcdStore::from_hive(hive).map_err(|error| error.with_path(TEMPLATE))? else {
        return without(&format!("`{TEMPLATE}` is a registry hive but no BCD store"));
    };
    if !store.objects.contains_key(&target(firmware)) {
        return without(&format!("`{TEMPLATE}` has no pattern for a loader"));
    }
    Ok(Some(store))
}

/// The product name in the image's SOFTWARE hive.
fn product_name(image: &mut ImageEdit<'_>, warnings: &mut Vec<String>) -> String {
    let read = |hive: &Hive| {
        let key = hive.find(r"Microsoft\Windows NT\CurrentVersion")?;
        hive.value(key, "ProductName")?.text().filter(|name| !name.is_empty())
    };
    let name = image.hive(HiveFile::Software).map(|hive| hive.and_then(read));
    let why = match name {
        Ok(Some(name)) => return name,
        Ok(None) => format!("`{}` gives no product name", HiveFile::Software.path()),
        Err(error) => error.to_string(),
    };
    warnings.push(format!("{why}: the boot entry is called `Windows`"));
    "Windows".into()
}

/// The contents of a template of Windows Server for `firmware`, without the patterns for the other firmware.
fn default_template(firmware: Firmware) -> BcdStore {
    use element::*;
    use object_type::*;
    use well_known::*;
    let mut store = BcdStore::default();
    fn object<'a>(store: &'a mut BcdStore, id: Guid, kind: u32, inherit: &[Guid]) -> &'a mut BcdObject {
        let object = store.objects.entry(id).or_insert(BcdObject::new(kind));
        if !inherit.is_empty() {
            object.set_objects(INHERIT, inherit);
        }
        object
    }
    object(&mut store, BAD_MEMORY, INHERIT_ANY, &[]);
    object(&mut store, DEBUGGER_SETTINGS, INHERIT_ANY, &[]).set_integer(DEBUG_TYPE, 4);
    object(&mut store, EMS_SETTINGS, INHERIT_ANY, &[]).set_boolean(BOOT_EMS, false);
    object(&mut store, GLOBAL_SETTINGS, INHERIT_ANY, &[DEBUGGER_SETTINGS, EMS_SETTINGS, BAD_MEMORY]);
    object(&mut store, BOOT_LOADER_SETTINGS, INHERIT_OS_LOADER, &[GLOBAL_SETTINGS, HYPERVISOR_SETTINGS]);
    object(&mut store, RESUME_LOADER_SETTINGS, INHERIT_RESUME, &[GLOBAL_SETTINGS]);
    let hypervisor = object(&mut store, HYPERVISOR_SETTINGS, INHERIT_OS_LOADER, &[]);
    hypervisor.set_integer(HYPERVISOR_DEBUG_TYPE, 0);
    hypervisor.set_integer(HYPERVISOR_DEBUG_PORT, 1);
    hypervisor.set_integer(HYPERVISOR_BAUD_RATE, 115_200);
    object(&mut store, BOOTMGR, BOOT_MANAGER, &[GLOBAL_SETTINGS]).set_integer(TIMEOUT, 30);
    object(&mut store, MEMDIAG, MEMORY_TESTER, &[GLOBAL_SETTINGS]).set_boolean(BAD_MEMORY_ACCESS, true);
    for (id, kind, inherit) in
        [(target(firmware), OS_LOADER, BOOT_LOADER_SETTINGS), (resume(firmware), RESUME, RESUME_LOADER_SETTINGS)]
    {
        let pattern = object(&mut store, id, kind, &[inherit]);
        let settings = Value::binary(0x1500_0075_u64.to_le_bytes());
        pattern.elements.insert(ALLOWED_IN_MEMORY_SETTINGS, settings);
        if firmware == Firmware::Uefi {
            pattern.set_boolean(ISOLATED_CONTEXT, true);
        }
        match kind {
            RESUME => pattern.set_integer(RESUME_BOOT_MENU_POLICY, 1),
            _ => {
                // OptOut, as on servers.
                pattern.set_integer(NX, 1);
                pattern.set_integer(BOOT_MENU_POLICY, 1);
            }
        }
    }
    store
}

/// Makes a store of `template`: with an entry for the Windows that is here, and without the template's patterns.
fn instantiate(template: BcdStore, files: &Collected, options: &BootOptions, description: &str) -> (BcdStore, Guid) {
    let locale = locale(&template, files, options);
    let mut making = Making { store: template, options, locale };
    let entries = making.add_windows(description);
    if let Some(partition) = options.recovery {
        let ids: Vec<Guid> = [Some(entries.loader), entries.resume].into_iter().flatten().collect();
        recovery::add(&mut making.store, &ids, partition, &options.seed, &making.locale);
    }
    let has_tester = making.keep_tester(files);
    making.set_manager(&entries, has_tester);
    let mut store = making.store;
    for object in store.objects.values_mut() {
        // The mark of the recovery environment has this class too, but belongs in stores.
        object.elements.retain(|code, _| code >> 28 != element::CLASS_TEMPLATE || *code == recovery::RECOVERY_MARK);
    }
    (store, entries.loader)
}

/// A store that is being made of its template.
struct Making<'a> {
    store: BcdStore,
    options: &'a BootOptions,
    locale: String,
}

/// The entries of the Windows that is started.
struct WindowsEntries {
    loader: Guid,
    /// What wakes it from hibernation; Nano Server has none.
    resume: Option<Guid>,
}

impl Making<'_> {
    /// Makes the patterns of loader and resume program entries of this Windows.
    fn add_windows(&mut self, description: &str) -> WindowsEntries {
        let (firmware, seed) = (self.options.firmware, &self.options.seed);
        let objects = &mut self.store.objects;
        let loader = objects.remove(&target(firmware)).unwrap_or(BcdObject::new(object_type::OS_LOADER));
        let resume = objects.remove(&resume(firmware));
        objects.retain(|id, _| !PATTERNS.contains(id));

        let entries = WindowsEntries {
            loader: seed.guid("bcd/loader"),
            resume: resume.is_some().then(|| seed.guid("bcd/resume")),
        };
        let mut loader = BcdObject { kind: object_type::OS_LOADER, ..loader };
        self.name_program(&mut loader, "winload");
        loader.set_string(element::DESCRIPTION, description);
        loader.set_string(element::SYSTEM_ROOT, r"\Windows");
        loader.elements.remove(&element::RESUME_OBJECT);
        if let (Some(resume), Some(id)) = (resume, entries.resume) {
            let mut resume = BcdObject { kind: object_type::RESUME, ..resume };
            self.name_program(&mut resume, "winresume");
            resume.set_string(element::DESCRIPTION, "Windows Resume Application");
            resume.set_string(element::SYSTEM_ROOT, r"\hiberfil.sys");
            loader.set_object(element::RESUME_OBJECT, id);
            self.store.objects.insert(id, resume);
        }
        self.store.objects.insert(entries.loader, loader);
        entries
    }

    /// Says where the program of an entry is: below `\Windows`, where its pattern says, else as `name`.
    fn name_program(&self, object: &mut BcdObject, name: &str) {
        let windows = |code: u32| BootDevice::windows(&self.options.device, searched_path(code));
        if let Some(below) = object.string(element::TEMPLATE_PATH) {
            object.set_string(element::PATH, &format!(r"\Windows\{}", below.trim_start_matches('\\')));
        } else if object.path().is_none() {
            let path = format!(r"\Windows\system32\{name}.{}", extension(self.options.firmware));
            object.set_string(element::PATH, &path);
        }
        object.set_device(element::DEVICE, windows(element::DEVICE));
        object.set_device(element::OS_DEVICE, windows(element::OS_DEVICE));
        object.set_string(element::LOCALE, &self.locale);
    }

    /// Completes the entry of the memory tester, or removes it where the image has no such program. Says which.
    fn keep_tester(&mut self, files: &Collected) -> bool {
        let path = match self.options.firmware {
            Firmware::Uefi => r"\EFI\Microsoft\Boot\memtest.efi",
            Firmware::Bios => r"\Boot\memtest.exe",
        };
        if !files.contains(&path[1..]) {
            self.store.objects.remove(&well_known::MEMDIAG);
        }
        let Some(tester) = self.store.objects.get_mut(&well_known::MEMDIAG) else { return false };
        tester.set_device(element::DEVICE, BootDevice::system(&self.options.device));
        tester.set_string(element::PATH, path);
        tester.set_string(element::DESCRIPTION, "Windows Memory Diagnostic");
        tester.set_string(element::LOCALE, &self.locale);
        true
    }

    /// Says to the boot manager where it is and what it offers.
    fn set_manager(&mut self, entries: &WindowsEntries, has_tester: bool) {
        let new = BcdObject::new(object_type::BOOT_MANAGER);
        let manager = self.store.objects.entry(well_known::BOOTMGR).or_insert(new);
        manager.set_device(element::DEVICE, BootDevice::system(&self.options.device));
        match self.options.firmware {
            Firmware::Uefi => manager.set_string(element::PATH, r"\EFI\Microsoft\Boot\bootmgfw.efi"),
            Firmware::Bios => drop(manager.elements.remove(&element::PATH)),
        }
        manager.set_string(element::DESCRIPTION, "Windows Boot Manager");
        manager.set_string(element::LOCALE, &self.locale);
        manager.set_object(element::DEFAULT, entries.loader);
        manager.set_objects(element::DISPLAY_ORDER, &[entries.loader]);
        match entries.resume {
            Some(resume) => manager.set_object(element::BOOTMGR_RESUME_OBJECT, resume),
            None => drop(manager.elements.remove(&element::BOOTMGR_RESUME_OBJECT)),
        }
        match has_tester {
            true => manager.set_objects(element::TOOLS_DISPLAY_ORDER, &[well_known::MEMDIAG]),
            false => drop(manager.elements.remove(&element::TOOLS_DISPLAY_ORDER)),
        }
    }
}

/// The wanted language, or else the template's, if the boot manager supports it.
fn locale(template: &BcdStore, files: &Collected, options: &BootOptions) -> String {
    if let Some(locale) = &options.locale {
        return locale.clone();
    }
    let objects = [well_known::BOOTMGR, target(options.firmware)];
    let named = objects.iter().find_map(|id| template.objects.get(id)?.string(element::LOCALE));
    let default = named.unwrap_or_else(|| "en-US".into());
    let spoken = |wanted: &str| files.locales.iter().find(|locale| locale.eq_ignore_ascii_case(wanted)).cloned();
    let first = || files.locales.iter().find(|locale| !locale.starts_with("qps-")).cloned();
    spoken(&default).or_else(|| spoken("en-US")).or_else(first).unwrap_or(default)
}

fn target(firmware: Firmware) -> Guid {
    match firmware {
        Firmware::Uefi => well_known::TARGET_EFI,
        Firmware::Bios => well_known::TARGET_PCAT,
    }
}

fn resume(firmware: Firmware) -> Guid {
    match firmware {
        Firmware::Uefi => well_known::RESUME_EFI,
        Firmware::Bios => well_known::RESUME_PCAT,
    }
}

fn extension(firmware: Firmware) -> &'static str {
    match firmware {
        Firmware::Uefi => "efi",
        Firmware::Bios => "exe",
    }
}
