//! Accounts: security identifiers ([MS-DTYP] 2.4.2.2) and their text.

/// The account SYSTEM.
pub(super) const SYSTEM: [u8; 12] = [1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0];
/// Stands for the owner of the object that inherits an entry.
pub(super) const CREATOR_OWNER: [u8; 12] = [1, 1, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0];
/// Stands for the group of the object that inherits an entry.
pub(super) const CREATOR_GROUP: [u8; 12] = [1, 1, 0, 0, 0, 0, 0, 3, 1, 0, 0, 0];

/// The most sub-authorities that an identifier can have.
const MAX_NUMBERS: usize = 15;

/// Well-known accounts by their two letters ([MS-DTYP] 2.5.1.1 and sddl.h): authority and sub-authorities.
const ALIASES: [(&str, u8, &[u32]); 48] = [
    ("WD", 1, &[0]),
    ("CO", 3, &[0]),
    ("CG", 3, &[1]),
    ("OW", 3, &[4]),
    ("NU", 5, &[2]),
    ("IU", 5, &[4]),
    ("SU", 5, &[6]),
    ("AN", 5, &[7]),
    ("ED", 5, &[9]),
    ("PS", 5, &[10]),
    ("AU", 5, &[11]),
    ("RC", 5, &[12]),
    ("SY", 5, &[18]),
    ("LS", 5, &[19]),
    ("NS", 5, &[20]),
    ("WR", 5, &[33]),
    ("UD", 5, &[84, 0, 0, 0, 0, 0]),
    ("BA", 5, &[32, 544]),
    ("BU", 5, &[32, 545]),
    ("BG", 5, &[32, 546]),
    ("PU", 5, &[32, 547]),
    ("AO", 5, &[32, 548]),
    ("SO", 5, &[32, 549]),
    ("PO", 5, &[32, 550]),
    ("BO", 5, &[32, 551]),
    ("RE", 5, &[32, 552]),
    ("RU", 5, &[32, 554]),
    ("RD", 5, &[32, 555]),
    ("NO", 5, &[32, 556]),
    ("MU", 5, &[32, 558]),
    ("LU", 5, &[32, 559]),
    ("IS", 5, &[32, 568]),
    ("CY", 5, &[32, 569]),
    ("CD", 5, &[32, 574]),
    ("ER", 5, &[32, 573]),
    ("RA", 5, &[32, 575]),
    ("ES", 5, &[32, 576]),
    ("MS", 5, &[32, 577]),
    ("HA", 5, &[32, 578]),
    ("AA", 5, &[32, 579]),
    ("RM", 5, &[32, 580]),
    ("AC", 15, &[2, 1]),
    ("LW", 16, &[4096]),
    ("ME", 16, &[8192]),
    ("MP", 16, &[8448]),
    ("HI", 16, &[12288]),
    ("SI", 16, &[16384]),
    ("AS", 18, &[1]),
];

/// The identifier that `text` stands for: two letters of a well-known account, or `S-1-…`.
pub(super) fn parse(text: &str) -> Option<Vec<u8>> {
    if let Some((_, authority, numbers)) = ALIASES.iter().find(|(alias, ..)| *alias == text) {
        return Some(assemble((*authority).into(), numbers));
    }
    let mut numbers = text.strip_prefix("S-1-").or(text.strip_prefix("s-1-"))?.split('-');
    let authority = numbers.next()?.parse::<u64>().ok().filter(|authority| *authority < 1 << 48)?;
    let numbers = numbers.map(|number| number.parse().ok()).collect::<Option<Vec<u32>>>()?;
    (1..=MAX_NUMBERS).contains(&numbers.len()).then(|| assemble(authority, &numbers))
}

/// The text of an identifier: its two letters if it is well-known, else `S-1-…`.
pub(super) fn text(sid: &[u8]) -> Option<String> {
    let authority = sid.get(2..8)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    let words = sid.get(8..)?.chunks_exact(4);
    let numbers: Vec<u32> = words.map(|word| u32::from_le_bytes(word.try_into().expect("4 bytes"))).collect();
    let known = ALIASES.iter().find(|(_, known, its)| u64::from(*known) == authority && *its == numbers);
    if let Some((alias, ..)) = known {
        return Some((*alias).to_owned());
    }
    let numbers: String = numbers.iter().map(|number| format!("-{number}")).collect();
    Some(format!("S-{}-{authority}{numbers}", sid[0]))
}

/// The identifier at the start of `bytes`.
pub(super) fn at_start(bytes: &[u8]) -> Option<&[u8]> {
    match bytes {
        [1, count, ..] if usize::from(*count) <= MAX_NUMBERS => bytes.get(..8 + 4 * usize::from(*count)),
        _ => None,
    }
}

fn assemble(authority: u64, numbers: &[u32]) -> Vec<u8> {
    let mut bytes = vec![1, numbers.len() as u8];
    bytes.extend_from_slice(&authority.to_be_bytes()[2..]);
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    bytes
}
