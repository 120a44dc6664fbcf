//! Registry values as text for people.

use crate::registry::{Value, ValueKind};
use crate::types::text::utf16_lossy;

/// The most bytes of data that are shown.
const SHOWN: usize = 64;
/// The most characters of text that are shown.
const SHOWN_TEXT: usize = 400;

/// A value, with its type if the text alone does not tell it.
pub(crate) fn text(value: &Value) -> String {
    excerpt(value, 0)
}

/// Two values that differ. Of long data the part with the difference is shown.
pub(crate) fn pair(old: &Value, new: &Value) -> (String, String) {
    let differs = old.data.iter().zip(&new.data).position(|(old, new)| old != new);
    let at = differs.unwrap_or(old.data.len().min(new.data.len())) & !15;
    let (old_text, new_text) = (excerpt(old, at), excerpt(new, at));
    if old_text == new_text {
        // The text is the same, but it is stored differently.
        return (bytes(&old.data, at, old.kind), bytes(&new.data, at, new.kind));
    }
    (old_text, new_text)
}

fn excerpt(value: &Value, at: usize) -> String {
    let kind = value.kind;
    let text = match kind {
        ValueKind::SZ => value.text().map(|text| quoted(&text)),
        ValueKind::EXPAND_SZ | ValueKind::LINK => value.text().map(|text| format!("{} ({kind})", quoted(&text))),
        ValueKind::MULTI_SZ => value.texts().map(|texts| {
            let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
            format!("[{}]", texts.join(", "))
        }),
        ValueKind::DWORD | ValueKind::DWORD_BIG_ENDIAN => {
            value.as_dword().map(|number| format!("{number:#010x} ({number})"))
        }
        ValueKind::QWORD => value.as_qword().map(|number| format!("{number:#018x} ({number})")),
        _ => None,
    };
    match text {
        Some(text) if text.chars().count() <= SHOWN_TEXT => text,
        Some(_) => {
            let rest = &value.data[at.min(value.data.len())..];
            let shown = utf16_lossy(&rest[..rest.len().min(SHOWN_TEXT)]);
            format!("… {} … ({} bytes)", quoted(&shown), value.data.len())
        }
        None => bytes(&value.data, at, kind),
    }
}

fn bytes(data: &[u8], at: usize, kind: ValueKind) -> String {
    let kind = if kind == ValueKind::BINARY { String::new() } else { format!(" ({kind})") };
    if data.is_empty() {
        return format!("empty{kind}");
    }
    if data.len() <= SHOWN {
        return format!("{}{kind}", hex::encode(data));
    }
    let from = at.min(data.len());
    let shown = hex::encode(&data[from..data.len().min(from + SHOWN / 2)]);
    format!("… {shown} … from byte {from} of {}{kind}", data.len())
}

/// A self-relative security descriptor as text (SDDL); as hexadecimal digits if it is damaged.
pub(crate) fn descriptor(bytes: &[u8]) -> String {
    crate::security::text(bytes).unwrap_or_else(|| hex::encode(bytes))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.escape_debug().to_string().replace("\\\\", "\\"))
}
