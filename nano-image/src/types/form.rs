//! Values in the forms that recipe files allow: a single value where a list may be, digits as a number, `true` for a
//! switch whose value may be left out.

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

/// The value that `true` stands for, where a flag may come without one.
pub trait Switched {
    /// The value.
    const ON: Self;
}

/// A value that is text, or a number whose digits are meant.
pub fn text<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<T, D::Error> {
    of_text(Scalar::deserialize(deserializer)?.into_text()?)
}

/// Like [`text`], where the key may be left out.
pub fn optional_text<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    Option::<Scalar>::deserialize(deserializer)?.map(|scalar| of_text(scalar.into_text()?)).transpose()
}

/// A list, or its only value.
pub fn list<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let scalars = match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(scalar) => vec![scalar],
        OneOrMany::Many(scalars) => scalars,
    };
    scalars.into_iter().map(|scalar| of_text(scalar.into_text()?)).collect()
}

/// A value, or whether it is wanted at all.
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

/// Whether a value says no more than its absence.
pub fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Makes types read and written by serde as their text.
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
