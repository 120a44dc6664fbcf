//! `--sbom`: what an image consists of, as CycloneDX 1.5 (<https://cyclonedx.org/docs/1.5/json/>).

use std::collections::BTreeSet;

use nano_image::report::OutputReport;
use nano_image::{Report, libwim_version};
use serde_json::{Value, json};

use crate::images;
use crate::metadata::{Facts, Input};

/// The bill of materials. It is the same for the same inputs: serial number and time come from the build.
pub fn value(facts: &Facts<'_>, made: &Report, inputs: &[Input]) -> Value {
    let packages = facts.plan.packages();
    let mut components: Vec<Value> = made.outputs.iter().enumerate().map(output).collect();
    components.extend(inputs.iter().enumerate().map(input));
    components.extend(packages.iter().map(|identity| package(identity)));
    components.extend(updates(packages.iter().map(|identity| &**identity), inputs));

    let mut metadata = json!({ "tools": { "components": tools() }, "component": image(facts, made) });
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

/// A file that the build made.
fn output((number, output): (usize, &OutputReport)) -> Value {
    json!({
        "type": "file",
        "bom-ref": format!("output-{number}"),
        "name": format!("{} disk image", output.format),
        "hashes": hashes(output.sha256.as_deref()),
        "properties": properties(&[("size", output.file_size.to_string())]),
    })
}

/// A file that the build read.
fn input((number, input): (usize, &Input)) -> Value {
    json!({
        "type": "file",
        "bom-ref": format!("input-{number}"),
        "name": input.name,
        "hashes": hashes(Some(&input.sha256)),
        "properties": properties(&[("role", input.role.into()), ("size", input.size.to_string())]),
    })
}

/// The Windows that is in the image.
fn image(facts: &Facts<'_>, made: &Report) -> Value {
    let info = facts.plan.image();
    let architecture = info.architecture.map(|architecture| architecture.to_string()).unwrap_or_default();
    let mut image = json!({
        "type": "operating-system",
        "bom-ref": "image",
        "name": if info.name.is_empty() { "Windows" } else { &info.name },
        "properties": properties(&[
            ("image-index", info.index.to_string()),
            ("edition", info.edition_id.clone()),
            ("architecture", architecture.clone()),
            ("languages", info.languages.join(",")),
            ("seed", made.seed.clone()),
        ]),
    });
    image["licenses"] = microsoft();
    if let Some(version) = info.version {
        let version = version.to_string();
        image["purl"] = purl(&info.edition_id, &version, &architecture).into();
        if let Some(cpe) = cpe(&version, &architecture) {
            image["cpe"] = cpe.into();
        }
        image["version"] = version.into();
    }
    if let [output] = &made.outputs[..] {
        image["hashes"] = hashes(output.sha256.as_deref());
    }
    image
}

/// The programs that made the image.
fn tools() -> Value {
    json!([
        {
            "type": "application",
            "name": "nano-image",
            "version": env!("CARGO_PKG_VERSION"),
            "purl": concat!("pkg:cargo/nano-image-cli@", env!("CARGO_PKG_VERSION")),
            "licenses": [{ "expression": env!("CARGO_PKG_LICENSE") }],
        },
        {
            "type": "library",
            "name": "libwim",
            "version": libwim_version(),
            "licenses": [{ "license": { "id": "LGPL-3.0-or-later" } }],
        },
    ])
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
        "purl": purl(name, version, architecture),
        "licenses": microsoft(),
        "properties": properties(&[
            ("package", identity.into()),
            ("public-key-token", token.into()),
            ("architecture", architecture.into()),
            ("language", language.into()),
        ]),
    })
}

/// Updates of Windows that are in names of packages or files (KB numbers): scanners for missing updates look for these.
fn updates<'a>(packages: impl Iterator<Item = &'a str>, inputs: &'a [Input]) -> Vec<Value> {
    let files = inputs.iter().filter(|input| input.role == "servicing-package").map(|input| &*input.name);
    let numbers: BTreeSet<u64> = packages.chain(files).filter_map(kb).collect();
    let component = |number: &u64| {
        json!({
            "type": "library",
            "bom-ref": format!("kb-{number}"),
            "name": format!("KB{number}"),
            "description": "an update of Windows that is installed",
            "licenses": microsoft(),
            "externalReferences": [
                { "type": "advisories", "url": format!("https://support.microsoft.com/help/{number}") },
            ],
        })
    };
    numbers.iter().map(component).collect()
}

/// The number after `KB` in a name.
fn kb(name: &str) -> Option<u64> {
    let name = name.to_ascii_lowercase();
    name.match_indices("kb").find_map(|(at, _)| {
        let digits = &name[at + 2..];
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        digits[..end].parse().ok().filter(|_| (6..=8).contains(&end))
    })
}

/// A package URL (<https://github.com/package-url/purl-spec>). There is no type for Windows, so it is a generic one.
fn purl(name: &str, version: &str, architecture: &str) -> String {
    let qualifier = if architecture.is_empty() { String::new() } else { format!("?arch={architecture}") };
    let mut encoded = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' => encoded.push(byte.into()),
            _ => encoded += &format!("%{byte:02X}"),
        }
    }
    format!("pkg:generic/microsoft/{}@{version}{qualifier}", if name.is_empty() { "windows" } else { &encoded })
}

/// The name of a release in NIST's dictionary (CPE 2.3), found by the build number in its version.
fn cpe(version: &str, architecture: &str) -> Option<String> {
    /// Builds and releases, from <https://nvd.nist.gov/products/cpe>.
    const RELEASES: [(&str, &str); 7] = [
        ("14393", "windows_server_2016"),
        ("16299", "windows_server_1709"),
        ("17134", "windows_server_1803"),
        ("17763", "windows_server_2019"),
        ("20348", "windows_server_2022"),
        ("25398", "windows_server_23h2"),
        ("26100", "windows_server_2025"),
    ];
    let build = version.split('.').nth(2)?;
    let (_, product) = RELEASES.iter().find(|(known, _)| *known == build)?;
    let architecture = match architecture {
        "amd64" => "x64",
        "" => "*",
        other => other,
    };
    Some(format!("cpe:2.3:o:microsoft:{product}:{version}:*:*:*:*:*:{architecture}:*"))
}

/// The licence of what comes from the media: its terms are between Microsoft and the owner of the media.
fn microsoft() -> Value {
    json!([{ "license": { "name": "Microsoft Software License Terms" } }])
}

fn hashes(sha256: Option<&str>) -> Value {
    sha256.map(|content| json!({ "alg": "SHA-256", "content": content })).into_iter().collect()
}

/// The properties that have a value.
fn properties(pairs: &[(&str, String)]) -> Value {
    let pairs = pairs.iter().filter(|(_, value)| !value.is_empty());
    pairs.map(|(name, value)| json!({ "name": format!("nano-image:{name}"), "value": value })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_scanners_know() {
        let cpe = cpe("10.0.14393.2273", "amd64").unwrap();
        assert_eq!(cpe, "cpe:2.3:o:microsoft:windows_server_2016:10.0.14393.2273:*:*:*:*:*:x64:*");
        assert_eq!(super::cpe("10.0.99999.1", "amd64"), None);
        assert_eq!(kb("windows10.0-kb4103723-x64_3d4b.msu"), Some(4_103_723));
        assert_eq!(kb("Package_for_KB3199986~31bf3856ad364e35~amd64~~10.0.1.0"), Some(3_199_986));
        assert_eq!((kb("kbd.cab"), kb("kb12"), kb("Package_for_RollupFix~1~amd64~~1.0")), (None, None, None));
    }
}
