//! Commands that start an image, taken apart by a shell, Python's shlex and QEMU.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::support::{Place, image_with_hives};
use serde_json::Value;

/// Hard on every quoting.
const NAME: &str = "it's a, \"$HOME\" `id` \\ ‘x’;";

/// What the program `program` is given when a shell runs `script`.
fn arguments(place: &Place, script: &str, program: &str) -> Vec<String> {
    let bin = place.path("bin");
    fs::create_dir_all(&bin).unwrap();
    for name in ["cp", "qemu-img", "qemu-system-x86_64", "virt-install"] {
        fs::write(bin.join(name), "#!/bin/sh\nfor word in \"$0\" \"$@\"; do printf '%s\\n' \"$word\"; done\n").unwrap();
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let output = Command::new("/bin/sh").args(["-c", script]).env("PATH", &bin).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let words = String::from_utf8(output.stdout).unwrap();
    let ours = words.lines().map(str::to_owned).skip_while(|word| !word.ends_with(&format!("/{program}")));
    ours.skip(1).collect()
}

fn hints(place: &Place, image: &str) -> Value {
    place.run(&["run-hint", "--json", image]).ok().json()
}

fn script(hints: &Value, which: &str) -> String {
    hints[which].as_str().unwrap().to_owned()
}

/// Every format and firmware, under a hard name.
fn images(place: &Place) -> Vec<(String, bool)> {
    fs::write(place.path("nano.wim"), image_with_hives()).unwrap();
    let mut images = Vec::new();
    let extensions = nano_image::Format::all().map(nano_image::Format::extension);
    for (extension, firmware) in extensions.flat_map(|extension| [(extension, "uefi"), (extension, "bios")]) {
        let image = format!("{NAME}{firmware}.{extension}");
        place.build(&image, &["--firmware", firmware]).ok();
        images.push((image, firmware == "uefi"));
    }
    images
}

#[test]
fn shells_hand_on_every_path_unharmed() {
    let place = Place::new();
    for (image, uefi) in images(&place) {
        let hints = hints(&place, &image);
        assert_eq!(hints["generation"], if uefi { 2 } else { 1 }, "{image}");
        // The stand-in for the boot program is not signed.
        assert_eq!(hints["secure-boot"], false);
        let path = place.path(&image).canonicalize().unwrap().to_str().unwrap().to_owned();
        let extension = &image[image.rfind('.').unwrap() + 1..];
        let format = if extension == "vhd" { "vpc" } else { extension };
        // libvirt has no VHDX: it gets a copy.
        let (virt_path, virt_format) =
            if extension == "vhdx" { (format!("{path}.qcow2"), "qcow2") } else { (path.clone(), format) };

        let qemu = arguments(&place, &script(&hints, "qemu"), "qemu-system-x86_64");
        let disk = format!("format={format},file={}", path.replace(',', ",,"));
        assert!(qemu.iter().any(|word| word.starts_with("if=") && word.ends_with(&disk)), "{disk}: {qemu:?}");
        assert_eq!(qemu.iter().any(|word| word.contains("pflash")), uefi);
        assert!(qemu.contains(&if uefi { "q35" } else { "pc" }.to_owned()));

        let virt = arguments(&place, &script(&hints, "virt-install"), "virt-install");
        assert_eq!(virt[0], format!("--name={}", &image[..image.rfind('.').unwrap()]));
        let disk = &virt[virt.iter().position(|word| word == "--disk").unwrap() + 1];
        // virt-install reads its options with Python's shlex, commas between.
        let program = "import shlex,sys\ns=shlex.shlex(sys.argv[1],posix=True)\ns.commenters=''\ns.whitespace=','\n\
                       s.whitespace_split=True\nfor word in s: print(word)";
        let output = Command::new("python3").args(["-c", program, disk]).output().expect("python3 is installed");
        let words = String::from_utf8(output.stdout).unwrap();
        let bus = if uefi { "bus=sata" } else { "bus=ide" };
        let expected = [format!("path={virt_path}"), format!("format={virt_format}"), bus.into()];
        assert_eq!(words.lines().collect::<Vec<_>>(), expected);
        assert_eq!(virt.contains(&"uefi".to_owned()), uefi);
    }
}

#[test]
fn qemu_opens_the_images_as_told() {
    let place = Place::new();
    for (image, uefi) in images(&place) {
        // Stopped at once: QEMU has opened all files by then. Whether the host's KVM works is none of our business.
        let script = script(&hints(&place, &image), "qemu").replace("-accel kvm ", "");
        let command = script.split_once("qemu-system").unwrap().1;
        let script = format!("echo quit | qemu-system{} -S -display none -monitor stdio", command.trim_end());
        if uefi {
            fs::copy("/usr/share/OVMF/OVMF_VARS_4M.fd", place.path(&format!("{image}.vars.fd"))).unwrap();
        }
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}\n{error}");
    }
}

#[test]
fn people_and_programs_are_told_the_same() {
    let place = Place::new();
    place.build("a.vhdx", &[]).ok();
    let text = String::from_utf8(place.run(&["run-hint", "a.vhdx"]).ok().stdout).unwrap();
    assert_eq!(text.as_bytes(), place.run(&["inspect", "--launch", "a.vhdx"]).ok().stdout);
    let hints = hints(&place, "a.vhdx");
    for which in ["powershell", "qemu", "virt-install"] {
        assert!(text.contains(hints[which].as_str().unwrap()), "{which}: {text}");
    }
    fs::rename(place.path("a.vhdx"), place.path("a\nb.vhdx")).unwrap();
    place.run(&["run-hint", "a\nb.vhdx"]).fails(4, &["cannot be shown", "hint: rename"]);
    place.run(&["run-hint", "none.vhdx"]).fails(3, &["none.vhdx"]);
    fs::write(place.path("empty.raw"), vec![0; 1 << 20]).unwrap();
    let empty = place.run(&["run-hint", "empty.raw"]).ok();
    assert!(empty.stderr.contains("no boot manager"), "{}", empty.stderr);
}

#[test]
fn qemu_gets_no_differencing_disk_that_it_cannot_read() {
    let place = Place::new();
    place.build("golden.vhdx", &[]).ok();
    fs::write(place.path("machines.csv"), "name\nweb-01\n").unwrap();
    for (format, told) in [("vhdx", false), ("qcow2", true)] {
        let clone = ["clone", "golden.vhdx", "--wim", "nano.wim", "--image", "1", "--size", "256M"];
        let list = ["--machines", "machines.csv", "--allow-unbootable", "-q", "-o"];
        let output = format!("{{name}}.{format}");
        place.run(&[&clone[..], &list, &[&output]].concat()).ok();
        let found = hints(&place, &format!("web-01.{format}"));
        assert_eq!((found["qemu"].is_string(), found["virt-install"].is_string()), (told, told), "{found}");
        assert!(found["powershell"].is_string());
    }
}
