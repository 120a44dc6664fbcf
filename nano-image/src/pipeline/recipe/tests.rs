use serde_json::{Value, json};

use super::*;
use crate::error::ErrorKind;
use crate::windows::configure::FileCopy;

fn read(value: Value) -> Result<Recipe, serde_json::Error> {
    serde_json::from_value(value)
}

/// A recipe with a value for every key, except keys that exclude others.
fn full() -> Value {
    json!({
        "edition": "datacenter", "deployment": "host", "storage": true, "compute": true, "defender": true,
        "clustering": true, "oem-drivers": true, "containers": true, "package": ["IIS"], "feature": ["DNS"],
        "strict": true, "size": 8_u64 << 30, "firmware": "bios", "esp-size": 200 << 20, "cluster-size": 4096,
        "compact": "lzx", "label": "Nano", "bcd-device": "locate", "timestamp": 1_500_000_000,
        "seed": "11".repeat(32), "computer-name": "web-01", "name-in-specialize": true, "unattend": "a.xml",
        "interface": "Ethernet", "ipv4-address": "10.0.0.5", "ipv4-mask": "255.255.255.0",
        "ipv4-gateway": "10.0.0.1", "ipv4-dns": ["10.0.0.2"], "ipv6-address": "fd00::5/64", "ipv6-dns": ["fd00::1"],
        "remote-management": "script", "setup-command": ["ver"], "time-zone": "UTC", "locale": "de-DE",
        "copy": ["tools:Tools"], "reg": ["a.reg"], "debug": "net:10.0.0.9:50000:1.2.3.4,0.25.0", "ems": "1,115200",
        "test-signing": true,
    })
}

#[test]
fn what_is_written_is_read_again() {
    for value in [full(), json!({}), json!({ "image": "2", "domain-blob": "a.djoin" })] {
        let recipe = read(value.clone()).unwrap();
        let written = serde_json::to_value(&recipe).unwrap();
        for (key, value) in value.as_object().unwrap() {
            assert_eq!(written[key], *value, "{key}");
        }
        assert_eq!(read(written).unwrap(), recipe);
    }
    assert_eq!(read(json!({})).unwrap(), Recipe::only_image().build().unwrap());
    let recipe = read(full()).unwrap();
    assert_eq!(recipe.roles().len(), 6);
    assert_eq!((recipe.disk_size(), recipe.cluster_size()), (ByteSize::gib(8), Some(ByteSize::kib(4))));
    assert_eq!(recipe.machine().copy, ["tools:Tools".parse::<FileCopy>().unwrap()]);
}

#[test]
fn values_have_the_forms_of_recipe_files() {
    let recipe = read(json!({
        "image": 2, "size": "8G", "compact": true, "ems": true, "remote-management": false, "debug": "serial",
        "ipv4-dns": "10.0.0.2", "interface": 7, "package": "IIS",
    }))
    .unwrap();
    assert_eq!((recipe.image_name(), recipe.disk_size()), (Some("2"), ByteSize::gib(8)));
    assert_eq!(recipe.compact(), Some(Compact::Copy));
    assert_eq!(recipe.boot().ems.unwrap().to_string(), "1,115200");
    assert_eq!((recipe.packages(), recipe.machine().remote_management), (&["IIS".to_owned()][..], None));
    assert_eq!(recipe.machine().interface.as_deref(), Some("7"));
    for (key, value, part) in [
        ("siez", json!("4G"), "no key `siez`"),
        ("administrator-password", json!("x"), "no key"),
        ("compact", json!("lzy"), "`lzx`"),
        ("compact", json!(["lzx"]), "expected text"),
        ("size", json!("4X"), "`4X` is not a size"),
        ("debug", json!("ftp"), "`ftp`"),
        ("ipv4-dns", json!(["10.0.0.x"]), "IPv4"),
        ("label", json!(true), "expected text"),
        ("seed", json!("12"), "not a seed"),
    ] {
        let error = read(json!({ key: value })).unwrap_err().to_string();
        assert!(error.contains(part), "{key}: {error}");
    }
}

/// Both ways to make a recipe check it.
#[test]
fn what_contradicts_a_limit_is_no_recipe() {
    for (value, part) in [
        (json!({ "label": "x".repeat(300) }), "label"),
        (json!({ "label": "a\nb" }), "control"),
        (json!({ "compact": "lzx", "cluster-size": "64K" }), "4 KiB"),
        (json!({ "compact": "lzx", "size": "17T" }), "16 TiB"),
        (json!({ "esp-size": u64::MAX }), "whole number of MiB"),
        (json!({ "esp-size": u64::MAX - ((1 << 20) - 1) }), "too large"),
        (json!({ "esp-size": 0 }), "whole number of MiB"),
        (json!({ "size": u64::MAX - ((1 << 20) - 1) }), "too large"),
        (json!({ "size": 0 }), "whole number of MiB"),
        (json!({ "size": "16E" }), "not a size"),
        (json!({ "size": "65T" }), "too large"),
        (json!({ "size": 5_000_000 }), "whole number of MiB"),
        (json!({ "cluster-size": "6K" }), "6 KiB"),
        (json!({ "timestamp": u64::MAX }), "year 9999"),
        (json!({ "image": "1", "edition": "standard" }), "edition"),
        (json!({ "deployment": "guest", "oem-drivers": true }), "guest"),
        (json!({ "package": [" "] }), "without a name"),
        (json!({ "computer-name": "a b" }), "a b"),
        (json!({ "debug": "serial:1", "ems": "1" }), "COM1"),
    ] {
        let error = read(value.clone()).unwrap_err().to_string();
        assert!(error.contains(part), "{value}: {error}");
    }
    let refused = |builder: RecipeBuilder| builder.build().unwrap_err();
    let bytes = ByteSize::new(u64::MAX - ((1 << 20) - 1));
    for error in [
        refused(Recipe::image("1").label("x".repeat(300))),
        refused(Recipe::image("1").compact(Compact::Copy).cluster_size(ByteSize::kib(64))),
        refused(Recipe::image("1").esp_size(bytes)),
        refused(Recipe::image("1").disk_size(bytes)),
    ] {
        assert!(error.kind() == ErrorKind::Recipe && error.hint().is_some(), "{error}");
    }
}
