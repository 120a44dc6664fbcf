//! What becomes of INF files: kinds that vendors and samples have, written anew here, and those that others collected.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::driver::{TIME, options, stand_in, wim};
use crate::judge::scratch;
use fixtures::outside::shared;
use nano_image::ErrorKind;
use nano_image::content::InputFiles;
use nano_image::report::DriverReport;
use nano_image::source::wim::Wim;
use nano_image::windows::driver;
use nano_image::windows::edit::ImageEdit;

/// What becomes of a file.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    /// It is in the driver store; what is told of it, a line each.
    Installed(Vec<String>),
    /// It is not, for this reason, which is none of a broken file.
    Told(String),
    /// It breaks the rules of such files.
    Refused(String),
}
use Verdict::{Installed, Refused, Told};

impl Verdict {
    fn name(&self) -> &'static str {
        match self {
            Installed(_) => "installed",
            Told(_) => "told why not",
            Refused(_) => "refused",
        }
    }
}

/// Adds the drivers of a folder, or of one INF file, to a small image.
fn verdict(wim_file: &Path, driver: &Path) -> Verdict {
    let add = || -> nano_image::Result<_> {
        let wim = Wim::open(wim_file, &[])?;
        let mut tree = wim.read_image(1)?.tree;
        let mut image = ImageEdit::new(&mut tree, wim.store().clone(), TIME);
        let prepared = driver::prepare(&[driver.to_owned()], &InputFiles::default(), &options(false), &())?;
        let warnings = prepared.warnings.clone();
        let reports = prepared.apply(&mut image)?;
        Ok((warnings, reports))
    };
    match add() {
        Ok((warnings, reports)) => {
            assert!(reports.iter().all(|report| report.published.is_some()), "{reports:?}");
            let of = |report: &DriverReport| [&report.not_applied[..], &report.warnings].concat();
            Installed(warnings.into_iter().chain(reports.iter().flat_map(of)).collect())
        }
        Err(error) => {
            assert!(!error.message().is_empty() && error.path().is_some(), "{error:?}");
            match error.kind() {
                ErrorKind::Corrupt => Refused(error.to_string()),
                ErrorKind::Unsupported | ErrorKind::NotFound => Told(error.to_string()),
                other => panic!("{other:?}: {error}"),
            }
        }
    }
}

/// A driver for one device: `class` and what else its Version section has, then all sections but the first ones.
fn inf(class: &str, sections: &str) -> String {
    format!(
        "[Version]\nSignature=\"$WINDOWS NT$\"\nClassGuid={{B85B7C50-6A01-11D2-B841-00C04FAD5171}}\nProvider=%p%\n\
         DriverVer=01/02/2020,1.2.3.4\nCatalogFile=a.cat\nClass={class}\n[Manufacturer]\n%p%=M,NTx86,NTia64,NTamd64\n\
         [M.NTx86]\n%d%=I,ROOT\\A\n[M.NTia64]\n%d%=I,ROOT\\A\n[M.NTamd64]\n%d%=I,ROOT\\A\n[DestinationDirs]\n\
         DefaultDestDir=12\n{sections}\n[Strings]\np=\"Me\"\nd=\"A device\"\n"
    )
}

const FILES: &str = "[I.NT]\nCopyFiles=F\n[F]\na.sys\n";
const SERVICE: &str = "[I.NT.Services]\nAddService=a,2,S\n[S]\nServiceType=1\nStartType=3\nErrorControl=1\n\
    ServiceBinary=%12%\\a.sys\n";

