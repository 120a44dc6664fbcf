//! Deltas that these tests write bit by bit, and damaged ones.

use proptest::prelude::*;

use super::*;
use crate::error::ErrorKind;

/// Writes bits, the lowest first.
#[derive(Default)]
struct Writer {
    bits: Vec<bool>,
}

impl Writer {
    fn stream() -> Self {
        Self { bits: vec![false; 3] }
    }

    fn put(&mut self, value: u64, count: u32) -> &mut Self {
        self.bits.extend((0..count).map(|bit| value >> bit & 1 == 1));
        self
    }

    /// A code: its bits are written highest first.
    fn code(&mut self, code: u64, count: u32) -> &mut Self {
        self.bits.extend((0..count).rev().map(|bit| code >> bit & 1 == 1));
        self
    }

    fn number(&mut self, value: u64) -> &mut Self {
        let digits = (1..8).find(|digits| value >> (4 * digits) == 0).unwrap_or(8) - 1;
        self.put(1 << digits, digits + 1).put(value, 4 * (digits + 1))
    }

    fn buffer(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(bytes.len() as u64);
        self.bits.resize(self.bits.len().next_multiple_of(8), false);
        bytes.iter().for_each(|byte| {
            self.put(u64::from(*byte), 8);
        });
        self
    }

    fn finish(&self) -> Vec<u8> {
        let mut bits = self.bits.clone();
        let padding = bits.len().next_multiple_of(8) - bits.len();
        (0..3).for_each(|bit| bits[bit] = padding >> bit & 1 == 1);
        bits.chunks(8).map(|bits| bits.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit))).collect()
    }

    /// The code for `symbol` of `count` if all have nearly the same length. Later symbols have the longer codes, which
    /// are the lower numbers.
    fn flat(&mut self, symbol: usize, count: usize) -> &mut Self {
        let bits = count.next_power_of_two().ilog2();
        let short = (1 << bits) - count;
        match symbol < short {
            true => self.code(((count - short) / 2 + symbol) as u64, bits - 1),
            false => self.code((symbol - short) as u64, bits),
        }
    }

    fn literals(&mut self, text: &[u8]) -> &mut Self {
        text.iter().for_each(|byte| {
            self.flat((*byte).into(), 600);
        });
        self
    }
}

/// A manifest's delta, with the numbers of its header: types, flags, length, hash algorithm.
fn manifest(len: usize, patch: &Writer) -> Vec<u8> {
    delta([1, 1, 0x20000, len as u64, 0], &[], &[], patch)
}

fn delta(numbers: [u64; 5], hash: &[u8], preprocessing: &[u8], patch: &Writer) -> Vec<u8> {
    let mut outer = Writer::stream();
    numbers.into_iter().for_each(|number| {
        outer.number(number);
    });
    outer.buffer(hash).buffer(preprocessing).buffer(&patch.finish());
    [DCM, b"PA30\x80\x16\xd7\xd5\xde\xb1\x9d\x01", &outer.finish()].concat()
}

const DCM: &[u8] = b"DCM\x01";

/// A patch without a rift table, with codes of nearly the same length.
fn flat_patch() -> Writer {
    let mut patch = Writer::stream();
    patch.put(0, 1).put(1, 1);
    patch
}

const SOURCE: &[u8] = b"<assembly><dependency/><file name=\"\"/></assembly>";

#[test]
fn plain_manifests_stay_as_they_are() {
    assert_eq!(*expand_manifest(b"<?xml", b"").unwrap(), *b"<?xml");
    assert!(!is_compressed(b"DC") && is_compressed(b"DCS\x01"));
}

