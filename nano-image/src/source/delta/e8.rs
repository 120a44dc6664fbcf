//! The filter for calls in i386 programs (§12). Before compression, relative distances were replaced by addresses; this
//! undoes it.

use super::pe::Pe;

/// Opcode of a call with a distance of 32 bits.
const CALL: u8 = 0xE8;

/// Undoes the filter in the finished result, if the result is a program for i386.
pub(super) fn undo(target: &mut [u8]) {
    if !Pe::parse(target).is_ok_and(|pe| pe.is_i386()) {
        return;
    }
    let Ok(len) = i32::try_from(target.len()) else { return };
    let mut at = 0;
    while at + 4 < target.len() {
        if target[at] != CALL {
            at += 1;
            continue;
        }
        let place = &mut target[at + 1..at + 5];
        let address = i32::from_le_bytes([place[0], place[1], place[2], place[3]]);
        // No program is so large that this position does not fit into an i32.
        let position = at as i32;
        if (-position..len).contains(&address) {
            let distance = if address >= 0 { address.wrapping_sub(position) } else { address.wrapping_add(len) };
            place.copy_from_slice(&distance.to_le_bytes());
        }
        at += 5;
    }
}
