//! `nano-image packages`.

mod image;
mod update;

use nano_image::{
    ByteSize, CabinetDetails, Error, Media, MediaFile, MediaPackage, PackageDetails, Result, Wim, release, table,
};
use serde_json::{Value, json};

use crate::args::PackagesOf;
use crate::images;
use crate::report::{message, output, printable, warning};

/// Lists editions and packages, or describes one package or an update.
pub fn run(arguments: &PackagesOf) -> Result<()> {
    let Some(path) = &arguments.media else { return image::run(arguments) };
    if update::is_update(path) {
        return update::run(arguments, path);
    }
    if arguments.wim.is_some() || arguments.disk.is_some() {
        let error = Error::recipe("two sources: media, and a WIM or disk").with_path(path);
        return Err(
            error.with_hint("name one; together with a WIM or disk you can name an update, a .msu or .cab file")
        );
    }
    if arguments.image.is_some() {
        return image::run(arguments);
    }
    let media = Media::open(path, &[])?;
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
    let packages: Vec<Found<'_>> = media
        .packages()
        .iter()
        .map(|package| {
            // A package that cannot be read is still listed, and so are the others.
            media.describe(package).map_err(|error| {
                message(&warning(&error.to_string()));
                Unread { package, why: error.to_string() }
            })
        })
        .collect();
    output(&match arguments.json {
        true => format!("{:#}\n", value(&media, &wims, &packages)),
        false => list(&wims, &packages),
    })
}

/// What a package says about itself, or why it cannot be read.
type Found<'a> = std::result::Result<PackageDetails, Unread<'a>>;

struct Unread<'a> {
    package: &'a MediaPackage,
    why: String,
}

impl Unread<'_> {
    fn files(&self) -> impl Iterator<Item = &MediaFile> {
        self.package.neutral.iter().chain(self.package.languages.iter().map(|(_, file)| file))
    }

    fn value(&self) -> Value {
        let cabinets: Vec<Value> = self.files().map(|file| json!({ "file": file.name(), "size": file.size })).collect();
        json!({ "name": self.package.name, "cabinets": cabinets, "error": self.why })
    }

    fn row(&self) -> [String; 6] {
        let unknown = || "?".to_owned();
        let languages: Vec<&str> = self.package.languages.iter().map(|(language, _)| &language[..]).collect();
        let size = ByteSize::new(self.files().map(|file| file.size).sum()).to_string();
        [self.package.name.clone(), unknown(), languages.join(","), size, unknown(), unknown()]
    }
}

fn value(media: &Media, wims: &[(&MediaFile, Wim)], packages: &[Found<'_>]) -> Value {
    let wims: Vec<Value> = wims
        .iter()
        .map(|(file, wim)| {
            let images: Vec<Value> = wim.images().iter().map(images::value).collect();
            json!({ "file": file.path, "size": file.size, "images": images })
        })
        .collect();
    let value = |package: &Found<'_>| match package {
        Ok(details) => json!(details),
        Err(unread) => unread.value(),
    };
    let packages: Vec<Value> = packages.iter().map(value).collect();
    json!({ "media": media.path(), "label": media.label(), "wims": wims, "packages": packages })
}

fn list(wims: &[(&MediaFile, Wim)], packages: &[Found<'_>]) -> String {
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
    let row = |package: &Found<'_>| match package {
        Ok(details) => row(details),
        Err(unread) => unread.row(),
    };
    let rows: Vec<[String; 6]> = packages.iter().map(row).collect();
    text + &table("", Some(heads), 0, &rows)
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
