//! Types for what is known about a component: its settings and their values.

use super::super::Pass;

/// A component with settings for answer files.
#[derive(Debug)]
pub struct Component {
    /// Its name.
    pub name: &'static str,
    /// Passes for which it has settings; empty if that is not known.
    pub passes: &'static [Pass],
    /// Its settings.
    pub settings: &'static [Setting],
    /// Whether these are all its settings, including those in groups.
    pub is_complete: bool,
}

/// A setting.
#[derive(Debug)]
pub struct Setting {
    /// Name of the element.
    pub name: &'static str,
    /// What it contains.
    pub kind: Kind,
    /// What distinguishes the items of a list; `None` for a setting that can be there only once.
    pub key: Option<Key>,
    /// The only passes in which Windows knows it; empty if nothing beyond those of the component is known.
    pub passes: &'static [Pass],
}

/// What a setting contains.
#[derive(Debug)]
pub enum Kind {
    /// Not known, or not checked.
    Any,
    /// Text of at most this many characters. It may be empty.
    Text(usize),
    /// Like `Text`, but not empty.
    Needed(usize),
    /// `true` or `false`.
    Flag,
    /// A number between these two, both included.
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
    /// Languages and keyboards: `en-US`, `0409:00000409`, several separated by `;`.
    Locale,
    /// A display language of Windows, which must be installed.
    Language,
    /// `Value` and `PlainText`.
    Password,
    /// Other settings.
    Group(&'static [Setting]),
}

/// What distinguishes the items of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A number from 1 to 500 in the element `Order`.
    Order,
    /// The text of this element.
    Child(&'static str),
    /// The attribute `wcm:keyValue`, or an element that is not known.
    Attribute,
}

/// A component of which all settings are known.
pub(super) const fn complete(name: &'static str, passes: &'static [Pass], settings: &'static [Setting]) -> Component {
    Component { name, passes, settings, is_complete: true }
}

/// A component of which only some settings are known.
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
    /// Restricted to these passes.
    pub(super) const fn only(self, passes: &'static [Pass]) -> Self {
        Self { passes, ..self }
    }
}
