//! Flags for files about a build, and for comparing one.

use std::path::PathBuf;

use clap::Args;

#[derive(Args, Debug)]
#[command(next_help_heading = "Reports")]
pub struct Reports {
    /// Write a JSON file about the build: what was built from what, and how the run went
    ///
    /// `build` is the same for the same inputs: SHA-256 of inputs and outputs, recipe, identifiers, partitions, extents
    /// of data. `run` is not: durations, bytes read and written, warnings.
    #[arg(long, value_name = "FILE")]
    pub metadata_file: Option<PathBuf>,

    /// Write a bill of materials of the image: CycloneDX 1.5, as JSON
    #[arg(long, value_name = "FILE")]
    pub sbom: Option<PathBuf>,

    /// Write an in-toto statement with SLSA provenance, as JSON: what was made from what, for programs that sign it
    #[arg(long, value_name = "FILE")]
    pub provenance: Option<PathBuf>,

    /// Write no image, but compare it with FILE, an image or a metadata file; exit status 1 if it differs
    ///
    /// Without -o the format is that of FILE.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["metadata_file", "sbom", "provenance"])]
    pub check: Option<PathBuf>,
}
