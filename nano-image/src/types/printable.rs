//! Text from strangers, made safe to show.

/// `text` with escapes for all characters that are not [shown](is_shown). Names in other people's files must not
/// control a terminal or look like other names.
///
/// ```
/// assert_eq!(nano_image::printable("web\u{1b}[2J"), r"web\u{1b}[2J");
/// ```
pub fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        match is_shown(character) {
            true => printable.push(character),
            false => printable.extend(character.escape_default()),
        }
    }
    printable
}

/// Whether a character is visible as itself and changes nothing around it. Control characters, marks of writing
/// direction and characters without a width are not (Unicode's `Cc`, `Bidi_Control` and `Default_Ignorable_Code_Point`,
/// line and paragraph separators).
///
/// ```
/// assert!(nano_image::is_shown('é') && !nano_image::is_shown('\u{202e}'));
/// ```
pub fn is_shown(character: char) -> bool {
    !character.is_control()
        && !matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_they_seem() {
        for (name, shown) in [
            ("a\x1b[2Jb\nc", r"a\u{1b}[2Jb\nc"),
            ("\u{9b}2J", r"\u{9b}2J"),
            ("gpj.\u{202e}exe", r"gpj.\u{202e}exe"),
            ("a\u{200b}\u{feff}\u{2028}\u{2066}\u{ad}", r"a\u{200b}\u{feff}\u{2028}\u{2066}\u{ad}"),
            ("tag\u{e0041}", r"tag\u{e0041}"),
            ("é 日本 e\u{301} 👍 \u{a0}", "é 日本 e\u{301} 👍 \u{a0}"),
        ] {
            assert_eq!(printable(name), shown);
        }
    }
}
