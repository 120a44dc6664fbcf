//! `--provenance`: what was made from what, as an in-toto statement with SLSA provenance
//! (<https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md>, <https://slsa.dev/spec/v1.0/provenance>),
//! for programs that sign and check such statements.

use nano_image::{Report, Result, libwim_version};
use serde_json::{Value, json};

use crate::metadata::{Facts, Input};
use crate::outputs::Output;
use crate::recipe;

/// The kind of build: its parameters are a recipe.
const BUILD_TYPE: &str = "https://docs.rs/nano-image#recipe-v1";
const BUILDER: &str = "https://crates.io/crates/nano-image-cli";

/// The statement. It is the same for the same inputs and names of outputs: it says nothing about the run.
pub fn value(facts: &Facts<'_>, outputs: &[Output], made: &Report, inputs: &[Input]) -> Result<Value> {
    let subjects = outputs.iter().zip(&made.outputs).map(|(output, made)| {
        let name = output.path.file_name().unwrap_or(output.path.as_os_str()).to_string_lossy();
        json!({ "name": name, "digest": { "sha256": made.sha256 } })
    });
    let dependencies = inputs.iter().map(|input| {
        json!({
            "name": input.name,
            "digest": { "sha256": input.sha256 },
            "annotations": { "role": input.role, "size": input.size },
        })
    });
    Ok(json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects.collect::<Vec<_>>(),
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": { "recipe": recipe::value(facts.arguments, facts.recipe)? },
                "internalParameters": { "layout-version": made.layout_version, "seed": made.seed },
                "resolvedDependencies": dependencies.collect::<Vec<_>>(),
            },
            "runDetails": {
                "builder": {
                    "id": BUILDER,
                    "version": { "nano-image": env!("CARGO_PKG_VERSION"), "libwim": libwim_version() },
                },
            },
        },
    }))
}
