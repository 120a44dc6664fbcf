use super::*;
use crate::registry::Hive;
use crate::registry::Value;
use crate::tree::{FileTree, Node, Times};
use crate::types::FileTime;
use crate::types::form::Switched as _;
use crate::windows::boot::{BootSettings, Ems};
use crate::windows::edit::HiveFile;
use crate::windows::edit::testing::{edit, hive};

fn image() -> FileTree {
    let mut tree = FileTree::new(Node::directory(Times::default()));
    let mut system = Hive::new(FileTime(1), &crate::registry::HiveOptions::default()).unwrap();
    for key in ["sacsvr", "TermService", "cdrom", r"Tcpip\Parameters\PersistentRoutes", "Dhcp"] {
        system.create_key(system.root(), &format!(r"ControlSet001\Services\{key}")).unwrap();
    }
    let routes = system.find(r"ControlSet001\Services\Tcpip\Parameters\PersistentRoutes").unwrap();
    system.set_value(routes, "10.0.0.0,255.0.0.0,10.0.0.1,1", Value::sz("")).unwrap();
    let software = Hive::new(FileTime(1), &crate::registry::HiveOptions::default()).unwrap();
    for (file, hive) in [(HiveFile::System, system), (HiveFile::Software, software)] {
        tree.write_file(file.path(), hive.into_bytes(), Times::default()).unwrap();
    }
    tree
}

#[test]
fn settings_of_hosts_give_way_to_those_of_the_recipe() {
    let text =
        |settings: &BootSettings| settings.boot_setting.iter().map(|setting| setting.to_string()).collect::<Vec<_>>();
    let all = Host::Openstack.add_to(&BootSettings::default());
    assert_eq!(all.ems, Some(Ems::ON));
    assert!(text(&all).contains(&"loader:recoveryenabled=no".into()), "{all:?}");
    let given = BootSettings {
        ems: Some(Ems { port: 2, baud: 9600 }),
        boot_setting: vec!["timeout=30".parse().unwrap(), "both:integrityservices=disable".parse().unwrap()],
        ..BootSettings::default()
    };
    let all = Host::Azure.add_to(&given);
    assert_eq!(all.ems, given.ems);
    assert!(text(&all).contains(&"bootmgr:timeout=30".into()) && !text(&all).contains(&"bootmgr:timeout=5".into()));
    assert_eq!(text(&all).iter().filter(|text| text.contains("integrityservices")).count(), 1);
    all.check().unwrap();
    assert_eq!(Host::HyperV.add_to(&given), given);
    // The debugger already uses the port.
    let debug = BootSettings { debug: Some("serial:1".parse().unwrap()), ..BootSettings::default() };
    assert_eq!(Host::Kubevirt.add_to(&debug).ems, None);
}

#[test]
fn the_registry_gets_what_the_host_wants() {
    let number = |tree: &FileTree, path: &str, name: &str| {
        let hive = hive(tree, HiveFile::System);
        hive.value(hive.find(&format!(r"ControlSet001\{path}"))?, name)?.as_dword()
    };
    let mut tree = image();
    edit(&mut tree, FileTime(2), |image| Host::Azure.prepare(image, &mut Vec::new())).unwrap();
    for (path, name, expected) in [
        (r"Control\TimeZoneInformation", "RealTimeIsUniversal", 1),
        (r"Services\partmgr\Parameters", "SanPolicy", 1),
        (r"Services\sacsvr", "Start", 2),
        (r"Services\Dhcp", "Start", 2),
        (r"Services\cdrom", "Start", 1),
        (r"Control\Terminal Server", "fDenyTSConnections", 0),
        (r"Control\Terminal Server\WinStations\RDP-Tcp", "UserAuthentication", 1),
    ] {
        assert_eq!(number(&tree, path, name), Some(expected), "{path} {name}");
    }
    // Services that do not exist are not created.
    assert_eq!(number(&tree, r"Services\iphlpsvc", "Start"), None);
    let system = hive(&tree, HiveFile::System);
    let routes = system.find(r"ControlSet001\Services\Tcpip\Parameters\PersistentRoutes").unwrap();
    assert!(system.value_names(routes).is_empty());
    let mut tree = image();
    edit(&mut tree, FileTime(2), |image| Host::HyperV.prepare(image, &mut Vec::new())).unwrap();
    assert_eq!(number(&tree, r"Control\TimeZoneInformation", "RealTimeIsUniversal"), None);
}
