//! The name that a mistyped one may mean.

/// Characters compared.
const MAX_COMPARED: usize = 100;

/// The name that contains `wanted` or is most like it, if one is like it; letter case does not count.
pub fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted: Vec<char> = wanted.to_lowercase().chars().take(MAX_COMPARED).collect();
    let scored = names.into_iter().filter(|name| !name.is_empty()).map(|name| {
        let lower: Vec<char> = name.to_lowercase().chars().take(MAX_COMPARED).collect();
        let contains = !wanted.is_empty() && lower.windows(wanted.len()).any(|part| part == wanted);
        let distance = if contains { 0 } else { edit_distance(&lower, &wanted) };
        (distance, name)
    });
    let (distance, name) = scored.min_by_key(|(distance, _)| *distance)?;
    (distance <= wanted.len() / 3).then_some(name)
}

/// Number of characters to insert, delete or replace to get from one text to the other (Levenshtein).
fn edit_distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_if_one_is_near() {
        let names = ["Microsoft-NanoServer-IIS-Package", "Microsoft-NanoServer-DNS-Package", "ServerStandardNano"];
        assert_eq!(nearest("dns", names), Some(names[1]));
        assert_eq!(nearest("Microsoft-NanoServer-ISS-Package", names), Some(names[0]));
        assert_eq!(nearest("ServerStandartNano", names), Some(names[2]));
        assert_eq!(nearest("something", names), None);
        assert_eq!(nearest("x", [""]), None);
        assert_eq!(nearest("", names), None);
    }
}
