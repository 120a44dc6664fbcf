//! "Did you mean …?"

/// The name most like `wrong`, if one is: the beginning counts more, and any single slip is forgiven.
pub fn nearest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = wrong.to_lowercase().replace('_', "-");
    let score = |name: &str| match strsim::damerau_levenshtein(&wrong, name) {
        0 | 1 => 1.0,
        _ => strsim::jaro_winkler(&wrong, name),
    };
    let scored = names.into_iter().map(|name| (score(name), name));
    scored.filter(|(score, _)| *score > 0.8).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_forgiven_and_strangers_are_not() {
        let names = ["wim", "image", "output", "computer-name", "label"];
        for (wrong, right) in
            [("wmi", "wim"), ("imgae", "image"), ("Computer_Name", "computer-name"), ("lable", "label"), ("wi", "wim")]
        {
            assert_eq!(nearest(wrong, names), Some(right), "{wrong}");
        }
        for wrong in ["", "colour", "x"] {
            assert_eq!(nearest(wrong, names), None, "{wrong}");
        }
    }
}
