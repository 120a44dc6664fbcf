//! Elements of the boot configuration, by their names in bcdedit.
//!
//! Sources: "bcdedit /set" and the element types of the BCD WMI provider on learn.microsoft.com; the symbols of bcdedit.

use super::elements::object_type;

/// Objects that can have an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElementSet {
    /// Every program: boot manager, loader and others.
    Any,
    /// The boot manager.
    Manager,
    /// Entries that start Windows.
    Loader,
    /// Entries that resume it from hibernation.
    Resume,
    /// Debugger settings, which other objects inherit.
    Debugger,
    /// The settings of Emergency Management Services.
    Ems,
    /// The settings of the hypervisor.
    Hypervisor,
}

/// The type of an element's value: the second digit of its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Where a file is.
    Device,
    /// Text.
    Text,
    /// Another object.
    Object,
    /// Other objects.
    Objects,
    /// A number.
    Number,
    /// Yes or no.
    Switch,
    /// Numbers.
    Numbers,
}

/// An element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element {
    /// Its name.
    pub name: &'static str,
    /// Its code.
    pub code: u32,
    /// Objects that can have it.
    pub place: ElementSet,
}

/// The type of the value of the element with `code`; `None` if the code has none.
pub fn form(code: u32) -> Option<Form> {
    Some(match code >> 24 & 0xF {
        1 => Form::Device,
        2 => Form::Text,
        3 => Form::Object,
        4 => Form::Objects,
        5 => Form::Number,
        6 => Form::Switch,
        7 => Form::Numbers,
        _ => return None,
    })
}

/// The elements called `name`. Objects of different kinds may have different elements with the same name.
pub fn named(name: &str) -> impl Iterator<Item = &'static Element> {
    ELEMENTS.iter().filter(move |element| element.name.eq_ignore_ascii_case(name))
}

/// All names.
pub fn names() -> impl Iterator<Item = &'static str> {
    ELEMENTS.iter().map(|element| element.name)
}

/// The name of the element with `code` in an object of type `kind`, on which the meaning of a code may depend.
pub fn name(kind: u32, code: u32) -> Option<&'static str> {
    let is_of = |place: ElementSet| match kind {
        object_type::BOOT_MANAGER => place == ElementSet::Manager,
        object_type::OS_LOADER | object_type::INHERIT_OS_LOADER => {
            matches!(place, ElementSet::Loader | ElementSet::Hypervisor)
        }
        object_type::RESUME | object_type::INHERIT_RESUME => place == ElementSet::Resume,
        _ => false,
    };
    let same = || ELEMENTS.iter().filter(|element| element.code == code);
    same().find(|element| is_of(element.place)).or_else(|| same().next()).map(|element| element.name)
}

/// Meanings of the small numbers that the element with `code` can have.
pub fn meanings(code: u32) -> &'static [&'static str] {
    MEANINGS.iter().find(|(known, _)| *known == code).map_or(&[], |(_, names)| names)
}

const fn of(place: ElementSet, name: &'static str, code: u32) -> Element {
    Element { name, code, place }
}

use ElementSet::{Any, Debugger, Ems, Hypervisor, Loader, Manager, Resume};