#[test]
fn copies_from_everywhere() {
    let mut patch = flat_patch();
    let len = SOURCE.len();
    // The same offset of the source, 10 bytes: slot 3, length by the code for lengths (2 + 8).
    patch.flat(256 + 8 * 3, 600).flat(2, 256);
    patch.literals(b"XY");
    // Two bytes further in the source, 2 bytes: slot 0 with 0x2000 - 2.
    patch.flat(256 + 1, 600).put(0x2000 - 2, 14);
    // The result from 4 bytes before, 8 bytes, overlapping: slot 7 + 4 (distance class 4: 2 << 1 | bit).
    patch.flat(256 + 8 * 11 + 7, 600).put(0, 1);
    // The distance before that (slot 4 + 1 is now the second last), 4 bytes.
    patch.flat(256 + 8 * 5 + 3, 600);
    // A class with a code for the low bits: class 12 is 2 << 5 | bits = 64 + (high bit) 16 * 0 + 5: distance 69.
    patch.flat(256 + 8 * 19 + 4, 600).put(0, 1).flat(5, 16);
    // A long overlapping copy: 8 low bits below an implied bit, plus 8; from one byte before: class 1.
    patch.flat(256 + 8 * 8, 600).flat(0, 256).put(1, 1).put(7, 8);
    let mut want = SOURCE[..10].to_vec();
    want.extend(b"XY");
    want.extend(&SOURCE[14..16]);
    (0..8).for_each(|_| want.push(want[want.len() - 4]));
    // Distance len - 2 from position 22.
    want.extend(&SOURCE[24..28]);
    let all = [SOURCE, &want].concat();
    want.extend(&all[all.len() - 69..all.len() - 64]);
    want.extend(vec![want[want.len() - 1]; 256 + 7 + 8]);
    assert_eq!(len, 49);
    let file = manifest(want.len(), &patch);
    assert_eq!(String::from_utf8_lossy(&expand_manifest(&file, SOURCE).unwrap()), String::from_utf8_lossy(&want));
    // The last copy may be longer than the rest of the result.
    let file = manifest(want.len() - 100, &patch);
    assert_eq!(*expand_manifest(&file, SOURCE).unwrap(), want[..want.len() - 100]);
}

#[test]
fn far_slots() {
    let source: Vec<u8> = (0..0x30_000u32).map(|index| ((index * 7919) >> 5) as u8).collect();
    let mut patch = flat_patch();
    patch.flat(256 + 8 + 7, 600).put(0x8000 - 0x2001, 16); // 0x4001 bytes further
    patch.flat(256 + 16 + 7, 600).put(0x20000 - 0x1000, 18); // 0xB000 bytes further
    let file = manifest(16, &patch);
    let want = [&source[0x4001..][..8], &source[0xB008..][..8]].concat();
    assert_eq!(*expand_manifest(&file, &source).unwrap(), want);
}

#[test]
fn codes_of_segments() {
    let mut patch = Writer::stream();
    patch.put(0, 1).put(0, 1).number(2).number(SOURCE.len() as u64).number(2);
    // The code for lengths has 2 bits for each of 0, 1, 17 (one more than before) and 38 (64 to 127 as before).
    for symbol in 0..39 {
        patch.put(if [0, 1, 17, 38].contains(&symbol) { 2 } else { 0 }, 4);
    }
    let put = |patch: &mut Writer, symbols: &[u64]| {
        symbols.iter().for_each(|symbol| {
            patch.code(*symbol, 2);
        });
    };
    // First segment: `a` and `b` have codes of 1 bit.
    let mut lengths = vec![0u64; 872];
    (lengths[97], lengths[98]) = (1, 1);
    put(&mut patch, &lengths);
    // Second segment: 97 as before, one more for `a` and `b`, 1 for `c`, and the rest as before.
    patch.code(3, 2).put(97 - 64, 6);
    patch.code(2, 2).code(2, 2).code(1, 2);
    let left = 872 - 100;
    for run in [127, 127, 127, 127, 127, 127] {
        patch.code(3, 2).put(run - 64, 6);
    }
    put(&mut patch, &vec![0; left - 6 * 127]);
    // `a` is 0 and `b` 1; then `c` is 1, `a` 00, `b` 01.
    patch.code(0, 1).code(1, 1).code(1, 1).code(0, 2).code(1, 2);
    let file = manifest(5, &patch);
    assert_eq!(*expand_manifest(&file, SOURCE).unwrap(), *b"abcab");
}

