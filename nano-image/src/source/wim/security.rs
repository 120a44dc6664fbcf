//! Checks security descriptors.

/// Says what is wrong with a self-relative security descriptor ([MS-DTYP] 2.4.6), `None` if nothing: Windows would
/// call a volume with it damaged.
pub(super) fn fault(descriptor: &[u8]) -> Option<&'static str> {
    const SELF_RELATIVE: u16 = 0x8000;
    let Some((header, _)) = descriptor.split_first_chunk::<20>() else {
        return Some("shorter than its header");
    };
    if header[0] != 1 {
        return Some("unknown revision");
    }
    if u16::from_le_bytes([header[2], header[3]]) & SELF_RELATIVE == 0 {
        return Some("not self-relative");
    }
    let part = |at: usize| {
        let offset = u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]) as usize;
        match offset {
            0 => Some(None),
            1..20 => None,
            _ => descriptor.get(offset..).map(Some),
        }
    };
    let (owner, group, sacl, dacl) = (part(4), part(8), part(12), part(16));
    for sid in [owner, group] {
        match sid {
            Some(None) => {}
            Some(Some(sid)) if is_sid(sid) => {}
            _ => return Some("bad owner or group"),
        }
    }
    for acl in [sacl, dacl] {
        match acl {
            Some(None) => {}
            Some(Some(acl)) if is_acl(acl) => {}
            _ => return Some("bad access control list"),
        }
    }
    None
}

/// Whether a SID ([MS-DTYP] 2.4.2.2) is at the start of `bytes`.
fn is_sid(bytes: &[u8]) -> bool {
    const MAX_SUB_AUTHORITIES: u8 = 15;
    matches!(bytes, [1, count @ 0..=MAX_SUB_AUTHORITIES, ..] if bytes.len() >= 8 + 4 * usize::from(*count))
}

/// Whether an ACL ([MS-DTYP] 2.4.5) with whole entries is at the start of `bytes`.
fn is_acl(bytes: &[u8]) -> bool {
    let [2 | 4, _, len_low, len_high, count_low, count_high, ..] = *bytes else {
        return false;
    };
    let len = usize::from(u16::from_le_bytes([len_low, len_high]));
    let Some(mut entries) = bytes.get(8..len) else {
        return false;
    };
    for _ in 0..u16::from_le_bytes([count_low, count_high]) {
        let [_, _, len_low, len_high, ..] = *entries else {
            return false;
        };
        let len = usize::from(u16::from_le_bytes([len_low, len_high]));
        match entries.split_at_checked(len) {
            Some((_, rest)) if len >= 4 => entries = rest,
            _ => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Owner S-1-1-0, a DACL with one entry for it.
    fn descriptor() -> Vec<u8> {
        let sid = [1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
        let mut bytes = vec![1, 0, 4, 0x80, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0, 0];
        bytes.extend(sid);
        bytes.extend([2, 0, 28, 0, 1, 0, 0, 0]);
        bytes.extend([0, 0, 20, 0, 0xff, 1, 0x1f, 0]);
        bytes.extend(sid);
        bytes
    }

    #[test]
    fn good_descriptors_pass() {
        assert_eq!(fault(&descriptor()), None);
        let mut bare = vec![1, 0, 0, 0x80];
        bare.resize(20, 0);
        assert_eq!(fault(&bare), None);
    }

    #[test]
    fn bad_descriptors_do_not() {
        let good = descriptor();
        for len in 0..good.len() {
            assert!(fault(&good[..len]).is_some(), "{len}");
        }
        for (at, value) in [(0, 2), (3, 0), (4, 19), (16, 200), (20, 2), (21, 16), (32, 3), (34, 7), (36, 2), (42, 3)] {
            let mut bad = good.clone();
            bad[at] = value;
            assert!(fault(&bad).is_some(), "{at}");
        }
    }
}