const ELEMENTS: [Element; 125] = [
    of(Any, "device", 0x1100_0001),
    of(Any, "path", 0x1200_0002),
    of(Any, "description", 0x1200_0004),
    of(Any, "locale", 0x1200_0005),
    of(Any, "inherit", 0x1400_0006),
    of(Any, "truncatememory", 0x1500_0007),
    of(Any, "recoverysequence", 0x1400_0008),
    of(Any, "recoveryenabled", 0x1600_0009),
    of(Any, "badmemorylist", 0x1700_000A),
    of(Any, "badmemoryaccess", 0x1600_000B),
    of(Any, "firstmegabytepolicy", 0x1500_000C),
    of(Any, "relocatephysical", 0x1500_000D),
    of(Any, "avoidlowmemory", 0x1500_000E),
    of(Any, "traditionalkseg", 0x1600_000F),
    of(Any, "bootdebug", 0x1600_0010),
    of(Debugger, "debugtype", 0x1500_0011),
    of(Debugger, "debugaddress", 0x1500_0012),
    of(Debugger, "debugport", 0x1500_0013),
    of(Debugger, "baudrate", 0x1500_0014),
    of(Debugger, "channel", 0x1500_0015),
    of(Debugger, "targetname", 0x1200_0016),
    of(Debugger, "noumex", 0x1600_0017),
    of(Debugger, "debugstart", 0x1500_0018),
    of(Debugger, "busparams", 0x1200_0019),
    of(Debugger, "hostip", 0x1500_001A),
    of(Debugger, "port", 0x1500_001B),
    of(Debugger, "dhcp", 0x1600_001C),
    of(Debugger, "key", 0x1200_001D),
    of(Debugger, "vm", 0x1600_001E),
    of(Any, "bootems", 0x1600_0020),
    of(Ems, "emsport", 0x1500_0022),
    of(Ems, "emsbaudrate", 0x1500_0023),
    of(Any, "loadoptions", 0x1200_0030),
    of(Any, "attemptnonbcdstart", 0x1600_0031),
    of(Any, "advancedoptions", 0x1600_0040),
    of(Any, "optionsedit", 0x1600_0041),
    of(Any, "bootstatdevice", 0x1100_0043),
    of(Any, "bootstatfilepath", 0x1200_0044),
    of(Any, "preservebootstat", 0x1600_0045),
    of(Any, "graphicsmodedisabled", 0x1600_0046),
    of(Any, "configaccesspolicy", 0x1500_0047),
    of(Any, "nointegritychecks", 0x1600_0048),
    of(Any, "testsigning", 0x1600_0049),
    of(Any, "fontpath", 0x1200_004A),
    of(Any, "integrityservices", 0x1500_004B),
    of(Any, "extendedinput", 0x1600_0050),
    of(Any, "initialconsoleinput", 0x1500_0051),
    of(Any, "graphicsresolution", 0x1500_0052),
    of(Any, "restartonfailure", 0x1600_0053),
    of(Any, "highestmode", 0x1600_0054),
    of(Any, "isolatedcontext", 0x1600_0060),
    of(Any, "displaymessage", 0x1500_0065),
    of(Any, "displaymessageoverride", 0x1500_0066),
    of(Any, "nobootuxlogo", 0x1600_0067),
    of(Any, "nobootuxtext", 0x1600_0068),
    of(Any, "nobootuxprogress", 0x1600_0069),
    of(Any, "nobootuxfade", 0x1600_006A),
    of(Any, "bootuxdisabled", 0x1600_006C),
    of(Any, "nokeyboard", 0x1600_0072),
    of(Any, "bootshutdowndisabled", 0x1600_0074),
    of(Any, "allowedinmemorysettings", 0x1700_0077),
    of(Any, "forcefipscrypto", 0x1600_0079),
    of(Any, "flightsigning", 0x1600_007E),
    of(Manager, "displayorder", 0x2400_0001),
    of(Manager, "bootsequence", 0x2400_0002),
    of(Manager, "default", 0x2300_0003),
    of(Manager, "timeout", 0x2500_0004),
    of(Manager, "resume", 0x2600_0005),
    of(Manager, "resumeobject", 0x2300_0006),
    of(Manager, "toolsdisplayorder", 0x2400_0010),
    of(Manager, "displaybootmenu", 0x2600_0020),
    of(Manager, "noerrordisplay", 0x2600_0021),
    of(Manager, "customactions", 0x2700_0030),
    of(Loader, "osdevice", 0x2100_0001),
    of(Loader, "systemroot", 0x2200_0002),
    of(Loader, "resumeobject", 0x2300_0003),
    of(Loader, "stampdisks", 0x2600_0004),
    of(Loader, "detecthal", 0x2600_0010),
    of(Loader, "kernel", 0x2200_0011),
    of(Loader, "hal", 0x2200_0012),
    of(Loader, "dbgtransport", 0x2200_0013),
    of(Loader, "nx", 0x2500_0020),
    of(Loader, "pae", 0x2500_0021),
    of(Loader, "winpe", 0x2600_0022),
    of(Loader, "nocrashautoreboot", 0x2600_0024),
    of(Loader, "lastknowngood", 0x2600_0025),
    of(Loader, "oslnointegritychecks", 0x2600_0026),
    of(Loader, "osltestsigning", 0x2600_0027),
    of(Loader, "nolowmem", 0x2600_0030),
    of(Loader, "removememory", 0x2500_0031),
    of(Loader, "increaseuserva", 0x2500_0032),
    of(Loader, "perfmem", 0x2500_0033),
    of(Loader, "vga", 0x2600_0040),
    of(Loader, "quietboot", 0x2600_0041),
    of(Loader, "novesa", 0x2600_0042),
    of(Loader, "clustermodeaddressing", 0x2500_0050),
    of(Loader, "usephysicaldestination", 0x2600_0051),
    of(Loader, "uselegacyapicmode", 0x2600_0054),
    of(Loader, "onecpu", 0x2600_0060),
    of(Loader, "numproc", 0x2500_0061),
    of(Loader, "maxproc", 0x2600_0062),
    of(Loader, "maxgroup", 0x2600_0064),
    of(Loader, "groupaware", 0x2600_0065),
    of(Loader, "groupsize", 0x2500_0066),
    of(Loader, "usefirmwarepcisettings", 0x2600_0070),
    of(Loader, "safeboot", 0x2500_0080),
    of(Loader, "safebootalternateshell", 0x2600_0081),
    of(Loader, "bootlog", 0x2600_0090),
    of(Loader, "sos", 0x2600_0091),
    of(Loader, "debug", 0x2600_00A0),
    of(Loader, "halbreakpoint", 0x2600_00A1),
    of(Loader, "useplatformclock", 0x2600_00A2),
    of(Loader, "tscsyncpolicy", 0x2500_00A6),
    of(Loader, "ems", 0x2600_00B0),
    of(Loader, "driverloadfailurepolicy", 0x2500_00C1),
    of(Loader, "bootmenupolicy", 0x2500_00C2),
    of(Loader, "onetimeadvancedoptions", 0x2600_00C3),
    of(Loader, "bootstatuspolicy", 0x2500_00E0),
    of(Loader, "disableelamdrivers", 0x2600_00E1),
    of(Loader, "hypervisorlaunchtype", 0x2500_00F0),
    of(Hypervisor, "hypervisordebug", 0x2600_00F2),
    of(Hypervisor, "hypervisordebugtype", 0x2500_00F3),
    of(Hypervisor, "hypervisordebugport", 0x2500_00F4),
    of(Hypervisor, "hypervisorbaudrate", 0x2500_00F5),
    of(Resume, "bootmenupolicy", 0x2500_0008),
];

