//! What is known of a component: its settings, and what they hold.

use super::super::Pass;

/// A component with settings for answer files.
#[derive(Debug)]
pub struct Component {
    /// Its name.
    pub name: &'static str,
    /// Passes that it has settings for; empty where that is not known.
    pub passes: &'static [Pass],
    /// Its settings.
    pub settings: &'static [Setting],
    /// Whether these are all that it has, and the groups in them too.
    pub is_complete: bool,
}

/// A setting.
#[derive(Debug)]
pub struct Setting {
    /// Name of the element.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// What tells the items of a list apart; `None` for a setting that there is once.
    pub key: Option<Key>,
    /// Passes in which alone Windows knows it; empty if those of the component are all that is known.
    pub passes: &'static [Pass],
}

/// What a setting holds.
#[derive(Debug)]
pub enum Kind {
    /// Not known, or not checked.
    Any,
    /// Text of at most so many characters, which may be empty.
    Text(usize),
    /// As text, but not empty.
    Needed(usize),
    /// `true` or `false`.
    Flag,
    /// A number from the first to the second.
    Number(i64, i64),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// The computer's name.
    ComputerName,
    /// The name of an account.
    AccountName,
    /// Five groups of five letters and digits.
    ProductKey,
    /// A time zone by the name of its key in the registry.
    TimeZone,
    /// Languages and keyboards: `en-US`, `0409:00000409`, several with `;` between them.
    Locale,
    /// The language of Windows' own texts, which must be installed.
    Language,
    /// `Value` and `PlainText`.
    Password,
    /// Other settings.
    Group(&'static [Setting]),
}

/// What tells the items of a list apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A number from 1 to 500 in the element `Order`.
    Order,
    /// The text of this element.
    Child(&'static str),
    /// The attribute `wcm:keyValue`, or an element that is not known.
    Attribute,
}

/// A component whose settings are all known.
pub(super) const fn complete(name: &'static str, passes: &'static [Pass], settings: &'static [Setting]) -> Component {
    Component { name, passes, settings, is_complete: true }
}

/// A component of which some settings are known.
pub(super) const fn partly(name: &'static str, passes: &'static [Pass], settings: &'static [Setting]) -> Component {
    Component { name, passes, settings, is_complete: false }
}

pub(super) const fn setting(name: &'static str, kind: Kind) -> Setting {
    Setting { name, kind, key: None, passes: &[] }
}

pub(super) const fn any(name: &'static str) -> Setting {
    setting(name, Kind::Any)
}

pub(super) const fn flag(name: &'static str) -> Setting {
    setting(name, Kind::Flag)
}

pub(super) const fn text(name: &'static str, max: usize) -> Setting {
    setting(name, Kind::Text(max))
}

pub(super) const fn number(name: &'static str, min: i64, max: i64) -> Setting {
    setting(name, Kind::Number(min, max))
}

pub(super) const fn one_of(name: &'static str, words: &'static [&'static str]) -> Setting {
    setting(name, Kind::OneOf(words))
}

pub(super) const fn group(name: &'static str, settings: &'static [Setting]) -> Setting {
    setting(name, Kind::Group(settings))
}

/// An item of a list.
pub(super) const fn item(name: &'static str, key: Key, kind: Kind) -> Setting {
    Setting { name, kind, key: Some(key), passes: &[] }
}

impl Setting {
    /// Valid in these passes alone.
    pub(super) const fn only(self, passes: &'static [Pass]) -> Self {
        Self { passes, ..self }
    }
}
