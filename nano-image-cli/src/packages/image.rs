//! Features, capabilities and packages of an image.

use nano_image::{Error, ImageServicing, Result, Sources};
use serde_json::json;

use crate::args::PackagesOf;
use crate::report::{message, output, titled, warning};

/// The WIM or disk that the flags name.
pub fn source(arguments: &PackagesOf) -> Option<Sources> {
    let wim = arguments.wim.as_ref().map(Sources::wim);
    let source = wim.or_else(|| arguments.disk.as_ref().map(Sources::disk))?;
    Some(source.scratch(std::env::temp_dir()))
}

/// Lists what an image has.
pub fn run(arguments: &PackagesOf) -> Result<()> {
    if let Some(name) = &arguments.name {
        let error = Error::recipe(format!("`{name}` cannot be described: packages of an image are listed"));
        return Err(error.with_hint("leave the name out, or leave --image out to describe a package of the media"));
    }
    let media = || Sources::media(arguments.media.clone().unwrap_or_default()).scratch(std::env::temp_dir());
    let has = source(arguments).unwrap_or_else(media).servicing(arguments.image.as_deref())?;
    has.notes.iter().for_each(|note| message(&warning(note)));
    output(&match arguments.json {
        true => format!("{:#}\n", json!(has)),
        false => text(&has),
    })
}

fn text(has: &ImageServicing) -> String {
    let features = has.features.iter();
    let features = features.map(|one| [one.name.clone(), one.state.to_string(), one.needs.join(" or ")]);
    let features = titled("Features", Some(["feature", "state", "needs"]), &features.collect::<Vec<_>>());
    let capabilities = has.capabilities.iter().map(|one| [one.name.clone(), one.state.clone()]);
    let capabilities = titled("Capabilities", Some(["capability", "state"]), &capabilities.collect::<Vec<_>>());
    let packages = has.packages.iter().map(|one| [one.identity.clone(), one.state.clone()]);
    let packages = titled("Packages", Some(["package", "state"]), &packages.collect::<Vec<_>>());
    [features, capabilities, packages].concat().trim_start().to_owned()
}
