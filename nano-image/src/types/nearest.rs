//! The name that a mistyped one may mean.

/// Longer names are compared up to this number of characters.
const MAX_COMPARED: usize = 100;

/// The name that contains `wanted`, or else the one with the fewest slips (characters that are missing, wrong, too many
/// or swapped), if they are few. Of equally good names the shortest wins. Letter case does not count.
///
/// ```
/// assert_eq!(nano_image::nearest("vhdz", ["raw", "vhdx", "vhd"]), Some("vhd"));
/// ```
pub fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let compared = |text: &str| text.to_lowercase().chars().take(MAX_COMPARED).collect::<String>();
    let wanted = compared(wanted);
    let len = wanted.chars().count();
    let scored = names.into_iter().filter(|name| !name.is_empty()).map(|name| {
        let lower = compared(name);
        let contains = len > 1 && lower.contains(&wanted);
        let slips = if contains { 0 } else { strsim::osa_distance(&lower, &wanted) };
        (slips, name.len(), name)
    });
    let (slips, _, name) = scored.min_by_key(|(slips, len, _)| (*slips, *len))?;
    (slips <= len / 3).then_some(name)
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
        assert_eq!(nearest("x", ["", "index"]), None);
        assert_eq!(nearest("", names), None);
    }

    #[test]
    fn slips_are_forgiven_and_strangers_are_not() {
        let names = ["wim", "image", "output", "computer-name", "label", "vhdx", "vhd"];
        for (wrong, right) in [
            ("wmi", "wim"),
            ("imgae", "image"),
            ("Computer_Name", "computer-name"),
            ("lable", "label"),
            ("wi", "wim"),
            ("vhdz", "vhd"),
        ] {
            assert_eq!(nearest(wrong, names), Some(right), "{wrong}");
        }
        for wrong in ["", "colour", "x"] {
            assert_eq!(nearest(wrong, names), None, "{wrong}");
        }
    }
}
