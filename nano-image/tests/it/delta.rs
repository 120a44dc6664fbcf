//! Compressed manifests: generated and real ones.

mod updates;

use fixtures::Data;
use fixtures::dcm::dcm;
use nano_image::source::delta::expand_manifest;

#[test]
fn generated_manifests() {
    let dictionary = Data::text(1, 9066).to_vec();
    let like =
        [&dictionary[100..3000], b"something new", &dictionary[..100], &[b' '; 1000], &dictionary[40..]].concat();
    for text in [vec![], b"x".to_vec(), Data::noise(2, 2000).to_vec(), Data::text(3, 100_000).to_vec(), like] {
        let file = dcm(&text, &dictionary);
        assert!(*expand_manifest(&file, &dictionary).unwrap() == text);
        assert!(text.len() < 10_000 || file.len() < text.len());
    }
}

/// Real manifests and what they are, where a collection of them lies beside the clone.
#[test]
fn real_manifests() {
    let Some(folder) = fixtures::outside::shared("data/cbs/dcm") else { return };
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
