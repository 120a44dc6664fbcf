//! Dirty hives, with logs that the tests make.

use proptest::prelude::*;

use super::format::*;
use super::log::marvin32;
use super::*;
use crate::types::FileTime;

/// A hive of minor version 5 and the same hive after an edit that adds bins.
fn before_and_after() -> (Vec<u8>, Vec<u8>) {
    let mut hive = Hive::new(FileTime(1), &HiveOptions::default()).unwrap();
    let key = hive.create_key(hive.root(), r"a\b").unwrap();
    hive.set_value(key, "x", Value::dword(1)).unwrap();
    // In bins that the edit does not touch.
    hive.set_value(key, "still", Value::binary(vec![3; 16_000])).unwrap();
    let before = hive.into_bytes();
    let mut hive = Hive::parse(before.clone()).unwrap();
    let key = hive.find(r"a\b").unwrap();
    hive.set_value(key, "x", Value::dword(2)).unwrap();
    hive.set_value(key, "long", Value::binary(vec![7; 9000])).unwrap();
    (before, hive.into_bytes())
}

fn set_u32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

fn seal(base: &mut [u8]) {
    let sum = checksum(base);
    set_u32(base, CHECKSUM_COVERS, sum);
}

/// The hive in the state that an interrupted write leaves behind.
fn dirty(clean: &[u8]) -> Vec<u8> {
    let mut bytes = clean.to_vec();
    set_u32(&mut bytes, 4, 2);
    set_u32(&mut bytes, 8, 1);
    seal(&mut bytes);
    bytes
}

fn base_of_log(clean: &[u8], file_type: u32, sequence: u32) -> Vec<u8> {
    let mut log = clean[..LOG_SECTOR].to_vec();
    set_u32(&mut log, 4, sequence);
    set_u32(&mut log, 8, sequence);
    set_u32(&mut log, 0x1C, file_type);
    seal(&mut log);
    log
}

/// A log entry with the pages of `after` that differ from `before`.
fn new_entry(before: &[u8], after: &[u8], sequence: u32) -> Vec<u8> {
    let pages: Vec<usize> = (BASE_BLOCK_LEN..after.len())
        .step_by(4096)
        .filter(|at| before.get(*at..at + 4096) != after.get(*at..at + 4096))
        .collect();
    let mut entry = [&HVLE[..], &[0; 36]].concat();
    set_u32(&mut entry, 12, sequence);
    set_u32(&mut entry, 16, (after.len() - BASE_BLOCK_LEN) as u32);
    set_u32(&mut entry, 20, pages.len() as u32);
    for at in &pages {
        entry.extend(((at - BASE_BLOCK_LEN) as u32).to_le_bytes());
        entry.extend(4096_u32.to_le_bytes());
    }
    for at in pages {
        entry.extend(&after[at..at + 4096]);
    }
    entry.resize(entry.len().next_multiple_of(LOG_SECTOR), 0);
    let len = entry.len() as u32;
    set_u32(&mut entry, 4, len);
    let body = marvin32(MARVIN_SEED, &entry[40..]);
    entry[24..32].copy_from_slice(&body.to_le_bytes());
    let head = marvin32(MARVIN_SEED, &entry[..32]);
    entry[32..40].copy_from_slice(&head.to_le_bytes());
    entry
}

fn old_log(before: &[u8], after: &[u8], sequence: u32) -> Vec<u8> {
    let mut log = base_of_log(after, 1, sequence);
    log.extend(DIRT);
    let bins = &after[BASE_BLOCK_LEN..];
    let dirty: Vec<bool> = (0..bins.len() / LOG_SECTOR)
        .map(|sector| BASE_BLOCK_LEN + sector * LOG_SECTOR)
        .map(|at| before.get(at..at + LOG_SECTOR) != after.get(at..at + LOG_SECTOR))
        .collect();
    log.extend(dirty.chunks(8).map(|bits| bits.iter().rev().fold(0u8, |byte, bit| byte << 1 | u8::from(*bit))));
    log.resize(log.len().next_multiple_of(LOG_SECTOR), 0);
    for (sector, _) in dirty.iter().enumerate().filter(|(_, dirty)| **dirty) {
        log.extend(&bins[sector * LOG_SECTOR..][..LOG_SECTOR]);
    }
    log
}

/// Checks that both have the same bins and that the hive is clean.
fn assert_recovered(hive: Hive, after: &[u8]) {
    let bytes = hive.into_bytes();
    assert!(bytes[BASE_BLOCK_LEN..] == after[BASE_BLOCK_LEN..]);
    assert!(!Hive::is_dirty(&bytes).unwrap());
    Hive::parse(bytes).unwrap();
}