/// Names of the numbers, starting with 0.
const MEANINGS: [(u32, &[&str]); 10] = [
    (0x1500_0011, &["Serial", "1394", "USB", "Net", "Local"]),
    (0x1500_004B, &["Default", "Enable", "Disable"]),
    (0x2500_0020, &["OptIn", "OptOut", "AlwaysOff", "AlwaysOn"]),
    (0x2500_0021, &["Default", "ForceEnable", "ForceDisable"]),
    (0x2500_0080, &["Minimal", "Network", "DsRepair"]),
    (0x2500_00A6, &["Default", "Legacy", "Enhanced"]),
    (0x2500_00C1, &["Fatal", "UseErrorControl"]),
    (0x2500_00C2, &["Legacy", "Standard"]),
    (
        0x2500_00E0,
        &[
            "DisplayAllFailures",
            "IgnoreAllFailures",
            "IgnoreShutdownFailures",
            "IgnoreBootFailures",
            "IgnoreCheckpointFailures",
            "DisplayShutdownFailures",
            "DisplayBootFailures",
            "DisplayCheckpointFailures",
        ],
    ),
    (0x2500_00F0, &["Off", "Auto"]),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_lead_to_elements_and_back() {
        let mut seen = BTreeSet::new();
        for element in &ELEMENTS {
            assert!(seen.insert((element.name, element.code)), "{} is listed twice", element.name);
            assert!(form(element.code).is_some() && named(element.name).any(|one| one == element));
        }
        assert_eq!(name(object_type::BOOT_MANAGER, 0x2300_0003), Some("default"));
        assert_eq!(name(object_type::OS_LOADER, 0x2300_0003), Some("resumeobject"));
        assert_eq!(name(object_type::OS_LOADER, 0x2700_FFFF), None);
        assert!(MEANINGS.iter().all(|(code, _)| ELEMENTS.iter().any(|element| element.code == *code)));
    }
}
