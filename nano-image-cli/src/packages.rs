//! `nano-image packages`.

use nano_image::source::wim::Wim;
use nano_image::windows::media::{CabinetDetails, MediaFile, PackageDetails, release};
use nano_image::{ByteSize, Media, Result};
use serde_json::{Value, json};

use crate::args::PackagesOf;
use crate::images::{self, table};
use crate::report::{message, output, printable, warning};

/// Lists editions and packages, or describes one package.
pub fn run(arguments: &PackagesOf) -> Result<()> {
    let media = Media::open(&arguments.media, &[])?;
    if let Some(name) = &arguments.name {
        let details = media.describe(media.package(name)?)?;
        return output(&match arguments.json {
            true => format!("{:#}\n", json!(details)),
            false => description(&details),
        });
    }
    let scratch = std::env::temp_dir();
    let wims: Vec<(&MediaFile, Wim)> =
        media.wims().iter().map(|file| Ok((file, media.open_wim(file, Some(&scratch))?))).collect::<Result<_>>()?;
    let mut packages = Vec::new();
    for package in media.packages() {
        // A package that cannot be read does not hide the others.
        match media.describe(package) {
            Ok(details) => packages.push(details),
            Err(error) => message(&warning(&error.to_string())),
        }
    }
    output(&match arguments.json {
        true => format!("{:#}\n", value(&media, &wims, &packages)),
        false => list(&wims, &packages),
    })
}

fn value(media: &Media, wims: &[(&MediaFile, Wim)], packages: &[PackageDetails]) -> Value {
    let wims: Vec<Value> = wims
        .iter()
        .map(|(file, wim)| {
            let images: Vec<Value> = wim.images().iter().map(images::value).collect();
            json!({ "file": file.path, "size": file.size, "images": images })
        })
        .collect();
    json!({ "media": media.path(), "label": media.label(), "wims": wims, "packages": packages })
}

fn list(wims: &[(&MediaFile, Wim)], packages: &[PackageDetails]) -> String {
    let mut text = String::new();
    for (file, wim) in wims {
        let build = wim.images().iter().find_map(|image| image.version).map(|version| version.build);
        let release = build.and_then(release).map(|release| format!(" ({release})")).unwrap_or_default();
        text += &format!("{}{release}\n{}\n", printable(&file.path.display().to_string()), images::list(wim));
    }
    if packages.is_empty() {
        return text.trim_end().to_owned() + "\n";
    }
    let heads = ["package", "version", "languages", "cabinets", "unpacked", "needs"];
    let rows: Vec<[String; 6]> = packages.iter().map(row).collect();
    text + &table(heads, &rows)
}

fn row(package: &PackageDetails) -> [String; 6] {
    let sum = |of: fn(&CabinetDetails) -> u64| ByteSize::new(package.cabinets.iter().map(of).sum()).to_string();
    let version = package.cabinets.first().map(|cabinet| cabinet.version.clone()).unwrap_or_default();
    let languages: Vec<&str> = package.cabinets.iter().filter_map(|cabinet| cabinet.language.as_deref()).collect();
    let neutral = package.cabinets.iter().find(|cabinet| cabinet.language.is_none());
    let mut parents: Vec<&str> = neutral.iter().flat_map(|cabinet| &cabinet.parents).map(|id| name_of(id)).collect();
    parents.dedup();
    [
        package.name.clone(),
        version,
        languages.join(","),
        sum(|cabinet| cabinet.size),
        sum(|cabinet| cabinet.unpacked),
        parents.join(" or "),
    ]
}

/// The name in the identity of a package.
fn name_of(identity: &str) -> &str {
    identity.split('~').next().unwrap_or_default()
}

fn description(package: &PackageDetails) -> String {
    let mut text = printable(&package.name) + "\n";
    for cabinet in &package.cabinets {
        let size = |bytes| ByteSize::new(bytes).to_string();
        text += &format!("\n{}\n", printable(&cabinet.file));
        let mut line = |name: &str, value: &str| {
            if !value.is_empty() {
                text += &format!("  {name:13} {}\n", printable(value));
            }
        };
        line("identity", &cabinet.identity);
        line("called", &cabinet.display_name);
        line("description", &cabinet.description);
        line("kind", &cabinet.release_type);
        line("language", cabinet.language.as_deref().unwrap_or("neutral"));
        line("cabinet", &format!("{} ({} bytes)", size(cabinet.size), cabinet.size));
        line("unpacked", &format!("{} in {} files", size(cabinet.unpacked), cabinet.files));
        for (index, parent) in cabinet.parents.iter().enumerate() {
            line(if index == 0 { "needs" } else { "or" }, parent);
        }
        for (index, child) in cabinet.contains.iter().enumerate() {
            line(if index == 0 { "contains" } else { "" }, child);
        }
        for feature in &cabinet.features {
            line("feature", &format!("{} ({})", feature.name, if feature.default { "on" } else { "off" }));
        }
    }
    text
}
