//! Deltas and compressed manifests: generated and real ones.

mod updates;

use fixtures::dcm::dcm;
use fixtures::delta::program::{Machine, Options, Pair, pair};
use fixtures::delta::{DeltaBuilder, Hash};
use fixtures::{Data, Rng};
use nano_image::source::delta::{apply, expand_manifest, header};
use nano_image::{ByteSize, ErrorKind};

const LIMIT: ByteSize = ByteSize::mib(4);

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

#[test]
fn generated_deltas() {
    let basis = Data::text(1, 400_000).to_vec();
    let like = [&basis[1000..5000], b"something new", &basis[..300_000], &[b' '; 5000], &basis[350_000..]].concat();
    for target in [vec![], Data::noise(2, 2000).to_vec(), like] {
        for hash in [Hash::None, Hash::Sha1, Hash::Sha256] {
            let delta = || DeltaBuilder::new(&basis, &target).hash(hash);
            let deltas = [delta(), delta().plain(), delta().pa31(), delta().like(1, 1001).like(4013, 0)];
            for delta in deltas.map(DeltaBuilder::to_bytes) {
                assert!(apply(&basis, &delta, LIMIT).unwrap() == target);
                assert_eq!(header(&delta).unwrap().target_hash.is_some(), hash != Hash::None);
            }
            let nothing = DeltaBuilder::new(b"", &target).hash(hash).to_bytes();
            assert!(apply(b"", &nothing, LIMIT).unwrap() == target);
        }
    }
}

/// The programs differ in everything that a delta changes in its basis; see what the fixture knows of them.
#[test]
fn generated_programs() {
    let unbind = Options { unbind: true, ..Options::default() };
    let bound = Options { bound: true, ..Options::default() };
    let no_relocations = Options { no_relocations: true, ..Options::default() };
    let mut cases: Vec<(Machine, Options)> = Vec::new();
    for machine in [Machine::I386, Machine::Amd64] {
        cases.extend([Options::default(), unbind, bound].map(|options| (machine, options)));
    }
    cases.push((Machine::I386, no_relocations));
    for (machine, options) in cases {
        let Pair { basis, target, transformed } = pair(machine, options);
        let delta = || DeltaBuilder::new(&basis, &target).program(&transformed);
        // Only programs for i386 have the filter.
        let last = if machine == Machine::I386 { delta().e8() } else { delta() };
        for delta in [delta(), delta().pa31(), delta().plain(), last].map(DeltaBuilder::to_bytes) {
            assert!(header(&delta).unwrap().is_pe());
            let made = apply(&basis, &delta, LIMIT).unwrap_or_else(|error| panic!("{machine:?} {options:?}: {error}"));
            assert!(made == target);
        }
        // Without the changes it is another result, so they were needed.
        let mut other = transformed.clone();
        other.flags = 0;
        let delta = DeltaBuilder::new(&basis, &target).program(&other).to_bytes();
        let error = apply(&basis, &delta, LIMIT).unwrap_err();
        assert!(error.message().contains("does not have the hash"), "{error}");
    }
}

#[test]
fn a_basis_that_does_not_fit_is_an_error() {
    let (basis, target) = (Data::text(1, 5000).to_vec(), Data::text(2, 5000).to_vec());
    let both = [&basis[..], &target].concat();
    let delta = DeltaBuilder::new(&basis, &both).to_bytes();
    let new_form = DeltaBuilder::new(&basis, &both).pa31().to_bytes();
    for (delta, message) in [(&delta, "does not have the hash"), (&new_form, "another basis")] {
        let error = apply(&target, delta, LIMIT).unwrap_err();
        assert!(error.kind() == ErrorKind::Corrupt && error.message().contains(message), "{error}");
    }
    let error = apply(&basis, &delta, ByteSize::new(9999)).unwrap_err();
    assert!(error.message().contains("more than"), "{error}");
}

#[test]
fn damaged_deltas_and_bases_give_a_result_or_an_error() {
    let mut rng = Rng::new(1);
    for machine in [Machine::I386, Machine::Amd64] {
        let Pair { basis, target, transformed } = pair(machine, Options::default());
        for hash in [Hash::None, Hash::Sha256] {
            let delta = DeltaBuilder::new(&basis, &target).program(&transformed).hash(hash).to_bytes();
            for _ in 0..300 {
                let mut broken = [delta.clone(), basis.clone()];
                for _ in 0..=rng.below(2) {
                    let bytes = &mut broken[rng.below(2) as usize];
                    let at = rng.below(bytes.len() as u64) as usize;
                    bytes[at] = [0, 1, 0x80, 0xFF, rng.next_u64() as u8][rng.below(5) as usize];
                }
                let [delta, basis] = &broken;
                if let Ok(made) = apply(basis, delta, LIMIT) {
                    assert!(hash == Hash::None || made == target);
                }
            }
        }
    }
}
