//! Names, accounts, languages and keys of machines that set themselves up at first boot, read back with xmllint and hivex.

use std::fs;
use std::process::Command;

use fixtures::outside;

use crate::hosts::place;
use crate::support::{Place, Run};

const SPECIALIZE: &str = "//*[local-name()='settings'][@pass='specialize']";
const OOBE: &str = "//*[local-name()='settings'][@pass='oobeSystem']";

/// Builds `a.vhdx` with passwords in the environment.
fn image(place: &Place, more: &[&str]) -> Run {
    let arguments = [&["build", "--wim", "install.wim", "--size", "256M", "--force", "-o", "a.vhdx"], more].concat();
    let run = place.command(&arguments).env("NANO_ADMIN", "Adm1n & co").env("NANO_USER", "Us3r <x>").output().unwrap();
    let run = Run::of(run);
    let shown = format!("{}{}", String::from_utf8_lossy(&run.stdout), run.stderr);
    assert!(!shown.contains("Adm1n") && !shown.contains("Us3r"), "{shown}");
    run
}

/// What xmllint finds in the image's answer file.
fn answer(place: &Place, xpath: &str) -> String {
    let file = place.run(&["cat", "a.vhdx", r"Windows\Panther\Unattend.xml"]).ok().stdout;
    fs::write(place.path("answer.xml"), file).unwrap();
    let mut command = Command::new("xmllint");
    command.args(["--xpath", &format!("string({xpath})")]).arg(place.path("answer.xml"));
    let output = command.output().expect("xmllint is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end_matches('\n').to_owned()
}

fn setting(place: &Place, pass: &str, path: &[&str]) -> String {
    let path: String = path.iter().map(|name| format!("//*[local-name()='{name}']")).collect();
    answer(place, &format!("{pass}{path}"))
}

/// A value of the image's SYSTEM hive.
fn value(place: &Place, key: &str, name: &str) -> String {
    let hive = place.run(&["cat", "a.vhdx", r"Windows\System32\config\SYSTEM"]).ok().stdout;
    fs::write(place.path("SYSTEM"), hive).unwrap();
    let output = Command::new("hivexget").arg(place.path("SYSTEM")).args([key, name]).output().expect("hivexget");
    assert!(output.status.success(), "{key} {name}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The text that Windows reads from an encoded password.
fn decoded(place: &Place, base64: &str) -> String {
    fs::write(place.path("password"), base64).unwrap();
    let output = Command::new("base64").arg("-d").arg(place.path("password")).output().expect("base64");
    let units: Vec<u16> = output.stdout.chunks(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    String::from_utf16(&units).unwrap()
}

#[test]
fn generalized_images_get_their_name_in_both_places() {
    if !outside::programs("hivexget, xmllint") {
        return;
    }
    let place = place("server-2022");
    let run = image(&place, &["--computer-name", "web-01", "--json"]).ok();
    let notes = run.json()["notes"].to_string();
    assert!(notes.contains("web-01") && notes.contains("specialize"), "{notes}");
    assert_eq!(setting(&place, SPECIALIZE, &["ComputerName"]), "web-01");
    let key = r"\ControlSet001\Control\ComputerName\ComputerName";
    assert_eq!(value(&place, key, "ComputerName"), "WEB-01");
    assert_eq!(value(&place, r"\ControlSet001\Services\Tcpip\Parameters", "Hostname"), "web-01");
}

#[test]
fn a_server_starts_without_a_question() {
    if !outside::programs("base64, hivexget, xmllint") {
        return;
    }
    let place = place("server-2022");
    image(&place, &["--skip-oobe"]).fails(2, &["account", "--secret admin="]);
    let more = ["--skip-oobe", "--secret", "admin=env:NANO_ADMIN", "--kms", "--locale", "de-DE", "--auto-logon", "2"];
    let commands = ["--first-logon-command", "cmd /c echo one", "--first-logon-command", "cmd /c echo \"two\" & ver"];
    image(&place, &[&more[..], &commands, &["--rdp", "--metadata-file", "a.json"]].concat()).ok();
    assert_eq!(setting(&place, SPECIALIZE, &["ProductKey"]), "VDYBN-27WPP-V4HQT-9VMD4-VMK7H");
    for (name, text) in
        [("InputLocale", "de-DE"), ("SystemLocale", "de-DE"), ("UserLocale", "de-DE"), ("UILanguage", "en-US")]
    {
        assert_eq!(setting(&place, OOBE, &[name]), text, "{name}");
    }
    for name in ["HideEULAPage", "HideLocalAccountScreen", "HideWirelessSetupInOOBE"] {
        assert_eq!(setting(&place, OOBE, &["OOBE", name]), "true", "{name}");
    }
    assert_eq!(setting(&place, OOBE, &["AutoLogon", "LogonCount"]), "2");
    assert_eq!(setting(&place, OOBE, &["AutoLogon", "Username"]), "Administrator");
    assert_eq!(decoded(&place, &setting(&place, OOBE, &["AutoLogon", "Value"])), "Adm1n & coPassword");
    let command = "//*[local-name()='SynchronousCommand'][2]/*[local-name()='CommandLine']";
    assert_eq!(answer(&place, command), "cmd /c echo \"two\" & ver");
    assert_eq!(answer(&place, "//*[local-name()='SynchronousCommand'][2]/*[local-name()='Order']"), "2");
    assert_eq!(setting(&place, SPECIALIZE, &["FirewallGroup", "Group"]), "@FirewallAPI.dll,-28752");
    assert_eq!(
        value(&place, r"\ControlSet001\Control\Terminal Server", "fDenyTSConnections")
            .trim_start_matches("dword:0000000"),
        "0"
    );
    let metadata = String::from_utf8(place.read("a.json")).unwrap();
    assert!(!metadata.contains("Adm1n") && metadata.contains("admin=env:NANO_ADMIN"));
    // The metadata are a recipe of the same bytes.
    image(&place, &["--recipe", "a.json", "--check", "a.vhdx"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(place.path("a.vhdx")).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_client_gets_accounts() {
    if !outside::programs("base64, xmllint") {
        return;
    }
    let place = place("windows-11");
    image(&place, &["--skip-oobe", "--secret", "admin=env:NANO_ADMIN"]).fails(2, &["account", "--local-user"]);
    image(&place, &["--local-user", "me"]).fails(2, &["`me` gets no password", "--secret user.me="]);
    image(&place, &["--secret", "user.me=env:NANO_USER"]).fails(2, &["`me`, which is not an account"]);
    let user = ["--local-user", "me:Users;Remote Desktop Users", "--secret", "user.me=env:NANO_USER"];
    let more = ["--skip-oobe", "--ui-language", "de-DE", "--input-locale", "0407:00000407", "--auto-logon", "1"];
    image(&place, &[&user[..], &more].concat()).ok();
    assert_eq!(setting(&place, OOBE, &["LocalAccount", "Name"]), "me");
    assert_eq!(setting(&place, OOBE, &["LocalAccount", "Group"]), "Users;Remote Desktop Users");
    assert_eq!(decoded(&place, &setting(&place, OOBE, &["LocalAccount", "Value"])), "Us3r <x>Password");
    assert_eq!(setting(&place, OOBE, &["AutoLogon", "Username"]), "me");
    assert_eq!(setting(&place, OOBE, &["OOBE", "HideOnlineAccountScreens"]), "true");
    assert_eq!(setting(&place, OOBE, &["UILanguage"]), "de-DE");
    assert_eq!(setting(&place, OOBE, &["InputLocale"]), "0407:00000407");
    image(&place, &["--ui-language", "fr-FR"]).fails(3, &["fr-FR", "de-DE, en-US"]);
    for (flags, part) in [
        (&["--local-user", "Guest"][..], "is there already"),
        (
            &["--local-user", "web-01", "--computer-name", "WEB-01", "--secret", "user.web-01=env:NANO_USER"],
            "name of the computer",
        ),
        (&["--product-key", "ABC"], "five groups"),
        (&["--product-key", "W269N-WFGWX-YVC9B-4J6C9-T83GX", "--kms"], "cannot be used with"),
        (&["--auto-logon", "0"], "0 times"),
        (&["--auto-logon", "1"], "no account to log on"),
        (&["--input-locale", "xyz"], "not an input locale"),
        (&["--first-logon-command", ""], "empty"),
    ] {
        image(&place, flags).fails(2, &[part]);
    }
}

#[test]
fn flags_join_a_given_answer_file() {
    if !outside::programs("xmllint") {
        return;
    }
    let place = place("windows-11");
    let file = |settings: &str| {
        let text = format!(
            "<unattend xmlns=\"urn:schemas-microsoft-com:unattend\" \
             xmlns:wcm=\"http://schemas.microsoft.com/WMIConfig/2002/State\"><settings pass=\"oobeSystem\"><component \
             name=\"Microsoft-Windows-Shell-Setup\" processorArchitecture=\"amd64\" \
             publicKeyToken=\"31bf3856ad364e35\" language=\"neutral\" versionScope=\"nonSxS\">{settings}</component>\
             </settings></unattend>"
        );
        fs::write(place.path("given.xml"), text).unwrap();
    };
    file(
        "<FirstLogonCommands><SynchronousCommand wcm:action=\"add\"><Order>7</Order><CommandLine>first</CommandLine>\
         </SynchronousCommand></FirstLogonCommands><OOBE><ProtectYourPC>1</ProtectYourPC></OOBE>",
    );
    let user = ["--local-user", "me", "--secret", "user.me=env:NANO_USER", "--skip-oobe"];
    image(&place, &[&["--unattend", "given.xml", "--first-logon-command", "second"], &user[..]].concat()).ok();
    assert_eq!(answer(&place, "count(//*[local-name()='FirstLogonCommands'])"), "1");
    assert_eq!(answer(&place, "//*[local-name()='SynchronousCommand'][2]/*[local-name()='Order']"), "8");
    assert_eq!(setting(&place, OOBE, &["OOBE", "ProtectYourPC"]), "1");
    file(
        "<UserAccounts><LocalAccounts><LocalAccount wcm:action=\"add\"><Name>ME</Name><Group>Users</Group>\
         </LocalAccount></LocalAccounts></UserAccounts>",
    );
    image(&place, &[&["--unattend", "given.xml"], &user[..]].concat()).fails(2, &["given.xml", "`me` too"]);
}

#[test]
fn ssh_keys_go_where_the_server_looks() {
    if !outside::programs("hivexget, ntfssecaudit") {
        return;
    }
    let place = place("server-2025");
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH me@here";
    fs::write(place.path("id.pub"), format!("{key}\n")).unwrap();
    image(&place, &["--ssh-key", "id.pub"]).ok();
    let stored = place.run(&["cat", "a.vhdx", r"ProgramData\ssh\administrators_authorized_keys"]).ok().stdout;
    assert_eq!(String::from_utf8(stored).unwrap(), format!("{key}\r\n"));
    assert!(value(&place, r"\ControlSet001\Services\sshd", "Start").ends_with('2'));
    // Nobody but SYSTEM and Administrators may read them: what ntfs-3g says.
    let raw = ["--size", "256M", "-o", "a.raw", "--firmware", "bios", "--ssh-key", "id.pub"];
    place.run(&[&["build", "--wim", "install.wim"], &raw[..]].concat()).ok();
    fs::write(place.path("volume"), &place.read("a.raw")[1 << 20..]).unwrap();
    let output = Command::new("ntfssecaudit")
        .args([place.path("volume").to_str().unwrap(), "/ProgramData/ssh/administrators_authorized_keys"])
        .output()
        .expect("ntfssecaudit of ntfs-3g is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("mode 0700"), "{text}");
    fs::write(place.path("id"), "-----BEGIN OPENSSH PRIVATE KEY-----\n").unwrap();
    image(&place, &["--ssh-key", "id"]).fails(4, &["private key", "id_ed25519.pub"]);
    let other = crate::hosts::place("server-2022");
    fs::write(other.path("id.pub"), format!("{key}\n")).unwrap();
    image(&other, &["--ssh-key", "id.pub"]).fails(4, &["no OpenSSH server", "Features on Demand"]);
}

#[test]
fn cloudbase_init_is_staged_and_installed_at_first_boot() {
    let place = place("server-2022");
    fs::write(place.path("CloudbaseInitSetup_x64.msi"), "an installer").unwrap();
    image(&place, &["--cloud-init", "CloudbaseInitSetup_x64.msi"]).ok();
    let cat = |path: &str| {
        let bytes = place.run(&["cat", "a.vhdx", &format!(r"Windows\Setup\{path}")]).ok().stdout;
        String::from_utf8(bytes).unwrap()
    };
    assert_eq!(cat(r"Cloudbase-Init\CloudbaseInitSetup.msi"), "an installer");
    let settings = cat(r"Cloudbase-Init\cloudbase-init.conf");
    for part in [
        "ConfigDriveService,",
        "NoCloudConfigDriveService,",
        "AzureService,",
        "HttpService,",
        "real_time_clock_utc=false",
    ] {
        assert!(settings.contains(part), "{part}: {settings}");
    }
    let script = cat(r"Scripts\SetupComplete.cmd");
    let at = |part: &str| script.find(part).unwrap_or_else(|| panic!("{part}: {script}"));
    assert!(at("RUN_SERVICE_AS_LOCAL_SYSTEM=1") < at("*.conf") && at("*.conf") < at("net start cloudbase-init"));
    fs::create_dir(place.path("kit")).unwrap();
    image(&place, &["--cloud-init", "kit"]).fails(3, &["kit", ".msi"]);
    fs::write(place.path("kit/a.msi"), "b").unwrap();
    fs::write(place.path("kit/cloudbase-init.conf"), "[DEFAULT]\nmine=1\n").unwrap();
    image(&place, &["--cloud-init", "kit"]).ok();
    assert_eq!(cat(r"Cloudbase-Init\cloudbase-init.conf"), "[DEFAULT]\nmine=1\n");
}

#[test]
fn what_an_image_cannot_do_is_refused() {
    use fixtures::hive::{Hive, value::sz};
    use fixtures::{Data, FileSpec, Image, Tree, WimBuilder, scenes};
    // A Nano Server, one that only the WIM calls so, and a Windows that has been set up.
    let place = Place::empty();
    for (installation, edition, part) in [
        ("Nano Server", "ServerStandard", "Nano Server"),
        ("", "ServerDatacenterNano", "Nano Server"),
        ("Server Core", "ServerStandard", "has been set up"),
    ] {
        let mut hive = Hive::new();
        hive.set(r"Microsoft\Windows NT\CurrentVersion", "InstallationType", sz(installation));
        hive.set(r"Microsoft\Windows\CurrentVersion\Setup\State", "ImageState", sz("IMAGE_STATE_COMPLETE"));
        let mut tree = Tree::new();
        for (path, data) in [
            (r"Windows\Boot\EFI\bootmgfw.efi", scenes::pe_stand_in()),
            (r"Windows\System32\winload.efi", "loader".into()),
            (r"Windows\System32\config\SYSTEM", Data::bytes(scenes::system_hive())),
            (r"Windows\System32\config\SOFTWARE", Data::bytes(hive.to_bytes("SOFTWARE"))),
        ] {
            tree.add(path, FileSpec::file(data));
        }
        let wim = WimBuilder::new().push(Image::new("Only", tree).edition(edition));
        fs::write(place.path("install.wim"), wim.to_bytes()).unwrap();
        for flags in [
            &["--skip-oobe"][..],
            &["--kms"],
            &["--first-logon-command", "x"],
            &["--ui-language", "en-US"],
            &["--auto-logon", "1"],
        ] {
            image(&place, &[&["--secret", "admin=env:NANO_ADMIN"], flags].concat())
                .fails(4, &[flags[0], part, "hint: "]);
        }
        image(&place, &["--rdp"]).fails(4, &["TermService"]);
    }
}

/// The image's own manifests say which settings there are: in a build, and for an image.
#[test]
fn the_manifests_of_an_image_judge_answer_files() {
    if !outside::programs("xmllint") {
        return;
    }
    let place = place("server-2022");
    let token = "31bf3856ad364e35";
    let manifest = format!(
        "<assembly xmlns='urn:schemas-microsoft-com:asm.v3' xmlns:xsd='http://www.w3.org/2001/XMLSchema'>\
         <assemblyIdentity name='Microsoft-Windows-Shell-Setup' version='10.0.20348.1' processorArchitecture='amd64' \
         language='neutral' publicKeyToken='{token}' versionScope='nonSxS'/><configuration \
         xmlns:wcm='http://schemas.microsoft.com/WMIConfig/2002/State'><configurationSchema><xsd:schema>\
         <xsd:element name='TimeZone' type='xsd:string' wcm:passes='specialize'/></xsd:schema></configurationSchema>\
         </configuration></assembly>"
    );
    let file = format!("amd64_microsoft-windows-shell-setup_{token}_10.0.20348.1_none_0123456789abcdef.manifest");
    fs::write(place.path(&file), manifest).unwrap();
    let answer = |component: &str, settings: &str| {
        format!(
            "<unattend xmlns='urn:schemas-microsoft-com:unattend'>\n<settings pass='specialize'>\n<component \
             name='{component}' processorArchitecture='amd64' publicKeyToken='{token}' language='neutral' \
             versionScope='nonSxS'>\n{settings}</component></settings></unattend>"
        )
    };
    let shell = "Microsoft-Windows-Shell-Setup";
    fs::write(place.path("good.xml"), answer(shell, "<TimeZone>UTC</TimeZone>")).unwrap();
    fs::write(place.path("bad.xml"), answer(shell, "<CopyProfile>true</CopyProfile>")).unwrap();
    fs::write(place.path("esc.xml"), answer("Microsoft-Windows-IE-ESC", "<IEHardenAdmin>false</IEHardenAdmin>"))
        .unwrap();
    let copy = format!(r"{file}:\Windows\WinSxS\Manifests\{file}");
    image(&place, &["--unattend", "bad.xml", "--copy", &copy])
        .fails(4, &["line 4, column 1", "CopyProfile", "manifest"]);
    // Without the manifest the table is asked, which knows it.
    image(&place, &["--unattend", "bad.xml"]).ok();
    let run = image(&place, &["--unattend", "esc.xml", "--copy", &copy]).ok();
    assert!(
        run.stderr.contains("line 3, column 1: Microsoft-Windows-IE-ESC (specialize) is no component"),
        "{}",
        run.stderr
    );
    image(&place, &["--unattend", "good.xml", "--copy", &copy]).ok();
    place.run(&["lint", "good.xml", "--image", "a.vhdx"]).ok();
    let run = place.run(&["lint", "bad.xml", "--image", "a.vhdx"]);
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(run.code == Some(1) && said.contains("bad.xml:4:1: refused") && said.contains("CopyProfile"), "{said}");
}
