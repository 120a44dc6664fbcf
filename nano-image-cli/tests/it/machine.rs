//! Flags that make an image one machine, read back with tools of others.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use fixtures::outside;

use crate::support::{Place, Run, build, image_with_hives};

const PASSWORD: &str = "Hunter2 & \"Söhne\"";

fn place() -> Place {
    let place = Place::new();
    fs::write(place.path("nano.wim"), image_with_hives()).unwrap();
    place
}

/// A file of the Windows volume of the BIOS image `a.raw`, read by ntfs-3g's ntfscat.
fn file(place: &Place, path: &str) -> Option<Vec<u8>> {
    fs::write(place.path("volume"), &place.read("a.raw")[1 << 20..]).unwrap();
    let volume = place.path("volume");
    let output = Command::new("ntfscat").args(["-f", volume.to_str().unwrap(), path]).output();
    let output = output.expect("ntfscat of ntfs-3g is installed");
    output.status.success().then_some(output.stdout)
}

fn text(place: &Place, path: &str) -> String {
    String::from_utf8(file(place, path).unwrap_or_else(|| panic!("no {path}"))).unwrap()
}

/// A value of a hive of the image, as hivex reads it.
fn value(place: &Place, hive: &str, key: &str, name: &str) -> String {
    fs::write(place.path("hive"), file(place, &format!("Windows/System32/config/{hive}")).unwrap()).unwrap();
    let output = Command::new("hivexget").arg(place.path("hive")).args([key, name]).output();
    let output = output.expect("hivexget is installed");
    assert!(output.status.success(), "{key} {name}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// Builds the BIOS image `a.raw`.
fn raw(place: &Place, more: &[&str]) -> Run {
    place.build("a.raw", &[&["--firmware", "bios", "--force"], more].concat())
}

#[test]
fn the_name_is_in_every_place() {
    if !outside::programs("hivexget, ntfscat") {
        return;
    }
    let place = place();
    let plain = raw(&place, &["--progress", "json"]).ok();
    assert!(plain.stderr.contains("MINWINPC") && plain.stderr.contains("password"), "{}", plain.stderr);
    raw(&place, &["--computer-name", "web-01"]).ok();
    let control = r"\ControlSet001\Control\ComputerName\ComputerName";
    let parameters = r"\ControlSet001\Services\Tcpip\Parameters";
    assert!(value(&place, "SYSTEM", control, "ComputerName").eq_ignore_ascii_case("web-01"));
    assert_eq!(value(&place, "SYSTEM", parameters, "Hostname"), "web-01");
    assert_eq!(value(&place, "SYSTEM", parameters, "NV Hostname"), "web-01");
    assert!(file(&place, "Windows/Panther/Unattend.xml").is_none());
    raw(&place, &["--computer-name", "web-01", "--name-in-specialize"]).ok();
    assert!(text(&place, "Windows/Panther/Unattend.xml").contains("<ComputerName>web-01</ComputerName>"));
    raw(&place, &["--computer-name", "12345"]).fails(2, &["12345", "digits"]);
    raw(&place, &["--name-in-specialize"]).fails(2, &["specialize", "hint: give a computer name"]);
}

#[test]
fn first_boot_commands_and_addresses_are_written() {
    if !outside::programs("ntfscat") {
        return;
    }
    let place = place();
    let network = ["--interface", "Ethernet", "--ipv4-address", "10.0.0.5", "--ipv4-mask", "255.255.255.0"];
    let more = [
        "--ipv4-gateway=10.0.0.1",
        "--ipv4-dns=10.0.0.2,10.0.0.3",
        "--ipv4-dns=10.0.0.4",
        "--ipv6-address=fd00::5/64",
        "--ipv6-dns=fd00::1",
        "--remote-management=script",
        "--setup-command=echo one",
        "--setup-command=echo two",
    ];
    raw(&place, &[&network[..], &more].concat()).ok();
    let script = text(&place, "Windows/Setup/Scripts/SetupComplete.cmd");
    for part in
        ["10.0.0.5 255.255.255.0 10.0.0.1", "10.0.0.2", "10.0.0.3 index=2", "10.0.0.4 index=3", "fd00::5/64", "fd00::1"]
    {
        assert!(script.contains(part), "{part}: {script}");
    }
    let at = |part: &str| script.find(part).unwrap_or_else(|| panic!("{part}: {script}"));
    assert!(at("5985") < at("echo one") && at("echo one") < at("echo two"));
    for (flags, part) in [
        (&["--interface", "Ethernet"][..], "gets no address"),
        (&["--ipv4-address", "10.0.0.5/24"], "without the interface"),
        (&["--interface", "1", "--ipv4-address", "10.0.0.5"], "no subnet mask"),
        (&["--interface", "1", "--ipv4-address", "10.0.0.5/24", "--ipv4-mask", "255.0.0.0"], "contradicts"),
        (&["--interface", "1", "--ipv4-gateway", "10.0.0.1"], "gateway without an IPv4 address"),
        (&["--ipv4-mask", "x"], "--ipv4-mask: `x`"),
    ] {
        raw(&place, flags).fails(2, &[part]);
    }
}

#[test]
fn zone_locale_files_and_registry_are_written() {
    if !outside::programs("hivexget, ntfscat") {
        return;
    }
    let place = place();
    fs::create_dir_all(place.path("tools/inner")).unwrap();
    fs::write(place.path("tools/inner/a.txt"), "copied").unwrap();
    fs::write(
        place.path("a.reg"),
        "Windows Registry Editor Version 5.00\r\n\r\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Test]\r\n\"Name\"=\"value\"\r\n",
    )
    .unwrap();
    let more = ["--copy", "tools:Tools", "--copy", "a.reg", "--reg", "a.reg", "--remote-management"];
    raw(&place, &[&["--time-zone", "UTC", "--locale", "de-DE"], &more[..]].concat()).ok();
    assert_eq!(text(&place, "Tools/inner/a.txt"), "copied");
    assert_eq!(file(&place, "a.reg").unwrap(), place.read("a.reg"));
    assert_eq!(value(&place, "SOFTWARE", r"\Test", "Name"), "value");
    assert_eq!(value(&place, "SYSTEM", r"\ControlSet001\Control\Nls\Locale", "@"), "00000407");
    let rules = r"\ControlSet001\Services\SharedAccess\Parameters\FirewallPolicy\FirewallRules";
    assert!(value(&place, "SYSTEM", rules, "WINRM-5985-In-TCP").contains("LPort=5985"));
    // The image has no table of zones.
    assert!(text(&place, "Windows/Panther/Unattend.xml").contains("<TimeZone>UTC</TimeZone>"));
    for (flags, code, part) in [
        (&["--locale", "xx-YY"][..], 2, "no locale `xx-YY`"),
        (&["--time-zone", ""], 2, "not a time zone"),
        (&["--copy", ":x"], 2, "nothing to copy"),
        (&["--copy", "none:x"], 3, "none"),
        (&["--reg", "none.reg"], 3, "none.reg"),
        (&["--domain-name", "corp", "--computer-name", "web-01"], 2, "djoin /Provision"),
        (&["--reuse-domain-node"], 2, "/Reuse"),
    ] {
        raw(&place, flags).fails(code, &[part]);
    }
}

#[test]
fn answer_file_and_domain_blob_are_taken() {
    if !outside::programs("ntfscat") {
        return;
    }
    let place = place();
    let answer = |name: &str| {
        format!(
            "<unattend xmlns=\"urn:schemas-microsoft-com:unattend\"><settings pass=\"specialize\"><component \
             name=\"Microsoft-Windows-Shell-Setup\" processorArchitecture=\"amd64\" publicKeyToken=\"31bf3856ad364e35\" language=\"neutral\"><ComputerName>{name}</ComputerName>\
             <TimeZone>UTC</TimeZone></component></settings></unattend>"
        )
    };
    fs::write(place.path("answer.xml"), answer("web-01")).unwrap();
    raw(&place, &["--unattend", "answer.xml"]).ok();
    assert!(text(&place, "Windows/Panther/Unattend.xml").contains("<TimeZone>UTC</TimeZone>"));
    let conflict = ["--unattend", "answer.xml", "--computer-name", "web-02"];
    raw(&place, &conflict).fails(2, &["answer.xml", "web-02", "web-01", "hint: remove ComputerName"]);
    fs::write(place.path("blob"), "ARAIAMzM").unwrap();
    raw(&place, &["--domain-blob", "blob"]).ok();
    assert!(text(&place, "Windows/Panther/Unattend.xml").contains("<AccountData>ARAIAMzM</AccountData>"));
    raw(&place, &["--domain-blob", "blob", "--computer-name", "a"]).fails(2, &["blob", "leave the name out"]);
    raw(&place, &["--unattend", "none.xml"]).fails(3, &["none.xml"]);
}

/// Whether `bytes` are somewhere in `image`. What has not even the first of them is passed over fast.
fn contains(image: &[u8], bytes: &[u8]) -> bool {
    const PAGE: usize = 4096;
    (0..image.len()).step_by(PAGE).any(|at| {
        let piece = &image[at..image.len().min(at + PAGE + bytes.len() - 1)];
        piece.contains(&bytes[0]) && piece.windows(bytes.len()).any(|window| window == bytes)
    })
}

#[test]
fn a_password_is_read_and_never_shown() {
    if !outside::programs("base64") {
        return;
    }
    let place = place();
    fs::write(place.path("password"), format!("{PASSWORD}\r\n")).unwrap();
    let with = |source: &str, stdin: Option<&str>| {
        let more = ["--firmware", "bios", "--force", "--json", "--progress", "json", "--secret", source];
        let mut command = place.command(&build("a.raw", &more));
        command.env("NANO_PASSWORD", PASSWORD).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.stdin(if stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = command.spawn().unwrap();
        if let (Some(text), Some(mut pipe)) = (stdin, child.stdin.take()) {
            pipe.write_all(text.as_bytes()).unwrap();
        }
        let run = Run::of(child.wait_with_output().unwrap());
        let shown = format!("{}{}", String::from_utf8_lossy(&run.stdout), run.stderr);
        assert!(!shown.contains("Hunter2"), "{shown}");
        run
    };
    let mut answers = Vec::new();
    for (source, stdin) in [
        ("admin=env:NANO_PASSWORD", None),
        ("admin=file:password", None),
        ("admin=stdin", Some(format!("{PASSWORD}\n"))),
    ] {
        with(source, stdin.as_deref()).ok();
        answers.push(text(&place, "Windows/Panther/Unattend.xml"));
        let image = place.read("a.raw");
        let wide: Vec<u8> = "Hunter2".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for plain in [b"Hunter2".as_slice(), &wide] {
            assert!(!contains(&image, plain), "the password lies open in the image");
        }
    }
    // What Windows decodes, by another program.
    let value = answers[0].split("<Value>").nth(1).unwrap().split("</Value>").next().unwrap();
    let mut child =
        Command::new("base64").arg("-d").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("base64");
    child.stdin.take().unwrap().write_all(value.as_bytes()).unwrap();
    let bytes = child.wait_with_output().unwrap().stdout;
    let units: Vec<u16> = bytes.chunks(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    assert_eq!(String::from_utf16(&units).unwrap(), format!("{PASSWORD}AdministratorPassword"));
    assert!(answers.iter().all(|answer| *answer == answers[0]));

    let failed = |run: Run, code| {
        assert_eq!(run.code, Some(code), "{}", run.stderr);
        run.stderr
    };
    // Given by mistake, it is not repeated.
    for mistake in ["Hunter2", "admin=Hunter2", "admin=plain:Hunter2", "user=env:Hunter2"] {
        assert!(failed(with(mistake, None), 2).contains("admin=env:VARIABLE"), "{mistake}");
    }
    assert!(failed(with("admin=env:NO_SUCH_VARIABLE", None), 3).contains("NO_SUCH_VARIABLE"));
    assert!(failed(with("admin=file:none", None), 3).contains("none"));
    assert!(failed(with("admin=stdin", Some("\n")), 2).contains("empty"));
    assert!(failed(with("admin=stdin", Some("Hunter2\nmore\n")), 2).contains("control character"));
}

#[test]
fn boot_settings_reach_the_store() {
    if !outside::programs("hivexml, ntfscat") {
        return;
    }
    let place = place();
    let store = |more: &[&str]| {
        raw(&place, more).ok();
        fs::write(place.path("bcd"), file(&place, "Boot/BCD").unwrap()).unwrap();
        let output = Command::new("hivexml").arg(place.path("bcd")).output().expect("hivexml is installed");
        String::from_utf8(output.stdout).unwrap()
    };
    let plain = store(&[]);
    // Elements of a loader: debugger, EMS and test signing.
    for (flags, element) in [
        (&["--debug", "serial:2,57600"][..], "260000a0"),
        (&["--debug", "net:10.0.0.1:50000:1.2.3.4"], "260000a0"),
        (&["--debug", "1394:10"], "260000a0"),
        (&["--debug", "usb:target"], "260000a0"),
        (&["--ems"], "260000b0"),
        (&["--ems=2,57600"], "260000b0"),
        (&["--test-signing"], "16000049"),
    ] {
        assert!(!plain.contains(element));
        assert!(store(flags).contains(element), "{flags:?}");
    }
    for (flags, part) in [
        (&["--debug", "serial:1", "--ems=1"][..], "both use COM1"),
        (&["--debug", "net:10.0.0.1:50000"], "needs a key"),
        (&["--debug", "1394:63"], "no FireWire channel 63"),
        (&["--debug", "ftp"], "not one of serial"),
        (&["--ems=0"], "COM0"),
    ] {
        raw(&place, flags).fails(2, &[part]);
    }
}
