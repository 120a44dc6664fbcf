//! `nano-image inspect`.

use std::path::Path;

use nano_image::inspect::{self, Image, RegistryDetails};
use nano_image::{Error, Result};
use serde_json::to_string_pretty;

use crate::args::Inspect;
use crate::report::{message, output, printable, titled, warning};

/// Says what a disk image contains, or shows one part of that in detail.
pub fn run(arguments: &Inspect) -> Result<()> {
    let (path, json, more) = (&arguments.image, arguments.json, &arguments.more);
    if more.files {
        return files(path, json);
    }
    if more.hives || more.packages {
        return registry(path, json, more.packages);
    }
    if more.boot {
        return boot(path, json);
    }
    if let Some(offset) = more.map {
        let location = inspect::locate(path, offset)?;
        return if json { print_json(to_string_pretty(&location)) } else { output(&location.to_string()) };
    }
    let inspection = inspect::open(path)?;
    if json { print_json(to_string_pretty(&inspection)) } else { output(&inspection.to_string()) }
}

fn files(path: &Path, json: bool) -> Result<()> {
    let image = Image::open(path)?;
    let mut pending = String::from(if json { "[" } else { "" });
    let (mut first, mut partition) = (true, 0);
    let notes = inspect::list_files(&image, None, &mut |row| {
        if json {
            pending += if std::mem::take(&mut first) { "\n" } else { ",\n" };
            pending += &serde_json::to_string(row).expect("a row is JSON");
        } else {
            if row.partition != partition {
                partition = row.partition;
                pending += &format!("partition {partition}\n");
            }
            pending += &row.to_string();
        }
        if pending.len() > 1 << 16 { output(&std::mem::take(&mut pending)) } else { Ok(()) }
    })?;
    output(&(pending + if json { "\n]\n" } else { "" }))?;
    tell(&notes)
}

fn registry(path: &Path, json: bool, packages_only: bool) -> Result<()> {
    let image = Image::open(path)?;
    let found = inspect::registry_details(&image);
    if found.is_empty() {
        return Err(Error::not_found("the image has no Windows").with_path(path));
    }
    match (json, packages_only) {
        (true, true) => {
            print_json(to_string_pretty(&found.iter().flat_map(|windows| &windows.packages).collect::<Vec<_>>()))?
        }
        (true, false) => print_json(to_string_pretty(&found))?,
        (false, _) => output(&found.iter().map(|windows| registry_text(windows, packages_only)).collect::<String>())?,
    }
    found.iter().try_for_each(|windows| tell(&windows.notes))
}

fn registry_text(found: &RegistryDetails, packages_only: bool) -> String {
    let windows = &found.windows;
    let known = |text: &Option<String>| printable(text.as_deref().unwrap_or("unknown"));
    let mut text = format!("Windows on partition {}\n", windows.partition);
    if !packages_only {
        for (name, fact) in [
            ("Product", &windows.product),
            ("Edition", &windows.edition),
            ("Installation", &windows.installation_type),
            ("Version", &windows.version),
            ("Computer name", &windows.computer_name),
        ] {
            text += &format!("  {name:<14} {}\n", known(fact));
        }
        for (title, drivers) in [("Services", false), ("Drivers", true)] {
            let rows = found.services.iter().filter(|service| service.is_driver() == drivers);
            let rows = rows.map(|service| {
                let start = service.start.clone().unwrap_or_else(|| "–".to_owned());
                [start, service.kind.clone(), service.name.clone(), service.image_path.clone().unwrap_or_default()]
            });
            text += &titled(title, None, &rows.collect::<Vec<_>>());
        }
    }
    let rows = found.packages.iter().map(|package| {
        let time = package.installed_at.as_deref().and_then(|time| time.get(..10)).unwrap_or("–");
        let visible = if package.visible { "" } else { "hidden" };
        [package.state.clone(), time.to_owned(), visible.to_owned(), package.id.clone()]
    });
    text + &titled("Packages", None, &rows.collect::<Vec<_>>())
}

fn boot(path: &Path, json: bool) -> Result<()> {
    let image = Image::open(path)?;
    let (stores, notes) = inspect::boot_details(&image);
    if json {
        print_json(to_string_pretty(&stores))?;
        return tell(&notes);
    }
    let mut text = String::new();
    for store in &stores {
        text += &format!("{} on partition {}\n", store.path, store.partition);
        for object in &store.objects {
            text += &format!("\n  {} ({})\n", printable(&object.name), object.kind);
            for element in &object.elements {
                text += &format!("    {:<24} {}\n", element.name, printable(&element.value));
            }
        }
    }
    if stores.is_empty() {
        text += "no boot configuration\n";
    }
    output(&text)?;
    tell(&notes)
}

fn print_json(json: serde_json::Result<String>) -> Result<()> {
    let json = json.expect("what is inspected is JSON");
    output(&format!("{json}\n"))
}

fn tell(notes: &[String]) -> Result<()> {
    notes.iter().for_each(|note| message(&warning(note)));
    Ok(())
}
