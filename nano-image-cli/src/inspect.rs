//! `nano-image inspect`.

use nano_image::{Result, inspect};

use crate::args::Inspect;
use crate::report::output;

/// Says what a disk image is and holds.
pub fn run(arguments: &Inspect) -> Result<()> {
    let inspection = inspect::open(&arguments.image)?;
    if arguments.json {
        let json = serde_json::to_string_pretty(&inspection).expect("an inspection is JSON");
        return output(&format!("{json}\n"));
    }
    output(&inspection.to_string())
}
