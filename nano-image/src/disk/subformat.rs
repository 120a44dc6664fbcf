//! Subformats of formats.

/// Subformat: which blocks the file holds, and in which form.
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
    /// A VMDK in one file that holds only grains with data, uncompressed, with tables before them.
    #[cfg_attr(feature = "clap", value(name = "monolithicSparse"))]
    MonolithicSparse,
    /// A VMDK with compressed grains, as in appliances (OVA). The length of the file is known only once it is written.
    #[cfg_attr(feature = "clap", value(name = "streamOptimized"))]
    StreamOptimized,
    /// Only what differs from a parent is in the file. `clone` makes such files, `build` does not.
    #[cfg_attr(feature = "clap", value(skip))]
    Differencing,
}

impl Subformat {
    /// All subformats of images without a parent.
    pub const ALL: [Self; 4] = [Self::Dynamic, Self::Fixed, Self::MonolithicSparse, Self::StreamOptimized];

    /// One word, the same as in qemu-img.
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
