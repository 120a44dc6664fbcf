//! The fuzz targets: for each format a function that tries its reader with untrusted bytes and panics if a promise is
//! broken, and seeds that the fixtures make.
//!
//! cargo-fuzz runs the functions through `fuzz_targets/`. `fuzz-run` runs them on a stable toolchain with seeded
//! mutations, so that failures can be repeated. A function returns whether the input was accepted; every seed must be.

pub mod mutate;
mod targets;

/// A reader under test.
#[derive(Clone, Copy)]
pub struct Target {
    /// Name on the command line and of the file in `fuzz_targets/`.
    pub name: &'static str,
    /// Reads the input, checks what is promised, and returns whether the input was accepted.
    pub run: fn(&[u8]) -> bool,
    /// Inputs that are accepted.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// How many mutated inputs a usual run tries: fewer if they are slow.
    pub rounds: u32,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    targets::disks::VHDX,
    targets::disks::VHD,
    targets::disks::QCOW2,
    targets::disks::GPT,
    targets::disks::MBR,
    targets::volumes::NTFS,
    targets::volumes::FAT,
    targets::sources::WIM,
    targets::sources::CABINET,
    targets::sources::LZX,
    targets::sources::ISO,
    targets::sources::DELTA,
    targets::updates::UPDATE,
    targets::updates::PSF,
    targets::texts::MANIFEST,
    targets::texts::MUM,
    targets::texts::INF,
    targets::texts::REG,
    targets::texts::ANSWER_FILE,
    targets::texts::RECIPE,
    targets::registry::HIVE,
    targets::registry::BCD,
    targets::image::IMAGE,
];

/// The target of this name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// For cargo-fuzz: runs the target `name`.
///
/// # Panics
/// If there is none, or a promise is broken.
pub fn run(name: &str, input: &[u8]) {
    let target = target(name).expect("a target of this name");
    (target.run)(input);
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    /// A small part of what `fuzz-run` does.
    #[test]
    fn seeds_are_accepted_and_no_mutation_breaks_a_promise() {
        let mut failures = Vec::new();
        for target in TARGETS {
            let seeds = (target.seeds)();
            for (index, seed) in seeds.iter().enumerate() {
                if !catch_unwind(|| (target.run)(seed)).unwrap_or(false) {
                    failures.push(format!("{}: seed {index}", target.name));
                }
            }
            for round in 0..target.rounds / 500 {
                let input = mutate::round(&seeds, round);
                if catch_unwind(|| (target.run)(&input)).is_err() {
                    failures.push(format!("{}: round {round}", target.name));
                }
            }
        }
        assert!(failures.is_empty(), "{failures:#?}");
    }

    #[test]
    fn every_target_is_one_of_cargo_fuzz_too() {
        let manifest = include_str!("../Cargo.toml");
        for target in TARGETS {
            assert!(manifest.contains(&format!("name = \"{}\"\n", target.name)), "{}", target.name);
        }
        assert_eq!(manifest.matches("required-features = [\"libfuzzer\"]").count(), TARGETS.len());
    }
}
