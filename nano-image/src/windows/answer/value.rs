//! Whether Windows accepts a value.

use super::known::{self, Kind};
use crate::error::{Error, Result};
use crate::types::nearest;

/// Characters that the answer file reference forbids in ComputerName.
const FORBIDDEN: &str = r##" {|}~[\]^':;<=>?@!"#$%`()+/.,*&"##;
/// The most characters of a NetBIOS name.
const MAX_COMPUTER_NAME: usize = 15;
/// The longest name of an account, and the characters that it may not contain.
const MAX_ACCOUNT_NAME: usize = 20;
const NOT_IN_ACCOUNTS: &str = r#"/\[]:;|=,+*?<>""#;
/// Characters of a product key: five groups of five, with hyphens between them.
const KEY_GROUPS: [usize; 5] = [5; 5];

/// What is wrong with a value.
pub(super) struct Fault {
    /// What is wrong. The text follows the setting's name.
    pub what: String,
    pub hint: Option<String>,
    /// Whether Windows refuses it; otherwise it only may not be what was meant.
    pub is_refused: bool,
}

impl Fault {
    pub fn refused(what: impl Into<String>) -> Self {
        Self { what: what.into(), hint: None, is_refused: true }
    }

    pub fn told(what: impl Into<String>) -> Self {
        Self { is_refused: false, ..Self::refused(what) }
    }

    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// Checks the text of a setting, exactly as it is in the file: white space and line breaks count toward its length.
pub(super) fn check(kind: &Kind, whole: &str) -> Option<Fault> {
    let text = whole.trim();
    match kind {
        Kind::Any | Kind::Group(_) | Kind::Password => None,
        Kind::Text(max) => too_long(whole, *max),
        Kind::Needed(_) if text.is_empty() => {
            Some(Fault::refused("is empty").with_hint("give it a value, or leave the setting out"))
        }
        Kind::Needed(max) => too_long(whole, *max),
        Kind::ComputerName => match text {
            "" | "*" => None,
            name => check_computer_name(name).err().map(|error| {
                let fault = Fault::refused(format!("is not a name: {}", error.message()));
                Fault { hint: error.hint().map(str::to_owned), ..fault }
            }),
        },
        // What an empty value does is not documented; many templates contain one.
        _ if text.is_empty() => Some(Fault::told("is empty").with_hint("leave the setting out")),
        Kind::Flag => match text.to_ascii_lowercase().as_str() {
            "true" | "false" | "1" | "0" => None,
            _ => Some(Fault::refused(format!("is `{}`", shown(text))).with_hint("write true or false")),
        },
        Kind::Number(min, max) => {
            let number = text.parse::<i64>().ok().filter(|number| (*min..=*max).contains(number));
            let hint = match *max {
                i64::MAX => format!("write a number of {min} or more"),
                max => format!("write a number from {min} to {max}"),
            };
            number.is_none().then(|| Fault::refused(format!("is `{}`", shown(text))).with_hint(hint))
        }
        Kind::OneOf(words) => {
            let is_known = words.iter().any(|word| word.eq_ignore_ascii_case(text));
            let hint = match nearest(text, words.iter().copied()) {
                Some(near) => format!("did you mean `{near}`? Its values are {}", words.join(", ")),
                None => format!("its values are {}", words.join(", ")),
            };
            (!is_known).then(|| Fault::refused(format!("is `{}`", shown(text))).with_hint(hint))
        }
        Kind::AccountName => account_name(text),
        Kind::ProductKey => (!is_product_key(text)).then(|| {
            Fault::refused("is not a product key")
                .with_hint("a key is five groups of five letters and digits, with hyphens between them")
        }),
        Kind::TimeZone => (!known::is_time_zone(text)).then(|| {
            let hint = match known::nearest_time_zone(text) {
                Some(near) => format!("did you mean `{near}`?"),
                None => {
                    "use the names of Windows, e.g. `UTC` or `W. Europe Standard Time`; `tzutil /l` lists them".into()
                }
            };
            Fault::refused(format!("is `{}`, which no Windows knows", shown(text))).with_hint(hint)
        }),
        Kind::Locale | Kind::Language => locale(text),
    }
}

/// Refuses what is not a computer name, including `*`.
///
/// # Errors
/// [`Recipe`](crate::ErrorKind::Recipe) with a hint.
pub fn check_computer_name(name: &str) -> Result<()> {
    let refuse =
        |why: String, hint: &str| Err(Error::recipe(format!("the computer name `{name}` {why}")).with_hint(hint));
    let len = name.encode_utf16().count();
    if name.is_empty() {
        return refuse("is empty".into(), "give 1 to 15 characters, or `*` to let Windows choose at first boot");
    }
    if len > MAX_COMPUTER_NAME {
        return refuse(
            format!("has {len} characters, but at most {MAX_COMPUTER_NAME} are possible"),
            "NetBIOS allows no longer name",
        );
    }
    if let Some(bad) = name.chars().find(|c| FORBIDDEN.contains(*c) || c.is_control() || c.is_whitespace()) {
        let shown = if bad == ' ' { "a space".into() } else { format!("the character `{}`", bad.escape_debug()) };
        return refuse(format!("contains {shown}"), "use letters, digits and hyphens");
    }
    if name.bytes().all(|b| b.is_ascii_digit()) {
        return refuse("consists of digits alone".into(), "add a letter; otherwise DNS takes it for an address");
    }
    Ok(())
}

/// A value for a message, cut to at most 60 characters.
pub(super) fn shown(text: &str) -> String {
    const MOST: usize = 60;
    let text: String = text.escape_debug().to_string();
    match text.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

fn too_long(whole: &str, max: usize) -> Option<Fault> {
    let len = whole.encode_utf16().count();
    let trimmed = whole.trim().encode_utf16().count();
    (max > 0 && len > max).then(|| {
        let hint = match trimmed <= max {
            true => "white space and line breaks around the value count too: put it on one line with its tags",
            false => "put what it does into a script that is copied into the image, and call that",
        };
        Fault::refused(format!("has {len} characters; Windows takes {max} at most")).with_hint(hint)
    })
}

fn account_name(name: &str) -> Option<Fault> {
    let len = name.encode_utf16().count();
    if len > MAX_ACCOUNT_NAME {
        return Some(Fault::refused(format!("has {len} characters; Windows takes {MAX_ACCOUNT_NAME} at most")));
    }
    if let Some(bad) = name.chars().find(|c| NOT_IN_ACCOUNTS.contains(*c) || c.is_control()) {
        return Some(Fault::refused(format!("contains the character `{}`", bad.escape_debug())));
    }
    name.ends_with('.').then(|| Fault::refused("ends with a dot"))
}

fn is_product_key(text: &str) -> bool {
    let groups = text.split('-').map(|group| match group.bytes().all(|b| b.is_ascii_alphanumeric()) {
        true => group.len(),
        false => 0,
    });
    groups.eq(KEY_GROUPS)
}

/// Languages, `LANGUAGE:KEYBOARD` in hexadecimal digits, or with the identifiers of an input method.
fn locale(text: &str) -> Option<Fault> {
    let is_part = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b':' | b'{' | b'}'))
    };
    let is_fine = text.split([';', ',']).map(str::trim).all(is_part);
    (!is_fine).then(|| {
        Fault::told(format!("is `{}`, which is neither a language nor a keyboard", shown(text)))
            .with_hint("write e.g. `en-US`, or `0409:00000409` for an input locale; several with `;` between them")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(kind: &Kind, text: &str) -> bool {
        check(kind, text).is_some_and(|fault| fault.is_refused)
    }

    #[test]
    fn values_are_judged_by_their_kind() {
        let words = Kind::OneOf(&["Always", "Never"]);
        let cases: [(&Kind, &[&str], &[&str]); 7] = [
            (&Kind::Flag, &["true", "FALSE", "1", " true\n", ""], &["yes", "2", "tru"]),
            (&Kind::Number(1, 3), &["1", "3", "01", ""], &["0", "4", "a", "1.0", "99999999999999999999"]),
            (&words, &["Always", "never"], &["Sometimes"]),
            (
                &Kind::ProductKey,
                &["VDYBN-27WPP-V4HQT-9VMD4-VMK7H", "aaaaa-bbbbb-ccccc-ddddd-11111"],
                &[
                    "VDYBN27WPPV4HQT9VMD4VMK7H",
                    "VDYBN-27WPP-V4HQT-9VMD4",
                    "VDYBN-27WPP-V4HQT-9VMD4-VMK7H-VMK7H",
                    "%KEY%",
                    "VDYB!-27WPP-V4HQT-9VMD4-VMK7H",
                ],
            ),
            (&Kind::AccountName, &["web", "a b", "größe"], &["a/b", "x.", "a-name-of-twenty-one-c"]),
            (&Kind::ComputerName, &["*", "", "web-01"], &["a b", "12345", "a-name-of-16-abc"]),
            (&Kind::Needed(3), &["abc"], &["", " ", "abcd", "ab\n "]),
        ];
        for (kind, good, bad) in cases {
            for text in good {
                assert!(!is_refused(kind, text), "{kind:?} {text:?}");
            }
            for text in bad {
                assert!(is_refused(kind, text), "{kind:?} {text:?}");
            }
        }
    }

    #[test]
    fn locales_are_languages_or_keyboards() {
        for text in ["en-US", "0409:00000409", "de-DE; 0407:00000407", "0411:{03B5835F-F03C-411B-9CE2-AA23E1171E36}"] {
            assert!(check(&Kind::Locale, text).is_none(), "{text}");
        }
        for text in ["English (United States)", "%LOCALE%"] {
            assert!(!check(&Kind::Locale, text).unwrap().is_refused, "{text}");
        }
    }

    #[test]
    fn a_length_says_what_makes_it() {
        let hint = |text: &str| check(&Kind::Text(5), text).unwrap().hint.unwrap();
        assert!(hint("abc\n      ").contains("line breaks") && hint("abcdef").contains("script"));
    }
}
