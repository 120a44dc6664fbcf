//! Prints what a disk image is and holds: `cargo run --example inspect -- out.vhdx`.

fn main() -> nano_image::Result<()> {
    for path in std::env::args().skip(1) {
        print!("{}", nano_image::inspect::open(path)?);
    }
    Ok(())
}
