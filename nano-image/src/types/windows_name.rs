//! Which file names Windows programs accept unchanged.

/// Names of devices, reserved also with an extension ("Naming Files, Paths, and Namespaces" on learn.microsoft.com).
const DEVICES: [&str; 6] = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"];
/// Devices whose name ends in a digit.
const NUMBERED: [&str; 2] = ["COM", "LPT"];

/// Why Windows programs would not take `text` as the name of a file; `None` if they would. Reasons are a character with
/// a special meaning, a dot or space at the end, and the name of a device.
pub(crate) fn windows_name_fault(text: &str) -> Option<String> {
    let special = |c: char| c < ' ' || r#"<>:"/\|?*"#.contains(c);
    if let Some(c) = text.chars().find(|&c| special(c)) {
        return Some(format!("has the character {c:?}"));
    }
    if text.is_empty() || text.ends_with(['.', ' ']) {
        return Some("is empty or ends in a dot or space".to_owned());
    }
    let base = text.split('.').next().unwrap_or_default().trim_end_matches(' ').to_uppercase();
    let numbered = |device: &&str| {
        let digit = base.strip_prefix(*device).unwrap_or_default();
        matches!(digit, "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³")
    };
    let is_device = DEVICES.contains(&base.as_str()) || NUMBERED.iter().any(numbered);
    is_device.then(|| "is the name of a device".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_windows_reads_otherwise_are_refused() {
        let refused = [
            "",
            ".",
            "..",
            "a.",
            "a ",
            "C:evil.txt",
            "a/b",
            r"a\b",
            "a:b",
            "what?",
            "a*",
            "\u{7}",
            "NUL",
            "nul.txt",
            "Con",
            "aux .h",
            "com1",
            "Com0.x",
            "LPT9.log",
            "COM²",
            "conin$",
        ];
        for name in refused {
            assert!(windows_name_fault(name).is_some(), "{name:?}");
        }
        for name in ["a", "...a", " a", "com", "com10", "console", "nul1", "auxiliary.h", "漢字", "semi;colon", "a.b.c"]
        {
            assert_eq!(windows_name_fault(name), None, "{name:?}");
        }
    }
}
