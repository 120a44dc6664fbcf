//! `nano-image images`.

use nano_image::{FileTime, ImageInfo, Result, Wim, table};
use serde_json::{Value, json};

use crate::args::Images;
use crate::report::output;

/// Lists the images of a WIM.
pub fn run(arguments: &Images) -> Result<()> {
    let wim = Wim::open(&arguments.wim, &arguments.swm)?;
    if arguments.json {
        let images: Vec<Value> = wim.images().iter().map(value).collect();
        return output(&format!("{:#}\n", Value::from(images)));
    }
    output(&list(&wim))
}

/// A table of the images of a WIM.
pub fn list(wim: &Wim) -> String {
    let heads = ["index", "name", "edition", "version", "arch", "language", "size", "created"];
    let rows: Vec<[String; 8]> = wim.images().iter().map(row).collect();
    table("", Some(heads), 0, &rows)
}

fn row(image: &ImageInfo) -> [String; 8] {
    let edition = if image.edition_id.is_empty() { String::new() } else { image.edition_id.clone() };
    [
        image.index.to_string(),
        image.name.clone(),
        edition,
        image.version.map(|version| version.to_string()).unwrap_or_default(),
        image.architecture.map(|architecture| architecture.to_string()).unwrap_or_default(),
        image.languages.join(","),
        image.total_bytes.to_string(),
        created(image.creation_time).map(|time| time[..10].to_owned()).unwrap_or_default(),
    ]
}

/// What the WIM says about an image.
pub fn value(image: &ImageInfo) -> Value {
    json!({
        "index": image.index,
        "name": image.name,
        "description": image.description,
        "display-name": image.display_name,
        "edition": image.edition_id,
        "product": image.product_name,
        "installation-type": image.installation_type,
        "version": image.version.map(|version| version.to_string()),
        "architecture": image.architecture.map(|architecture| architecture.to_string()),
        "languages": image.languages,
        "default-language": image.default_language,
        "size": image.total_bytes.bytes(),
        "files": image.file_count,
        "directories": image.directory_count,
        "created": created(image.creation_time),
    })
}

/// RFC 3339, in UTC; `None` if the image does not say it.
pub fn created(time: FileTime) -> Option<String> {
    let (year, month, day, hour, minute, second) = time.civil();
    (time != FileTime(0)).then(|| format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"))
}
