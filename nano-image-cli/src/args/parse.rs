//! Values that the library reads.

use std::str::FromStr;

/// The value that `text` means; clap shows the error with its hint.
pub fn parsed<T: FromStr<Err = nano_image::Error>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error| with_hint(&error))
}
/// A whole number; `what` describes which ones are allowed.
pub fn number<T: FromStr>(what: &'static str) -> impl Fn(&str) -> Result<T, String> + Clone {
    move |text| text.parse().map_err(|_| format!("`{text}` is not what it takes: a whole number, {what}"))
}

/// An IP address.
pub fn address<T: FromStr>(text: &str) -> Result<T, String> {
    let form = if size_of::<T>() == 4 { "like 10.0.0.1" } else { "like fd00::1" };
    text.parse().map_err(|_| format!("`{text}` is not an address {form}"))
}

/// An error on one line.
fn with_hint(error: &nano_image::Error) -> String {
    error.hint().map_or_else(|| error.to_string(), |hint| format!("{error}; {hint}"))
}
