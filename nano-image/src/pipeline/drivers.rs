//! Drivers that go into an image, and what the user should know of them.

use std::path::PathBuf;

use crate::content::InputFiles;
use crate::error::{Error, Result};
use crate::progress::Observer;
use crate::report::DriverReport;
use crate::source::wim::ImageInfo;
use crate::types::Architecture;
use crate::windows::driver::{self, DriverOptions, Prepared};

/// How many things that are not done for one driver are told, a line each. The report has all.
const MAX_LISTED: usize = 12;

/// How an image of Windows that is not a server names its kind of installation.
const CLIENT: &str = "Client";

/// Reads the drivers for `image`; `None` if none is named.
pub(super) fn prepare(
    drivers: &[PathBuf],
    files: &InputFiles,
    image: &ImageInfo,
    observer: &dyn Observer,
) -> Result<Option<Prepared>> {
    if drivers.is_empty() {
        return Ok(None);
    }
    let options = DriverOptions {
        architecture: image.architecture.unwrap_or(Architecture::Amd64),
        version: image.version.map(|version| (version.major, version.minor, version.build)),
        is_client: image.installation_type.eq_ignore_ascii_case(CLIENT),
        boot_critical: false,
    };
    driver::prepare(drivers, files, &options, observer).map(Some)
}

/// What the user should know about drivers.
///
/// # Errors
/// [`Unsupported`](crate::ErrorKind::Unsupported) if it is `strict` and something that a driver asks for is not done.
pub(super) fn warnings(drivers: &[DriverReport], strict: bool) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    let (added, passed_over): (Vec<_>, Vec<_>) = drivers.iter().partition(|driver| driver.published.is_some());
    for driver in added {
        let inf = &driver.inf;
        if strict && !driver.not_applied.is_empty() {
            let what = format!("{inf}: not done: {}", driver.not_applied.join("; "));
            return Err(Error::unsupported(what).with_hint("without --strict that is a warning"));
        }
        let listed = driver.not_applied.iter().take(MAX_LISTED);
        warnings.extend(listed.map(|what| format!("{inf}: not done: {what}")));
        if let Some(more) = driver.not_applied.len().checked_sub(MAX_LISTED).filter(|more| *more > 0) {
            warnings.push(format!("{inf}: not done: {more} more, which --json lists"));
        }
        warnings.extend(driver.warnings.iter().map(|warning| format!("{inf}: {warning}")));
    }
    // A folder of drivers for all versions of Windows has hundreds.
    if let [first, ..] = &passed_over[..] {
        let why = first.not_applied.join("; ");
        warnings.push(match passed_over.len() {
            1 => format!("the driver {} is passed over: {why}", first.inf),
            count => format!("{count} drivers are passed over, {} and others: {why}", first.inf),
        });
    }
    Ok(warnings)
}
