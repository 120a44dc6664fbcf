//! INF files whose install sections share others.

use super::*;

/// Install sections that need one section cost the sum of their sizes, not the product.
#[test]
fn what_install_sections_share_is_read_once() {
    let folder = Folder::new();
    let target = Target::new(Architecture::Amd64, None).unwrap();
    let many = |count: usize, line: &dyn Fn(usize) -> String| (0..count).map(line).collect::<String>();
    let path = folder.0.path().join("bus.inf");
    for file in 0..400 {
        folder.put(&format!("f{file}.sys"), "x");
    }
    let shared = |configurations: usize, lines: usize| {
        let text = format!(
            "[Version]\nSignature=$CHICAGO$\nClass=System\nClassGuid={{4d36e97d-e325-11ce-bfc1-08002be10318}}\n\
             Provider=Me\nDriverVer=01/02/2016\n[DestinationDirs]\nDefaultDestDir=13\n[Manufacturer]\nMe=M,NTamd64\n\
             [M.NTamd64]\n{}{}[Shared]\nNeeds=Absent\nAddReg=Shared_Reg\nCopyFiles=Shared_Files\n{}[Shared_Files]\n{}\
             [Shared_Reg]\n{}{}",
            many(configurations, &|n| format!("Device {n}=I{n},ACPI\\D{n}\n")),
            many(configurations, &|n| format!(
                "[I{n}]\nNeeds=Shared\n[I{n}.HW]\nNeeds=Shared\n[I{n}.Filters]\nNeeds=Shared\n"
            )),
            many(lines, &|n| format!("Unknown{n}=x\n")),
            many(lines, &|n| format!("f{n}.sys\n")),
            many(lines, &|n| format!("HKR,,Value{n},,x\n")),
            many(lines, &|n| format!("HKLM,SOFTWARE\\Me,Value{n},,x\n")),
        );
        let inf = inf::Inf::parse(text.as_bytes()).unwrap();
        let included = section::Included::new();
        let mut reader = reader::Reader::new(&inf, &included);
        let mut copies = reader::Copies::default();
        for n in 0..configurations {
            reader.copies(&format!("I{n}"), &mut copies).unwrap();
        }
        assert_eq!(copies.sources().len(), lines);
        let package = Package::read(&path, &InputFiles::default(), text.into_bytes(), &target, false);
        (package.unwrap().unwrap(), inf.spent())
    };
    let (package, _) = shared(300, 400);
    assert_eq!((package.configurations.len(), package.edits.len()), (300, 400));
    assert_eq!(package.not_applied.len(), 1 + 400 + 400, "{:?}", &package.not_applied[..3]);
    let relative = |n: usize| package.configurations[n].driver.iter().map(|edits| edits.len()).sum::<usize>();
    assert_eq!((relative(0), relative(299)), (400, 400));
    // Each section costs the same, however many others there are.
    let cost = |configurations, lines| shared(configurations, lines).1;
    let (few, more, most) = (cost(100, 200), cost(200, 200), cost(300, 200));
    assert_eq!(most - more, more - few);
    assert!(more - few < 100 * 1000, "{few} {more}");
    // What they share is written for each of them, so that is limited.
    package.check_edits().unwrap();
    let (package, _) = shared(400, 400);
    let error = package.check_edits().unwrap_err();
    assert!(error.kind() == ErrorKind::Unsupported && error.message().contains("320000 edits"), "{error}");
}
