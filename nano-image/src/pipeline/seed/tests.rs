use std::collections::BTreeSet;

use super::*;
use crate::pipeline::RecipeBuilder;
use crate::tree::{Node, Times};

fn inputs() -> Inputs {
    Inputs { image: vec![1; 20], ..Inputs::default() }
}

/// These are the seeds of existing images: if this fails, new builds of them get other identifiers. A short program
/// that shares nothing with this code computed them from the texts.
#[test]
fn seeds_stay_as_they_are() {
    let only = Recipe::only_image;
    let machine = || MachineConfig {
        interface: Some("Ethernet".into()),
        ipv4_address: Some("10.0.0.5/24".into()),
        ipv4_dns: vec![[10, 0, 0, 2].into(), [10, 0, 0, 3].into()],
        setup_command: vec!["ver".into(), r#"echo "a" b"#.into()],
        unattend: Some("any/where.xml".into()),
        ..MachineConfig::default()
    };
    let boot = |text: &str| BootSettings { debug: Some(text.parse().unwrap()), ..Default::default() };
    let recipes: [(RecipeBuilder, Inputs, &str); 10] = [
        (only(), inputs(), "a423abd5ea6b299093fe2d164a1264d1cb774f1270433cf38099586f5716eeee"),
        (
            Recipe::image("1").strict(true),
            Inputs { packages: vec![2; 32], ..inputs() },
            "dacb0bdbb344025c478bf8535b5f270fed84145c43d2ce126b81eb4740532eee",
        ),
        (
            only().disk_size(ByteSize::gib(8)).esp_size(ByteSize::mib(200)),
            inputs(),
            "32c55170f240fae95f287a658dc474c23e89a75122db3979b4d7786180ea145e",
        ),
        (
            only().firmware(Firmware::Bios).bcd_device(BcdDevice::Locate),
            inputs(),
            "fe7aff13089fff3fa847f1ac30236968cd70393b628f7c629c86951d0b56c33e",
        ),
        (
            only().compact(Compact::Lzx).cluster_size(ByteSize::kib(4)),
            inputs(),
            "03219b16d9ee97e5b55d94995b810f8aa0f8737ff06fc1bb679ac77454c92ceb",
        ),
        (
            only().label("Größe 1").timestamp(1_500_000_000),
            inputs(),
            "096e74c75aeb9ac5a6e5fcb44de9d68d4e0b1ba46a4faf427f08a60390197f33",
        ),
        (only().computer_name("web-01"), inputs(), "cc11d746153fafd65c1f2c312c3ffdaa97ebde524ae18b9bc5c2aa433adf902b"),
        (
            only().machine(machine()),
            Inputs { files: vec![3; 70], ..inputs() },
            "cac8e5167521d57c6c04d292926551a8fa5918285d408cdba398002c6f08a3af",
        ),
        (
            only().boot(boot("net:10.0.0.9:50000:1.2.3.4")),
            Inputs { drivers: vec![4; 32], ..inputs() },
            "d1a37e064a1d01a9c3f8e4d795aff0ae0737f802fd0a4ce03513fdf8e7fb7375",
        ),
        (
            only().boot(boot("serial:1,9600")),
            inputs(),
            "c2e585dad5c655544274eaf51ebe4808216e3e4cda0af93d37c719ba1939aca3",
        ),
    ];
    let mut seen = BTreeSet::new();
    for (builder, inputs, expected) in recipes {
        let recipe = builder.build().unwrap();
        let seed = derive(&recipe, &inputs).to_string();
        assert_eq!(seed, expected, "{}", text(&recipe, &inputs));
        assert!(seen.insert(seed));
    }
}

#[test]
fn the_text_has_what_is_chosen_and_nothing_else() {
    let recipe = Recipe::image("1").label("a b").computer_name("web-01").strict(true);
    let recipe = recipe.disk_size(ByteSize::gib(4)).build().unwrap();
    let expected = "nano-image recipe 2\nlabel 3:a b\ncomputer-name 6:web-01\n";
    assert_eq!(text(&recipe, &Inputs::default()), expected);
    assert_eq!(text(&Recipe::only_image().build().unwrap(), &Inputs::default()), "nano-image recipe 2\n");
}

#[test]
fn bytes_have_other_identifiers_for_each_thing_that_makes_them() {
    let (seed, derived) = (Seed::from_bytes([1; 32]), Seed::from_bytes([2; 32]));
    let tree = FileTree::new(Node::directory(Times::default()));
    let decisive = |secrets| Decisive { time: FileTime(5), windows: "amd64", secrets, tree: &tree };
    let plain = identity(seed, derived, &decisive(None));
    let others = [
        identity(seed, seed, &decisive(None)),
        identity(seed, derived, &decisive(Some([3; 32]))),
        identity(seed, derived, &decisive(Some([4; 32]))),
        identity(seed, derived, &Decisive { time: FileTime(6), ..decisive(None) }),
        identity(seed, derived, &Decisive { windows: "arm64", ..decisive(None) }),
    ];
    let bytes: BTreeSet<String> = others.iter().chain([&plain]).map(|identity| identity.bytes.to_string()).collect();
    assert_eq!(bytes.len(), others.len() + 1);
    assert!(others.iter().all(|identity| identity.disk == seed));
    assert_eq!(identity(seed, derived, &decisive(None)), plain);
}
