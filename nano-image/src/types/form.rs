//! The forms of values that recipe files allow: a single value in place of a list, a number in place of its digits as
//! text, `true` in place of a value that may be left out.

use serde::de::{DeserializeOwned, IntoDeserializer, value};
use serde::{Deserialize, Deserializer};

/// A single value.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected text, a whole number, true or false")]
enum Scalar {
    Switch(bool),
    Number(u64),
    Text(String),
}

impl Scalar {
    fn into_text<E: serde::de::Error>(self) -> Result<String, E> {
        match self {
            Self::Switch(_) => Err(E::custom("expected text or a whole number, not true or false")),
            Self::Number(number) => Ok(number.to_string()),
            Self::Text(text) => Ok(text),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected text, or a list of texts")]
enum OneOrMany {
    One(Scalar),
    Many(Vec<Scalar>),
}

/// A type that has a value for `true`: its flag may be given without a value.
pub trait Switched {
    /// The value of the bare flag.
    const ON: Self;
}

/// A value given as text, or as a number whose digits are the text.
pub fn text<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<T, D::Error> {
    of_text(Scalar::deserialize(deserializer)?.into_text()?)
}

/// Like [`text`], for a key that may be missing.
pub fn optional_text<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    Option::<Scalar>::deserialize(deserializer)?.map(|scalar| of_text(scalar.into_text()?)).transpose()
}

/// A list, or a single value in its place.
pub fn list<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let scalars = match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(scalar) => vec![scalar],
        OneOrMany::Many(scalars) => scalars,
    };
    scalars.into_iter().map(|scalar| of_text(scalar.into_text()?)).collect()
}

/// A value, or `true` or `false` in its place.
pub fn switched<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Switched,
{
    match Option::<Scalar>::deserialize(deserializer)? {
        None | Some(Scalar::Switch(false)) => Ok(None),
        Some(Scalar::Switch(true)) => Ok(Some(T::ON)),
        Some(scalar) => of_text(scalar.into_text()?).map(Some),
    }
}

/// Whether a value is the default, so that it need not be written.
pub fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Makes serde read and write these types as their text.
macro_rules! as_text {
    ($($name:ident),+) => {$(
        impl TryFrom<String> for $name {
            type Error = $crate::error::Error;

            fn try_from(text: String) -> $crate::error::Result<Self> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
    )+};
}
pub(crate) use as_text;

fn of_text<T: DeserializeOwned, E: serde::de::Error>(text: String) -> Result<T, E> {
    T::deserialize(text.into_deserializer()).map_err(|error: value::Error| E::custom(error))
}
