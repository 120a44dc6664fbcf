//! What a component's manifest asks for.

use super::identity::AssemblyIdentity;
use super::xml::Element;
use crate::error::{Error, Result};

/// What a manifest asks for.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The component.
    pub identity: AssemblyIdentity,
    /// Components that it needs.
    pub dependencies: Vec<Dependency>,
    /// Whether it is only a list of components.
    pub is_deployment: bool,
}

/// A component that another one needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// What it is called; the language may be `*`.
    pub identity: AssemblyIdentity,
    /// How it is needed.
    pub kind: DependencyKind,
    /// Whether it holds texts in a language.
    pub resources: bool,
}

/// How a component is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DependencyKind {
    /// It is installed with the one that needs it.
    Install,
    /// It must be there.
    Prerequisite,
}

impl Manifest {
    /// Reads a manifest.
    pub fn parse(xml: &[u8]) -> Result<Self> {
        let root = Element::parse(xml, "manifest")?;
        let identity =
            root.first("assemblyIdentity").ok_or_else(|| Error::corrupt("bad manifest: no identity").at(0))?;
        let identity = AssemblyIdentity::from_attributes(identity.attributes())?;
        let mut dependencies = Vec::new();
        for dependency in root.all("dependency") {
            for assembly in dependency.all("dependentAssembly") {
                let Some(identity) = assembly.first("assemblyIdentity") else { continue };
                let kind = match assembly.attribute("dependencyType") {
                    Some("prerequisite") => DependencyKind::Prerequisite,
                    _ => DependencyKind::Install,
                };
                let identity = AssemblyIdentity::from_attributes(identity.attributes())?;
                let resources = dependency.attribute("resourceType") == Some("Resources");
                dependencies.push(Dependency { identity, kind, resources });
            }
        }
        Ok(Self { identity, dependencies, is_deployment: root.first("deployment").is_some() })
    }
}