#[test]
fn what_is_not_read_is_named() {
    let patch = flat_patch();
    let fails = |file: &[u8], kind, message: &str| {
        let error = expand_manifest(file, SOURCE).unwrap_err();
        assert!(error.kind() == kind && error.message().contains(message) && error.offset().is_some(), "{error}");
    };
    fails(b"DCS\x01", ErrorKind::Unsupported, "DCS");
    fails(b"DCM\x01PA30", ErrorKind::Corrupt, "truncated");
    fails(b"DCM\x01PA1701234567890", ErrorKind::Corrupt, "not a PA30");
    fails(&delta([1, 3, 0, 1, 0], &[], &[], &patch), ErrorKind::Unsupported, "type 0x3");
    fails(&delta([0x101, 1, 0, 1, 0], &[], &[], &patch), ErrorKind::Unsupported, "reverse");
    fails(&delta([1, 1, 0, 1, 0x8001], &[7; 16], &[], &patch), ErrorKind::Unsupported, "algorithm 0x8001");
    fails(&delta([1, 1, 0, 1, 0x8003], &[7; 15], &[], &patch), ErrorKind::Corrupt, "15 bytes instead of 16");
    fails(&delta([1, 1, 0, 1, 0], &[7; 16], &[], &patch), ErrorKind::Corrupt, "without an algorithm");
    fails(&delta([1, 1, 0, 1, 0], &[], &[1], &patch), ErrorKind::Unsupported, "preprocessing");
    fails(b"DCM\x01PA19", ErrorKind::Unsupported, "PA19");
    fails(&manifest(1, &patch), ErrorKind::Corrupt, "truncated");
    fails(&manifest(1 << 30, &patch), ErrorKind::Corrupt, "more than");
    fails(&manifest(9, flat_patch().flat(256 + 8 * 4, 600).flat(1, 256)), ErrorKind::Corrupt, "before the basis");
    fails(&manifest(9, flat_patch().flat(256, 600).put(0, 14).flat(1, 256)), ErrorKind::Corrupt, "before the basis");
    let many = manifest(1, Writer::stream().put(0, 2).number(0x1_0001));
    fails(&many, ErrorKind::Unsupported, "segments");
    fails(&manifest(0, flat_patch().put(1, 1)), ErrorKind::Corrupt, "left over");
    let mut text = flat_patch();
    let whole = manifest(SOURCE.len(), text.literals(SOURCE));
    assert_eq!(*expand_manifest(&whole, SOURCE).unwrap(), *SOURCE);
    for len in 4..whole.len() {
        fails(&whole[..len], ErrorKind::Corrupt, "truncated");
    }
}

/// The delta that produces an empty result, with its hash in hexadecimal.
fn of_nothing(algorithm: u64, hash: &str) -> Vec<u8> {
    let hash: Vec<u8> =
        (0..hash.len()).step_by(2).map(|at| u8::from_str_radix(&hash[at..at + 2], 16).unwrap()).collect();
    delta([1, 1, 0x20000, 0, algorithm], &hash, &[], &flat_patch())[DCM.len()..].to_vec()
}

#[test]
fn hashes_of_results() {
    let hashes = [
        (0x8003, HashAlgorithm::Md5, "d41d8cd98f00b204e9800998ecf8427e"),
        (0x8004, HashAlgorithm::Sha1, "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        (0x800C, HashAlgorithm::Sha256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ];
    for (number, algorithm, hash) in hashes {
        let delta = of_nothing(number, hash);
        assert_eq!(apply(b"", &delta, ByteSize::new(0)).unwrap(), b"");
        let header = header(&delta).unwrap();
        assert_eq!(header.target_hash.as_ref().unwrap().algorithm, algorithm);
        assert_eq!(format!("{:?}", header.target_hash.as_ref().unwrap()), format!("{algorithm:?} {hash}"));
        assert!(header.flags == 0x20000 && header.target_size == ByteSize::new(0));
        let error = apply(b"", &of_nothing(number, &hash.replace('e', "f")), ByteSize::new(0)).unwrap_err();
        assert!(error.message().contains("does not have the hash"), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_patch_gives_a_result_or_an_error(bits in prop::collection::vec(any::<bool>(), 2..4000), flat in any::<bool>()) {
        let mut patch = Writer::stream();
        patch.put(0, 1).put(u64::from(flat), 1);
        if !flat {
            patch.number(2).number(9).number(9);
        }
        patch.bits.extend(bits);
        let _ = expand_manifest(&manifest(5000, &patch), SOURCE);
    }

    #[test]
    fn any_bytes_give_a_result_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = expand_manifest(&[&b"DCM\x01PA30"[..], &bytes].concat(), SOURCE);
    }
}