/// Kinds of INF files: what each is, the file, and the verdict with words that must be in it.
fn kinds() -> Vec<(&'static str, String, Verdict)> {
    let installed = |parts: &[&str]| Installed(parts.iter().map(|part| (*part).to_owned()).collect());
    let told = |part: &str| Told(part.into());
    let refused = |part: &str| Refused(part.into());
    let usual = |class: &str, more: &str| inf(class, &format!("{FILES}{SERVICE}{more}"));
    let plain = usual("Net", "");
    vec![
        ("a network adapter", plain.clone(), installed(&[])),
        ("in UTF-16", format!("\u{FEFF}{plain}"), installed(&[])),
        ("text before the first section", format!("/*++\n{plain}"), installed(&[])),
        (
            "a framework with its co-installer",
            usual(
                "System",
                "[I.NT.CoInstallers]\nAddReg=C\nCopyFiles=@a.dll\n[C]\n\
                 HKR,,CoInstallers32,0x10000,\"a.dll,Entry\"\n[I.NT.Wdf]\nKmdfService=a,W\n[W]\nKmdfLibraryVersion=1.15\n",
            ),
            installed(&["co-installer a.dll,Entry"]),
        ),
        (
            "a user-mode driver",
            usual("Sensor", "[I.NT.Wdf]\nUmdfService=a,U\nUmdfServiceOrder=a\n[U]\nUmdfLibraryVersion=2.15\n"),
            installed(&[]),
        ),
        (
            "parts of Windows' own files",
            usual("Keyboard", "[I.NT.HW]\nInclude=keyboard.inf\nNeeds=Standard.HW\n"),
            installed(&["Needs Standard.HW"]),
        ),
        (
            "a filter of its device",
            usual(
                "System",
                "[I.NT.HW]\nAddReg=H\n[H]\nHKR,,UpperFilters,0x10000,a\n[I.NT.Filters]\nAddFilter=a,,L\n[L]\nFilterLevel=x\n",
            ),
            installed(&["AddFilter a, L"]),
        ),
        (
            "a filter that nobody installs",
            usual("System", "[I.NT.HW]\nAddReg=H\n[H]\nHKR,,LowerFilters,0x10000,none\n"),
            installed(&["none (LowerFilters)"]),
        ),
        ("a network filter", usual("NetService", "").replace("StartType=3", "StartType=1"), installed(&[])),
        (
            "registry of all types",
            usual(
                "System",
                "[I.NT.HW]\nAddReg=R\nDelReg=D\n[R]\nHKR,,a,0xB0001,0x70000040003\nHKR,,b,1,00,\\\n 01\n\
                 HKR,,c,0x10001,1,\nHKR,,d,0x20000,\"%%SystemRoot%%\\x\"\nHKLM,SOFTWARE\\V,e,0x4000,x\n[D]\nHKR,,old\n\
                 HKLM,SOFTWARE\\V,gone\n",
            ),
            installed(&["SOFTWARE\\V: the image runs no programs of 32 bits"]),
        ),
        (
            "a class of its own",
            usual("Toaster", "[ClassInstall32]\nAddReg=C\nCopyFiles=@a.dll\n[C]\nHKR,,,0,Toaster\n"),
            installed(&[]),
        ),
        (
            "an interface with a file",
            usual("Media", "[I.NT.Interfaces]\nAddInterface={0},x,N\n[N]\nCopyFiles=@a.dll\n"),
            installed(&[]),
        ),
        (
            "an extension of another driver",
            inf("Extension\nExtensionId={1}", "[I.NT]\nAddReg=R\n[R]\nHKR,,a,,b\n"),
            installed(&[]),
        ),
        (
            "a printer without identifiers",
            inf("Printer", &FILES.replace("[I.NT]", "[I]")).replace("=I,ROOT\\A", "=I").replace("Dir=12", "Dir=66000"),
            installed(&[]),
        ),
        (
            "a directory that only Windows knows",
            inf("System", FILES).replace("Dir=12", "Dir=66000"),
            installed(&["a.sys is not copied"]),
        ),
        (
            "another package of the device",
            usual("Media", "").replace("CopyFiles=F", "CopyFiles=F\nCopyINF=other.inf"),
            installed(&["CopyINF other.inf"]),
        ),
        (
            "lines that only Windows does",
            usual("System", "").replace("CopyFiles=F", "CopyFiles=F\nLogConfig=L\nDelFiles=G\nRegisterDlls=R"),
            installed(&["LogConfig L", "DelFiles G", "RegisterDlls R"]),
        ),
        ("without a catalog", plain.replace("CatalogFile=a.cat\n", ""), installed(&["no catalog"])),
        (
            "a driver for no device",
            format!("{}[DefaultInstall.NTamd64]\nCopyFiles=F\n[F]\na.sys\n", plain.split("[Manuf").next().unwrap()),
            told("pnputil /add-driver"),
        ),
        ("for another processor", plain.replace("NTamd64", "NTarm64"), told("NTarm64")),
        ("for a newer Windows", plain.replace("NTamd64", "NTamd64.10.0...26100"), told("26100")),
        ("of before 64 bits", plain.replace("=M,NTx86,NTia64,NTamd64", "=M"), told("x86")),
        ("no driver", "[AutoRun]\nopen=a.exe\n".into(), told("no INF file of a driver")),
        ("with a file in a cabinet", plain.replace("\na.sys\n", "\nb.sys\n"), told("missing: b.sys")),
        ("without its version", plain.replace("DriverVer=01/02/2020,1.2.3.4\n", ""), refused("no DriverVer")),
        ("a template's version", plain.replace("01/02/2020,1.2.3.4", "; TODO"), refused("line 5: DriverVer")),
        ("without its class", plain.replace("ClassGuid", "Guid"), refused("no ClassGuid")),
        ("a section without an end", plain.replace("[F]", "[F"), refused("without `]`")),
        ("without its install section", plain.replace("[I.NT]", "[J.NT]"), refused("no section [I]")),
        ("a service without a program", plain.replace("ServiceBinary", "Binary"), refused("no ServiceBinary")),
        ("a file above its folder", plain.replace("\na.sys\n", "\n..\\a.sys\n"), refused("`..`")),
    ]
}

