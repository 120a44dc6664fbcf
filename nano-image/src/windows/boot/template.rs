//! From the image's BCD template to the store of one installation.
//!
//! A template holds the shared settings, the boot manager, and for each firmware a loader and a resume entry as
//! patterns. Elements of class 4 say what to do with a pattern: which partition its device is, where its program lies
//! below the system root. They do not reach the store.

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

/// The store and the identifier of the entry that starts Windows.
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

/// What is in a template of Windows Server for `firmware`, without the patterns of the other.
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

fn instantiate(
    mut template: BcdStore,
    files: &Collected,
    options: &BootOptions,
    description: &str,
) -> (BcdStore, Guid) {
    let firmware = options.firmware;
    let locale = locale(&template, files, options);
    let (loader_id, resume_id) = (options.seed.guid("bcd/loader"), options.seed.guid("bcd/resume"));
    let loader = template.objects.remove(&target(firmware)).unwrap_or(BcdObject::new(object_type::OS_LOADER));
    let resume = template.objects.remove(&resume(firmware));
    template.objects.retain(|id, _| !PATTERNS.contains(id));
    let mut store = template;

    let system = BootDevice::system(&options.device);
    let windows = |code: u32| BootDevice::windows(&options.device, searched_path(code));
    let name_program = |object: &mut BcdObject, name: &str| {
        if let Some(below) = object.string(element::TEMPLATE_PATH) {
            object.set_string(element::PATH, &format!(r"\Windows\{}", below.trim_start_matches('\\')));
        } else if object.path().is_none() {
            object.set_string(element::PATH, &format!(r"\Windows\system32\{name}.{}", extension(firmware)));
        }
        object.set_device(element::DEVICE, windows(element::DEVICE));
        object.set_device(element::OS_DEVICE, windows(element::OS_DEVICE));
        object.set_string(element::LOCALE, &locale);
    };

    let mut loader = BcdObject { kind: object_type::OS_LOADER, ..loader };
    name_program(&mut loader, "winload");
    loader.set_string(element::DESCRIPTION, description);
    loader.set_string(element::SYSTEM_ROOT, r"\Windows");
    loader.elements.remove(&element::RESUME_OBJECT);
    let mut entries = vec![loader_id];
    let has_resume = resume.is_some();
    if let Some(resume) = resume {
        let mut resume = BcdObject { kind: object_type::RESUME, ..resume };
        name_program(&mut resume, "winresume");
        resume.set_string(element::DESCRIPTION, "Windows Resume Application");
        resume.set_string(element::SYSTEM_ROOT, r"\hiberfil.sys");
        loader.set_object(element::RESUME_OBJECT, resume_id);
        store.objects.insert(resume_id, resume);
        entries.push(resume_id);
    }
    store.objects.insert(loader_id, loader);
    if let Some(partition) = options.recovery {
        recovery::add(&mut store, &entries, partition, &options.seed, &locale);
    }

    let (manager_path, tester_path) = match firmware {
        Firmware::Uefi => (Some(r"\EFI\Microsoft\Boot\bootmgfw.efi"), r"\EFI\Microsoft\Boot\memtest.efi"),
        Firmware::Bios => (None, r"\Boot\memtest.exe"),
    };
    let has_tester = files.contains(&tester_path[1..]) && store.objects.contains_key(&well_known::MEMDIAG);
    if !has_tester {
        store.objects.remove(&well_known::MEMDIAG);
    }
    if let Some(tester) = store.objects.get_mut(&well_known::MEMDIAG) {
        tester.set_device(element::DEVICE, system);
        tester.set_string(element::PATH, tester_path);
        tester.set_string(element::DESCRIPTION, "Windows Memory Diagnostic");
        tester.set_string(element::LOCALE, &locale);
    }

    let new = BcdObject::new(object_type::BOOT_MANAGER);
    let manager = store.objects.entry(well_known::BOOTMGR).or_insert(new);
    manager.set_device(element::DEVICE, system);
    match manager_path {
        Some(path) => manager.set_string(element::PATH, path),
        None => drop(manager.elements.remove(&element::PATH)),
    }
    manager.set_string(element::DESCRIPTION, "Windows Boot Manager");
    manager.set_string(element::LOCALE, &locale);
    manager.set_object(element::DEFAULT, loader_id);
    manager.set_objects(element::DISPLAY_ORDER, &[loader_id]);
    match has_resume {
        true => manager.set_object(element::BOOTMGR_RESUME_OBJECT, resume_id),
        false => drop(manager.elements.remove(&element::BOOTMGR_RESUME_OBJECT)),
    }
    match has_tester {
        true => manager.set_objects(element::TOOLS_DISPLAY_ORDER, &[well_known::MEMDIAG]),
        false => drop(manager.elements.remove(&element::TOOLS_DISPLAY_ORDER)),
    }
    for object in store.objects.values_mut() {
        // The mark of the recovery environment has that class too, but belongs in stores.
        object.elements.retain(|code, _| code >> 28 != element::CLASS_TEMPLATE || *code == recovery::RECOVERY_MARK);
    }
    (store, loader_id)
}

/// The wanted language, else the template's, as far as the boot manager speaks it.
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
