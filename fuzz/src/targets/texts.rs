//! Files that people and programs write.

use fixtures::packages::nano;
use nano_image::internals::{read_inf, read_reg_file, rewrite_answer_file};
use nano_image::windows::package::identity::AssemblyIdentity;
use nano_image::windows::package::manifest::Manifest;
use nano_image::windows::package::mum::Package;
use nano_image::{Recipe, Result};

use crate::Target;

pub const MANIFEST: Target = Target { name: "manifest", run: manifest, seeds: manifest_seeds, rounds: 20_000 };
pub const MUM: Target = Target { name: "mum", run: mum, seeds: mum_seeds, rounds: 20_000 };
pub const INF: Target = Target { name: "inf", run: inf, seeds: inf_seeds, rounds: 30_000 };
pub const REG: Target = Target { name: "reg", run: reg, seeds: reg_seeds, rounds: 30_000 };
pub const ANSWER_FILE: Target = Target { name: "answer-file", run: answer, seeds: answer_seeds, rounds: 20_000 };
pub const RECIPE: Target = Target { name: "recipe", run: recipe, seeds: recipe_seeds, rounds: 20_000 };

/// UTF-16 with a byte order mark: another spelling of the same text.
fn utf16(text: &str) -> Vec<u8> {
    [0xFF, 0xFE].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect()
}

/// A text means the same in both encodings. Text that is not ASCII may be in a code page; NUL is in none.
fn same_in_utf16(input: &[u8], read: impl Fn(&[u8]) -> Result<String>) -> bool {
    let result = read(input);
    if let Ok(text) = std::str::from_utf8(input)
        && text.is_ascii()
        && !text.contains('\0')
    {
        let other = read(&utf16(text));
        assert_eq!(other.ok(), result.as_ref().ok().cloned(), "UTF-16 is read as something else");
    }
    result.is_ok()
}

/// The name of an identity is parsed to the same identity.
fn same_identity(identity: &AssemblyIdentity) {
    if let Some(again) = AssemblyIdentity::from_identity_text(&identity.identity_text()) {
        assert_eq!(again.key_form(), identity.key_form());
    }
}

fn manifest(input: &[u8]) -> bool {
    let Ok(manifest) = Manifest::parse(input) else { return false };
    same_identity(&manifest.identity);
    manifest.dependencies.iter().for_each(|dependency| same_identity(&dependency.identity));
    true
}

fn manifest_seeds() -> Vec<Vec<u8>> {
    let packages = [nano::guest(), nano::servicing(4000)];
    packages.iter().flat_map(|package| &package.components).map(|component| component.manifest()).take(12).collect()
}

fn mum(input: &[u8]) -> bool {
    let Ok(package) = Package::parse(input) else { return false };
    same_identity(&package.identity);
    true
}

fn mum_seeds() -> Vec<Vec<u8>> {
    [nano::guest(), nano::servicing(4000)].iter().map(|cabinet| cabinet.root.mum()).collect()
}

fn inf(input: &[u8]) -> bool {
    same_in_utf16(input, read_inf)
}

fn inf_seeds() -> Vec<Vec<u8>> {
    let text = "[Version]\r\nSignature=\"$WINDOWS NT$\"\r\nClass=Net\r\nClassGuid={4d36e972-e325-11ce-bfc1-08002be10318}\r\n\
        Provider=%Name%\r\nDriverVer=06/21/2006,10.0.14393.0\r\n[Manufacturer]\r\n%Name%=Models,NTamd64\r\n\
        [Models.NTamd64]\r\n\"A \"\"device\"\"\"=Install,PCI\\VEN_1234&DEV_0001 ; a comment\r\n[Install.NT]\r\n\
        CopyFiles=Files\r\nAddReg=Keys\r\n[Files]\r\nadapter.sys,,,2\r\n[Keys]\r\nHKR,Ndi\\params,Speed,0,\\\r\n  \"auto\"\r\n\
        [Strings]\r\nName=\"A name\"\r\n";
    vec![text.into(), utf16(text)]
}

fn reg(input: &[u8]) -> bool {
    same_in_utf16(input, read_reg_file)
}

fn reg_seeds() -> Vec<Vec<u8>> {
    let text = "Windows Registry Editor Version 5.00\r\n\r\n; a comment\r\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Key]\r\n\
        @=\"text\"\r\n\"number\"=dword:0000002a\r\n\"bytes\"=hex:01,02,\\\r\n  03\r\n\"expand\"=hex(2):25,00,00,00\r\n\
        \"gone\"=-\r\n[-HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Old]\r\n";
    vec![text.into(), utf16(text)]
}

/// An answer file that is written is the same when it is written again.
fn answer(input: &[u8]) -> bool {
    let Ok(written) = rewrite_answer_file(input) else { return false };
    let again = rewrite_answer_file(&written).expect("an answer file of ours");
    assert_eq!(String::from_utf8_lossy(&again), String::from_utf8_lossy(&written));
    true
}

fn answer_seeds() -> Vec<Vec<u8>> {
    let text = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<!-- mine -->\r\n<unattend xmlns=\"urn:schemas-microsoft-com:unattend\" \
        xmlns:wcm=\"http://schemas.microsoft.com/WMIConfig/2002/State\">\r\n<settings pass=\"specialize\"><component \
        name=\"Microsoft-Windows-Shell-Setup\" processorArchitecture=\"amd64\" publicKeyToken=\"31bf3856ad364e35\" \
        language=\"neutral\" versionScope=\"nonSxS\"><ComputerName>NANO &amp; &#65;</ComputerName><FirstLogonCommands>\
        <SynchronousCommand wcm:action=\"add\"><Order>1</Order></SynchronousCommand></FirstLogonCommands>\
        </component></settings></unattend>\r\n";
    vec![text.into(), utf16(&text.replace("utf-8", "utf-16"))]
}

/// A recipe that is accepted is written as one that is accepted, with the same choices.
fn recipe(input: &[u8]) -> bool {
    let Ok(recipe) = serde_json::from_slice::<Recipe>(input) else { return false };
    let written = serde_json::to_vec(&recipe).expect("a recipe is written");
    let again: Recipe = serde_json::from_slice(&written).expect("a recipe of ours");
    assert_eq!(again, recipe);
    true
}

fn recipe_seeds() -> Vec<Vec<u8>> {
    let plain = Recipe::only_image().build().expect("a recipe");
    let full = Recipe::image("1")
        .label("Nano")
        .disk_size(nano_image::ByteSize::gib(8))
        .package("IIS")
        .build()
        .expect("a recipe");
    [plain, full].iter().map(|recipe| serde_json::to_vec_pretty(recipe).expect("a recipe is written")).collect()
}
