//! Builds a bootable VHDX through the library: `cargo run --example embed -- install.wim 1 out.vhdx`.

use nano_image::{ByteSize, Format, Observer, Phase, Recipe, Result, Sources};

/// Prints phases and warnings.
struct Progress;

impl Observer for Progress {
    fn begin(&self, phase: Phase, total: Option<ByteSize>) {
        match total {
            Some(total) => eprintln!("{}: {total}", phase.name()),
            None => eprintln!("{}", phase.name()),
        }
    }

    fn warn(&self, message: &str) {
        eprintln!("warning: {message}");
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [wim, image, output] = &arguments[..] else {
        eprintln!("usage: embed WIM IMAGE OUTPUT");
        std::process::exit(2);
    };
    let recipe = Recipe::image(image).disk_size(ByteSize::gib(4)).build()?;
    let plan = recipe.plan(&Sources::wim(wim), &Progress)?;
    let layout = plan.layout(&Progress)?;
    let report = layout.write_file(output, Format::VHDX, &Progress)?;
    println!("{output}: image {} ({}), seed {}", report.image_index, report.image_name, report.seed);
    Ok(())
}