#[test]
fn the_hash_is_marvin32() {
    // Test vectors of the .NET runtime.
    const SEED: u64 = 0x004F_B61A_001B_DBCC;
    assert_eq!(marvin32(SEED, &[]), 0x30ED_35C1_00CD_3C7D);
    assert_eq!(marvin32(SEED, &[0xAF]), 0x48E7_3FC7_7D75_DDC1);
    assert_eq!(marvin32(SEED, &[0xE7, 0x0F]), 0xB5F6_E1FC_485D_BFF8);
}

#[test]
fn a_dirty_hive_is_refused_without_logs() {
    let (before, _) = before_and_after();
    let bytes = dirty(&before);
    for result in [Hive::parse(bytes.clone()), Hive::recover(bytes.clone(), &[]), Hive::recover(bytes, &[&[], b"x"])] {
        let error = result.map(drop).unwrap_err();
        assert!(error.to_string().contains("dirty") && error.hint().unwrap().contains(".LOG1"), "{error}");
    }
}

#[test]
fn a_clean_hive_ignores_logs() {
    let (before, after) = before_and_after();
    let log = [base_of_log(&before, TYPE_LOG, 1), new_entry(&before, &after, 1)].concat();
    assert!(Hive::recover(before.clone(), &[&log]).unwrap().into_bytes() == before);
}

#[test]
fn entries_are_replayed_in_sequence_from_both_logs() {
    let (before, after) = before_and_after();
    let mut middle = after.clone();
    middle[BASE_BLOCK_LEN + 4096..BASE_BLOCK_LEN + 8192].fill(0xEE);
    let mut old = before.clone();
    old[BASE_BLOCK_LEN + 8192..BASE_BLOCK_LEN + 12_288].fill(9);
    let stale = [base_of_log(&before, TYPE_LOG, 0), new_entry(&before, &old, 0)].concat();
    let first = [base_of_log(&before, TYPE_LOG, 1), new_entry(&before, &middle, 1)].concat();
    let second = [base_of_log(&before, TYPE_LOG, 2), new_entry(&middle, &after, 2)].concat();
    let both = [&first[..], &new_entry(&middle, &after, 2)].concat();
    let bytes = dirty(&before);
    assert_recovered(Hive::recover(bytes.clone(), &[&second, &first]).unwrap(), &after);
    assert_recovered(Hive::recover(bytes.clone(), &[&both, &stale]).unwrap(), &after);
    // An entry out of sequence is not applied, so the hive stays as damaged as after the first one.
    let gap = [&first[..], &new_entry(&middle, &after, 3)].concat();
    assert!(Hive::recover(bytes.clone(), &[&gap]).is_err());
    // An incomplete entry ends the log.
    let torn = [&first[..], &new_entry(&middle, &after, 2)[..1024]].concat();
    assert!(Hive::recover(bytes, &[&torn]).is_err());
}

#[test]
fn a_lost_base_block_comes_from_the_log() {
    let (before, after) = before_and_after();
    let mut bytes = dirty(&before);
    bytes[0x24..0x40].fill(0xFF);
    let log = [base_of_log(&before, TYPE_LOG, 1), new_entry(&before, &after, 1)].concat();
    assert_recovered(Hive::recover(bytes.clone(), &[&log]).unwrap(), &after);
    assert_recovered(Hive::recover(bytes, &[&old_log(&before, &after, 2)]).unwrap(), &after);
}

#[test]
fn dirty_sectors_are_replayed_from_the_log_of_this_write() {
    let (before, after) = before_and_after();
    let bytes = dirty(&before);
    assert_recovered(Hive::recover(bytes.clone(), &[&old_log(&before, &after, 2), &[]]).unwrap(), &after);
    assert!(Hive::recover(bytes.clone(), &[&old_log(&before, &after, 1)]).is_err());
    let log = old_log(&before, &after, 2);
    assert!(Hive::recover(bytes, &[&log[..log.len() - 1]]).is_err());
}

proptest! {
    #[test]
    fn damaged_logs_never_panic(at in 0usize..20_000, byte in any::<u8>(), old in any::<bool>(), reseal in any::<bool>()) {
        let (before, after) = before_and_after();
        let mut log = match old {
            true => old_log(&before, &after, 2),
            false => [base_of_log(&before, TYPE_LOG, 1), new_entry(&before, &after, 1)].concat(),
        };
        let at = if reseal { at % 600 } else { at % log.len() };
        log[at] ^= byte;
        if reseal {
            seal(&mut log[..LOG_SECTOR]);
            let head = marvin32(MARVIN_SEED, &log[LOG_SECTOR..LOG_SECTOR + 32]);
            log[LOG_SECTOR + 32..LOG_SECTOR + 40].copy_from_slice(&head.to_le_bytes());
        }
        let _ = Hive::recover(dirty(&before), &[&log]);
    }
}
