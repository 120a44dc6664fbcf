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
    /// A VMDK of which one file has grains with data as they are, and tables before them.
    #[cfg_attr(feature = "clap", value(name = "monolithicSparse"))]
    MonolithicSparse,
    /// A VMDK of compressed grains, as appliances (OVA) have them. How long the file is turns out while it is written.
    #[cfg_attr(feature = "clap", value(name = "streamOptimized"))]
    StreamOptimized,
    /// Only what differs from a parent is in the file. `clone` makes such files, `build` does not.
    #[cfg_attr(feature = "clap", value(skip))]
    Differencing,
}

impl Subformat {
    /// All that an image without a parent has.
    pub const ALL: [Self; 4] = [Self::Dynamic, Self::Fixed, Self::MonolithicSparse, Self::StreamOptimized];

    /// One word, as qemu-img has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dynamic => "dynamic",
            Self::Fixed => "fixed",
            Self::MonolithicSparse => "monolithicSparse",
            Self::StreamOptimized => "streamOptimized",
            Self::Differencing => "differencing",
        }
    }
}
