//! Files and directories.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::common::{is_true, security_name};
use super::model::{Digest, DigestAlgorithm, Directory, Manifest, ManifestFile};
use crate::error::{Error, Result};
use crate::xml::Element;

impl Digest {
    /// Whether it is the digest of `contents`.
    pub fn fits(&self, contents: &[u8]) -> bool {
        match self.algorithm {
            DigestAlgorithm::Sha1 => Sha1::digest(contents)[..] == self.value,
            DigestAlgorithm::Sha256 => Sha256::digest(contents)[..] == self.value,
        }
    }
}

impl ManifestFile {
    /// Names that the file may have in the component's folder of the cabinet.
    pub fn payload_names(&self) -> impl Iterator<Item = &str> {
        self.source_name.as_deref().into_iter().chain([self.name.as_str()])
    }

    /// Name at the destination.
    pub fn installed_name(&self) -> &str {
        self.destination_name.as_deref().unwrap_or(&self.name)
    }
}

impl Manifest {
    pub(super) fn read_file(&mut self, element: &Element) -> Result<()> {
        let given = |name| element.attribute(name).filter(|value| !value.is_empty()).map(str::to_owned);
        let name = given("name").ok_or_else(|| Error::corrupt("a file without a name").at(element.offset))?;
        let mut file = ManifestFile {
            source_name: given("sourceName").filter(|source| *source != name),
            destination_name: given("destinationName").filter(|destination| *destination != name),
            destination_path: given("destinationPath"),
            links: Vec::new(),
            attributes: given("attributes"),
            writeable: given("writeableType").is_some_and(|kind| !kind.eq_ignore_ascii_case("readOnly")),
            security: security_name(element),
            digest: None,
            name,
        };
        if is_true(element.attribute("compress")) {
            self.unhandled(element, "NTFS compression is not used; the file is installed plain");
        }
        for part in element.elements() {
            match part.local() {
                "hash" => self.read_digest(part, &mut file)?,
                "link" => match part.attribute("destination") {
                    Some(destination) => file.links.push(destination.to_owned()),
                    None => self.unhandled(part, "a link without a destination"),
                },
                "lodctr" => self.unhandled(part, "performance counters are registered by a program"),
                "gac" | "ngen" => self.unhandled(part, "assemblies of .NET are registered by a program"),
                // Descriptions of the file's contents, and of its signature.
                "securityDescriptor"
                | "systemProtection"
                | "signatureInfo"
                | "infFile"
                | "resfile"
                | "comClass"
                | "comInterfaceProxyStub"
                | "typelib"
                | "windowClass"
                | "activatableClass" => {}
                _ => self.unhandled(part, format!("not known in the file `{}`", file.name)),
            }
        }
        self.files.push(file);
        Ok(())
    }

    fn read_digest(&mut self, hash: &Element, file: &mut ManifestFile) -> Result<()> {
        let part = |name: &str| hash.elements().find(|child| child.local() == name);
        let identity = part("Transforms").into_iter().flat_map(|transforms| transforms.elements()).all(|transform| {
            let algorithm = transform.attribute("Algorithm").unwrap_or_default();
            algorithm.rsplit('.').next().is_some_and(|name| name.eq_ignore_ascii_case("Identity"))
        });
        let method = part("DigestMethod").and_then(|method| method.attribute("Algorithm")).unwrap_or_default();
        let algorithm = match method.rsplit('#').next().unwrap_or_default().to_ascii_lowercase().as_str() {
            "sha256" => DigestAlgorithm::Sha256,
            "sha1" => DigestAlgorithm::Sha1,
            _ => {
                self.unhandled(hash, format!("the digest `{method}` of the file `{}` is not checked", file.name));
                return Ok(());
            }
        };
        if !identity {
            self.unhandled(hash, format!("the digest of the file `{}` is not that of its contents", file.name));
            return Ok(());
        }
        let text = part("DigestValue").map(Element::text).unwrap_or_default();
        let value = STANDARD.decode(&*text).ok().filter(|value| value.len() == algorithm.len());
        let bad = || Error::corrupt(format!("bad digest `{text}` of the file `{}`", file.name)).at(hash.offset);
        file.digest = Some(Digest { algorithm, value: value.ok_or_else(bad)? });
        Ok(())
    }

    pub(super) fn read_directory(&mut self, element: &Element) {
        let Some(path) = element.attribute("destinationPath") else {
            return self.unhandled(element, "a directory without a path");
        };
        for part in element.elements().filter(|part| !part.is("securityDescriptor") && !part.is("systemProtection")) {
            self.unhandled(part, format!("not known in the directory `{path}`"));
        }
        self.directories.push(Directory {
            path: path.to_owned(),
            attributes: element.attribute("attributes").filter(|names| !names.is_empty()).map(str::to_owned),
            is_owner: is_true(element.attribute("owner")),
            security: security_name(element),
        });
    }
}

impl DigestAlgorithm {
    fn len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }
}
