//! Whole images.

use nano_image::inspect::Image;
use nano_image::inspect::verify::{VerifyOptions, verify};
use nano_image::{ByteSize, Format, Recipe, Sources};

use crate::Target;

pub const IMAGE: Target = Target { name: "image", run: image, seeds, rounds: 60 };

/// An image without findings can be opened, and its Windows volume can be read.
fn image(input: &[u8]) -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.vhdx");
    std::fs::write(&path, input).expect("a file");
    let verified = verify(&path, &VerifyOptions::default());
    let is_clean = verified.is_ok_and(|verification| verification.is_clean());
    let Ok(image) = Image::open(&path) else {
        assert!(!is_clean, "nothing is found, and yet the image cannot be opened");
        return false;
    };
    let files = image.main_files();
    assert!(!is_clean || files.is_ok(), "nothing is found, but {:?}", files.err());
    files.is_ok()
}

fn seeds() -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().expect("a folder");
    let (wim, output) = (folder.path().join("a.wim"), folder.path().join("a.vhdx"));
    fixtures::scenes::nano_small(&fixtures::scenes::pe_stand_in()).write_file(&wim).expect("a WIM");
    let recipe = Recipe::image("1").disk_size(ByteSize::mib(256)).build().expect("a recipe");
    let plan = recipe.plan(&Sources::wim(&wim), &()).expect("a plan");
    plan.layout(&()).and_then(|layout| layout.write_file(&output, Format::VHDX, &())).expect("an image");
    vec![std::fs::read(output).expect("an image")]
}
