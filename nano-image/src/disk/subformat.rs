//! Forms of a format.

/// Form of a format: which blocks the file holds.
///
/// ```
/// assert_eq!(nano_image::Format::AZURE.subformat(), Some(nano_image::Subformat::Fixed));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[non_exhaustive]
pub enum Subformat {
    /// Only blocks with data are in the file.
    Dynamic,
    /// Every block is in the file.
    Fixed,
}

impl Subformat {
    /// All there are.
    pub const ALL: [Self; 2] = [Self::Dynamic, Self::Fixed];

    /// One lower-case word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dynamic => "dynamic",
            Self::Fixed => "fixed",
        }
    }
}