#[test]
fn every_kind_of_inf_file_installs_or_says_why_not() {
    let folder = scratch("driver-kinds");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let image = folder.join("image.wim");
    wim(&image);
    let mut counts = BTreeMap::<&str, usize>::new();
    for (number, (what, text, expected)) in kinds().into_iter().enumerate() {
        let own = folder.join(format!("kind-{number}"));
        fs::create_dir_all(&own).unwrap();
        for name in ["a.sys", "a.dll", "a.cat"] {
            fs::write(own.join(name), stand_in(name)).unwrap();
        }
        let path = own.join("a.inf");
        let bytes = match text.strip_prefix('\u{FEFF}') {
            Some(_) => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            None => text.into_bytes(),
        };
        fs::write(&path, bytes).unwrap();
        let found = verdict(&image, &path);
        *counts.entry(found.name()).or_default() += 1;
        match (&expected, &found) {
            (Installed(parts), Installed(lines)) => {
                assert_eq!(parts.len(), lines.len(), "{what}: {lines:?}");
                for (part, line) in parts.iter().zip(lines) {
                    assert!(line.contains(part.as_str()), "{what}: {line} has no `{part}`");
                }
            }
            (Told(part), Told(why)) | (Refused(part), Refused(why)) => {
                assert!(why.contains(part.as_str()), "{what}: {why} has no `{part}`");
            }
            _ => panic!("{what}: {found:?}, not {expected:?}"),
        }
    }
    assert_eq!(counts, BTreeMap::from([("installed", 18), ("told why not", 6), ("refused", 7)]));
}

/// All INF files that others collected: 16 of virtio-win 0.1.240, and two that failed.
#[test]
fn inf_files_of_others_install_or_say_why_not() {
    let (Some(data), Some(cases)) = (shared("data"), shared("cases")) else { return };
    let folder = scratch("driver-samples");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let image = folder.join("image.wim");
    wim(&image);
    let mut found = Vec::new();
    find(&data, &mut found);
    find(&cases, &mut found);
    found.sort();
    let mut table = BTreeMap::<&str, Vec<String>>::new();
    for (number, path) in found.iter().enumerate() {
        let own = folder.join(number.to_string());
        fs::create_dir_all(&own).unwrap();
        let text = fs::read_to_string(path).unwrap();
        for word in text.split(|c: char| !(c.is_alphanumeric() || "-_.".contains(c))) {
            if [".sys", ".cat", ".dll", ".exe"].iter().any(|end| word.to_lowercase().ends_with(end)) {
                fs::write(own.join(word), stand_in(word)).unwrap();
            }
        }
        let copy = own.join(path.file_name().unwrap());
        fs::write(&copy, &text).unwrap();
        let verdict = verdict(&image, &copy);
        table.entry(verdict.name()).or_default().push(format!("{}: {verdict:?}", path.display()));
    }
    let counts: Vec<_> = table.iter().map(|(name, files)| (*name, files.len())).collect();
    assert_eq!(counts, [("installed", 18)], "{table:#?}");
}

fn find(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find(&path, found);
        } else if path.extension().is_some_and(|end| end == "inf") {
            found.push(path);
        }
    }
}
