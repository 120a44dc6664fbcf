//! Real compressed manifests.

use std::path::Path;

use nano_image::source::delta::expand_manifest;

/// Real manifests and what they are, where a collection of them lies beside the clone.
#[test]
fn real_manifests() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/cbs/dcm"));
    if !folder.exists() {
        eprintln!("not run: {} is not here", folder.display());
        return;
    }
    let dictionary = std::fs::read(folder.join("base_manifest.bin")).unwrap();
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "manifest") {
            let text = std::fs::read(path.with_extension("manifest.xml")).unwrap();
            assert!(
                *expand_manifest(&std::fs::read(&path).unwrap(), &dictionary).unwrap() == text,
                "{}",
                path.display()
            );
            count += 1;
        }
    }
    assert!(count >= 4);
}
