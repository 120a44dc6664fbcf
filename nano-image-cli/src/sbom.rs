//! `--sbom`: what an image is made of, as CycloneDX 1.5 (<https://cyclonedx.org/docs/1.5/json/>).

use nano_image::Report;
use nano_image::libwim_version;
use serde_json::{Value, json};

use crate::images;
use crate::metadata::{Facts, Input};

/// The bill of materials. It is the same for the same inputs: number and time come from the build.
pub fn value(facts: &Facts<'_>, made: &Report, inputs: &[Input]) -> Value {
    let info = facts.plan.image();
    let mut components: Vec<Value> = Vec::new();
    for (number, output) in made.outputs.iter().enumerate() {
        components.push(json!({
            "type": "file",
            "bom-ref": format!("output-{number}"),
            "name": format!("{} disk image", output.format),
            "hashes": hashes(output.sha256.as_deref()),
            "properties": properties(&[("size", output.file_size.to_string())]),
        }));
    }
    for (number, input) in inputs.iter().enumerate() {
        components.push(json!({
            "type": "file",
            "bom-ref": format!("input-{number}"),
            "name": input.name,
            "hashes": hashes(Some(&input.sha256)),
            "properties": properties(&[("role", input.role.into()), ("size", input.size.to_string())]),
        }));
    }
    let packages = facts.plan.packages();
    components.extend(packages.iter().map(|identity| package(identity)));

    let mut image = json!({
        "type": "operating-system",
        "bom-ref": "image",
        "name": if info.name.is_empty() { "Windows" } else { &info.name },
        "properties": properties(&[
            ("image-index", info.index.to_string()),
            ("edition", info.edition_id.clone()),
            ("architecture", info.architecture.map(|architecture| architecture.to_string()).unwrap_or_default()),
            ("languages", info.languages.join(",")),
            ("seed", made.seed.clone()),
        ]),
    });
    if let Some(version) = info.version {
        image["version"] = version.to_string().into();
    }
    if let [output] = &made.outputs[..] {
        image["hashes"] = hashes(output.sha256.as_deref());
    }
    let mut metadata = json!({
        "tools": { "components": [
            { "type": "application", "name": "nano-image", "version": env!("CARGO_PKG_VERSION") },
            { "type": "library", "name": "libwim", "version": libwim_version() },
        ] },
        "component": image,
    });
    if let Some(time) = images::created(facts.plan.time()) {
        metadata["timestamp"] = time.into();
    }
    let parts: Vec<&Value> = components.iter().map(|component| &component["bom-ref"]).collect();
    let dependencies = json!([{ "ref": "image", "dependsOn": parts }]);
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": format!("urn:uuid:{}", facts.plan.seed().guid("bill of materials")),
        "version": 1,
        "metadata": metadata,
        "dependencies": dependencies,
        "components": components,
    })
}

/// A Windows package by its identity, `Name~token~architecture~language~version`.
fn package(identity: &str) -> Value {
    let fields: Vec<&str> = identity.split('~').collect();
    let [name, token, architecture, language, version] = fields[..] else {
        return json!({ "type": "library", "bom-ref": format!("package-{identity}"), "name": identity });
    };
    json!({
        "type": "library",
        "bom-ref": format!("package-{identity}"),
        "name": name,
        "version": version,
        "properties": properties(&[
            ("package", identity.into()),
            ("public-key-token", token.into()),
            ("architecture", architecture.into()),
            ("language", language.into()),
        ]),
    })
}

fn hashes(sha256: Option<&str>) -> Value {
    sha256.map(|content| json!({ "alg": "SHA-256", "content": content })).into_iter().collect()
}

/// Properties with a value.
fn properties(pairs: &[(&str, String)]) -> Value {
    let pairs = pairs.iter().filter(|(_, value)| !value.is_empty());
    pairs.map(|(name, value)| json!({ "name": format!("nano-image:{name}"), "value": value })).collect()
}
