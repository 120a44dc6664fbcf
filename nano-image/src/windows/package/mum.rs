//! The description of a package: `update.mum`.
//!
//! Microsoft does not publish the schema; what is read here is what packages of Windows 10 and Server 2016 contain.
//! Unknown elements are kept by name in [`Package::unknown`].

use super::identity::{AssemblyIdentity, Version};
use crate::error::{Error, Result};
use crate::xml::Element;

/// A package, as its `.mum` file describes it. Texts are empty if they are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Package {
    /// What it is called.
    pub identity: AssemblyIdentity,
    /// Name for people; may refer to a resource.
    pub display_name: String,
    /// What it is for.
    pub description: String,
    /// `Feature Pack`, `Language Pack`, `Update`, `OnDemand Pack` …
    pub release_type: String,
    /// `possible` or `required`.
    pub restart: String,
    /// `permanent` or `removable`.
    pub permanence: String,
    /// File with deltas that the update service offers beside the package. It says nothing about the files in the
    /// package.
    pub psf_name: Option<String>,
    /// Packages of which one must be installed; empty if it needs none.
    pub parents: Vec<Parent>,
    /// What it installs.
    pub updates: Vec<Update>,
    /// Names of the capabilities that it declares.
    pub capabilities: Vec<Capability>,
    /// Bytes that its installation takes, according to its maker.
    pub package_size: Option<u64>,
    /// Elements that are not known.
    pub unknown: Vec<String>,
}

/// A package that another one extends.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Parent {
    /// Names of which one must fit an installed package.
    pub identities: Vec<ParentIdentity>,
    /// `separate`, `delegate`, `hidden`, `standalone`.
    pub integrate: String,
    /// `detect`, `staged` …
    pub disposition: String,
    /// How the four numbers of the version are compared; `None` if the file does not say.
    pub compare: [Option<Compare>; 4],
    /// Parents of the parent, which must be installed too.
    pub parents: Vec<Parent>,
}

/// The identity of a parent, in which fields may be `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentIdentity {
    /// The name.
    pub identity: AssemblyIdentity,
    /// Whether any version fits.
    pub any_version: bool,
}

/// How a number of an installed version is compared with the one in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// Equal.
    Eq,
    /// Less.
    Lt,
    /// Less or equal.
    Le,
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
    /// Not equal.
    Ne,
}

/// One unit of installation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Update {
    /// Name, unique in the package. For features it is the name that users enable.
    pub name: String,
    /// Name for people.
    pub display_name: String,
    /// What it is for.
    pub description: String,
    /// `possible` or `required`.
    pub restart: String,
    /// Set if it is a feature that can be turned on and off.
    pub selectable: Option<Selectable>,
    /// Conditions of which one must hold; if there are none, it always applies.
    pub applicable: Vec<Condition>,
    /// What it installs.
    pub items: Vec<Item>,
}

/// Whether a feature is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selectable {
    /// Whether it is on by default.
    pub default: bool,
    /// It is on if one of these is.
    pub conditions: Vec<Condition>,
}

/// A condition under which an update applies or a feature is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// An update of an installed package is installed.
    Update {
        /// The package; empty for the package of the condition itself.
        parents: Vec<Parent>,
        /// Name of the update.
        name: String,
    },
    /// A component would be updated.
    Component {
        /// The new versions; at least one must be newer than the installed one.
        identities: Vec<AssemblyIdentity>,
        /// Which version must be installed before.
        elevate: Elevate,
    },
}

/// Which installed versions of a component an update is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Elevate {
    /// Any, or none: the component may be new.
    Install,
    /// A lower one of the same branch.
    Revision,
    /// A lower one of any branch.
    Distribution,
    /// A lower one of any service pack.
    ServiceLevel,
    /// A lower one of any build.
    Build,
}

/// What an update installs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A component, usually a deployment.
    Component(AssemblyIdentity),
    /// Another package in the same cabinet.
    Package(AssemblyIdentity),
    /// A driver.
    Driver {
        /// Its INF file.
        inf: String,
        /// Its component.
        identity: AssemblyIdentity,
    },
}

/// A capability, as in `dism /add-capability`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capability {
    /// Name, e.g. `Language.Basic`.
    pub name: String,
    /// Version as written.
    pub version: String,
    /// Language; empty if it has none.
    pub language: String,
}

impl Package {
    /// Reads a `.mum` file.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) for what is not well-formed or not a package.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let root = Element::parse(bytes, "package description")?;
        let bad = |what: &str, at: &Element| Error::corrupt(format!("bad package description: {what}")).at(at.offset);
        if !root.is("assembly") {
            return Err(bad("it does not begin with <assembly>", &root));
        }
        let identity = root.first("assemblyIdentity").ok_or_else(|| bad("it has no identity", &root))?;
        let element = root.first("package").ok_or_else(|| bad("it has no <package>", &root))?;
        let text = |element: &Element, name| element.attribute(name).unwrap_or_default().to_owned();
        let mut package = Self {
            identity: identity_of(identity)?,
            display_name: text(&root, "displayName"),
            description: text(&root, "description"),
            release_type: text(element, "releaseType"),
            restart: text(element, "restart"),
            permanence: text(element, "permanence"),
            psf_name: element.attribute("psfName").filter(|name| !name.is_empty()).map(str::to_owned),
            parents: Vec::new(),
            updates: Vec::new(),
            capabilities: Vec::new(),
            package_size: None,
            unknown: Vec::new(),
        };
        for child in root.elements() {
            match child.local() {
                "assemblyIdentity" | "package" | "localizedStrings" | "localization" | "Signature"
                | "signatureInfo" => {}
                name => package.unknown.push(name.into()),
            }
        }
        for child in element.elements() {
            match child.local() {
                "parent" => package.parents.push(Parent::read(child)?),
                "update" => package.updates.push(Update::read(child, &mut package.unknown)?),
                "packageExtended" => package.take_size(child),
                "declareCapability" => package.take_capabilities(child),
                "customInformation" => {
                    child
                        .elements()
                        .filter(|child| child.local() == "packageExtended")
                        .for_each(|child| package.take_size(child));
                    child
                        .elements()
                        .filter(|child| child.local() == "declareCapability")
                        .for_each(|child| package.take_capabilities(child));
                }
                // The servicing stack with which it should be installed.
                "installerAssembly" | "localizedStrings" | "localization" | "detect" | "assemblyIdentity" => {}
                name => package.unknown.push(name.into()),
            }
        }
        Ok(package)
    }

    fn take_size(&mut self, element: &Element) {
        self.package_size = element.attribute("packageSize").and_then(|size| size.parse().ok());
    }

    fn take_capabilities(&mut self, element: &Element) {
        for capability in element.elements().filter(|child| child.local() == "capability") {
            let Some(identity) = capability.elements().find(|child| child.local() == "capabilityIdentity") else {
                continue;
            };
            let text = |name| identity.attribute(name).unwrap_or_default().to_owned();
            self.capabilities.push(Capability {
                name: text("name"),
                version: text("version"),
                language: text("language"),
            });
        }
    }
}

impl Parent {
    fn read(element: &Element) -> Result<Self> {
        let compare = ["distributionCompare", "serviceCompare", "buildCompare", "revisionCompare"];
        let compare: Vec<_> = compare
            .into_iter()
            .map(|name| element.attribute(name).map(|text| Compare::read(text, element)).transpose())
            .collect::<Result<_>>()?;
        Ok(Self {
            identities: element.all("assemblyIdentity").map(ParentIdentity::read).collect::<Result<_>>()?,
            integrate: element.attribute("integrate").unwrap_or_default().into(),
            disposition: element.attribute("disposition").unwrap_or_default().into(),
            compare: compare.try_into().unwrap_or([None; 4]),
            parents: element.all("parent").map(Self::read).collect::<Result<_>>()?,
        })
    }

    /// Whether one of the identities fits `installed`. If the file does not say otherwise, the first three numbers of
    /// the version must be equal and the fourth can be any.
    pub fn fits(&self, installed: &AssemblyIdentity) -> bool {
        self.identities.iter().any(|wanted| {
            installed.fits(&wanted.identity) && (wanted.any_version || self.version_fits(installed.version, wanted))
        })
    }

    fn version_fits(&self, installed: Version, wanted: &ParentIdentity) -> bool {
        let defaults = [Some(Compare::Eq), Some(Compare::Eq), Some(Compare::Eq), None];
        (0..4).all(|index| match self.compare[index].or(defaults[index]) {
            Some(compare) => compare.holds(installed.0[index], wanted.identity.version.0[index]),
            None => true,
        })
    }
}

impl ParentIdentity {
    fn read(element: &Element) -> Result<Self> {
        let any_version = element.attribute("version") == Some("*");
        let attributes = element.attributes().filter(|attribute| *attribute != ("version", "*"));
        let identity = AssemblyIdentity::from_attributes(attributes).map_err(|error| error.at(element.offset))?;
        Ok(Self { identity, any_version })
    }
}

impl Compare {
    fn read(text: &str, element: &Element) -> Result<Self> {
        Ok(match text.to_ascii_uppercase().as_str() {
            "EQ" => Self::Eq,
            "LT" => Self::Lt,
            "LE" => Self::Le,
            "GT" => Self::Gt,
            "GE" => Self::Ge,
            "NE" => Self::Ne,
            _ => {
                let what = format!("a parent package is compared by `{text}`");
                return Err(Error::unsupported(what).at(element.offset));
            }
        })
    }

    fn holds(self, installed: u16, wanted: u16) -> bool {
        match self {
            Self::Eq => installed == wanted,
            Self::Lt => installed < wanted,
            Self::Le => installed <= wanted,
            Self::Gt => installed > wanted,
            Self::Ge => installed >= wanted,
            Self::Ne => installed != wanted,
        }
    }
}

impl Elevate {
    fn read(element: &Element) -> Result<Self> {
        Ok(match element.attribute("elevate").unwrap_or_default().to_ascii_lowercase().as_str() {
            "install" => Self::Install,
            "" | "revision" => Self::Revision,
            "distribution" => Self::Distribution,
            "servicelevel" => Self::ServiceLevel,
            "build" => Self::Build,
            other => {
                let what = format!("an update that elevates a component by `{other}`");
                return Err(Error::unsupported(what).at(element.offset));
            }
        })
    }

    /// Whether a component is updated to `new` from the version `installed`, or from none. In Windows 6.x the revision
    /// tells the branches apart: from 20000 on it is the limited one (LDR).
    pub fn applies(self, installed: Option<Version>, new: Version) -> bool {
        let Some(installed) = installed else { return self == Self::Install };
        let branch = |version: Version| version.0[0] == 6 && version.0[3] >= 20_000;
        installed < new && (self != Self::Revision || branch(installed) == branch(new))
    }
}

impl Update {
    fn read(element: &Element, unknown: &mut Vec<String>) -> Result<Self> {
        let text = |name| element.attribute(name).unwrap_or_default().to_owned();
        let mut update = Self {
            name: text("name"),
            display_name: text("displayName"),
            description: text("description"),
            restart: text("restart"),
            selectable: None,
            applicable: Vec::new(),
            items: Vec::new(),
        };
        if update.name.is_empty() {
            return Err(Error::corrupt("bad package description: an update without a name").at(element.offset));
        }
        for child in element.elements() {
            match child.local() {
                "selectable" => {
                    let none = child.first("detectNone").and_then(|none| none.attribute("default"));
                    let default = none.is_some_and(|text| text.eq_ignore_ascii_case("true"));
                    update.selectable = Some(Selectable { default, conditions: conditions(child)? });
                }
                "applicable" => update.applicable.extend(conditions(child)?),
                "component" => update.items.push(Item::Component(inner_identity(child)?)),
                "package" => update.items.push(Item::Package(inner_identity(child)?)),
                "driver" => {
                    let inf = child.attribute("inf").unwrap_or_default().to_owned();
                    update.items.push(Item::Driver { inf, identity: inner_identity(child)? });
                }
                "capability" | "customInformation" | "localizedStrings" | "detectNone" => {}
                name => unknown.push(name.into()),
            }
        }
        Ok(update)
    }
}

fn conditions(element: &Element) -> Result<Vec<Condition>> {
    let mut conditions = Vec::new();
    for child in element.elements() {
        match child.local() {
            "detectUpdate" => {
                let parents = child.all("parent").map(Parent::read).collect::<Result<Vec<_>>>()?;
                let names = child.all("update").filter_map(|update| update.attribute("name"));
                conditions.extend(names.map(|name| Condition::Update { parents: parents.clone(), name: name.into() }));
            }
            "updateComponent" => {
                inner_identity(child)?;
                let identities = child.all("assemblyIdentity").map(identity_of).collect::<Result<_>>()?;
                conditions.push(Condition::Component { identities, elevate: Elevate::read(child)? });
            }
            _ => {}
        }
    }
    Ok(conditions)
}

fn inner_identity(element: &Element) -> Result<AssemblyIdentity> {
    let missing = || {
        Error::corrupt(format!("bad package description: <{}> without an identity", element.local())).at(element.offset)
    };
    identity_of(element.first("assemblyIdentity").ok_or_else(missing)?)
}

/// The identity in an `<assemblyIdentity>` element.
pub(super) fn identity_of(element: &Element) -> Result<AssemblyIdentity> {
    AssemblyIdentity::from_attributes(element.attributes()).map_err(|error| error.at(element.offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: &str = "version='10.0.14393.0' processorArchitecture='amd64' publicKeyToken='31bf3856ad364e35'";

    fn parse(package: &str) -> Result<Package> {
        let text = format!(
            "\u{feff}<?xml version='1.0'?><m:assembly xmlns:m='urn:schemas-microsoft-com:asm.v3' displayName='D'>\
             <m:assemblyIdentity name='P' language='neutral' {IDENTITY}/>{}</m:assembly>",
            package.replace("</", "\u{1}").replace('<', "<m:").replace('\u{1}', "</m:")
        );
        Package::parse(text.as_bytes())
    }

    #[test]
    fn a_package_with_everything() {
        let package = parse(&format!(
            "<package identifier='P' releaseType='Feature Pack' restart='possible'>\
             <parent buildCompare='EQ' revisionCompare='GE' integrate='separate' disposition='detect'>\
             <assemblyIdentity name='Q' language='*' {IDENTITY}/></parent>\
             <update name='u1'><component><assemblyIdentity name='C' {IDENTITY} versionScope='nonSxS'/></component></update>\
             <update name='F'><selectable disposition='staged'><detectNone default='false'/></selectable>\
             <applicable><updateComponent elevate='revision'><assemblyIdentity name='X' {IDENTITY}/></updateComponent>\
             </applicable><package contained='false' integrate='hidden'><assemblyIdentity name='R' {IDENTITY}/></package>\
             <driver inf='a.inf'><assemblyIdentity name='dual_a.inf' type='dualModeDriver' {IDENTITY}/></driver></update>\
             <packageExtended packageSize='123'/><odd/></package>"
        ))
        .unwrap();
        assert_eq!((package.identity.name.as_str(), package.display_name.as_str()), ("P", "D"));
        assert_eq!((package.package_size, package.unknown), (Some(123), vec!["odd".to_owned()]));
        let names: Vec<&str> = package.updates.iter().map(|update| &*update.name).collect();
        assert_eq!(names, ["u1", "F"]);
        assert!(matches!(&package.updates[0].items[..], [Item::Component(c)] if c.version_scope.is_some()));
        let feature = &package.updates[1];
        assert!(!feature.selectable.as_ref().unwrap().default);
        assert!(matches!(&feature.applicable[..], [Condition::Component { identities, elevate: Elevate::Revision }]
            if identities[0].name == "X"));
        let [Item::Package(child), Item::Driver { inf, .. }] = &feature.items[..] else { panic!("{feature:?}") };
        assert_eq!((child.name.as_str(), inf.as_str()), ("R", "a.inf"));
    }

    #[test]
    fn versions_of_parents() {
        let parent = |attributes: &str, version: &str| {
            let identity = IDENTITY.replace("10.0.14393.0", version);
            let text =
                format!("<package><parent {attributes}><assemblyIdentity name='Q' {identity}/></parent></package>");
            parse(&text).unwrap().parents.remove(0)
        };
        let installed =
            |version: &str| AssemblyIdentity::from_package_id(&format!("q~31BF3856ad364e35~amd64~~{version}")).unwrap();
        let plain = parent("", "10.0.14393.0");
        assert!(plain.fits(&installed("10.0.14393.0")) && plain.fits(&installed("10.0.14393.953")));
        assert!(!plain.fits(&installed("10.0.14300.0")) && !plain.fits(&installed("10.1.14393.0")));
        let exact = parent("revisionCompare='EQ'", "10.0.14393.0");
        assert!(!exact.fits(&installed("10.0.14393.953")));
        let later = parent("buildCompare='GE'", "10.0.14300.0");
        assert!(later.fits(&installed("10.0.14393.0")) && !later.fits(&installed("10.0.10586.0")));
        assert!(parent("", "*").fits(&installed("6.1.7601.0")));
    }

    #[test]
    fn components_are_elevated_from_lower_versions_and_within_a_branch() {
        let version = |text: &str| text.parse::<Version>().unwrap();
        let released = Some(version("6.1.7601.17514"));
        let (gdr, ldr) = (version("6.1.7601.18246"), version("6.1.7601.22435"));
        assert!(Elevate::Revision.applies(released, gdr) && !Elevate::Revision.applies(released, ldr));
        assert!(
            Elevate::Distribution.applies(released, ldr)
                && Elevate::Revision.applies(Some(version("6.1.7601.21000")), ldr)
        );
        assert!(!Elevate::Build.applies(None, gdr) && Elevate::Install.applies(None, gdr));
        for elevate in [Elevate::Install, Elevate::Revision, Elevate::ServiceLevel] {
            assert!(!elevate.applies(Some(gdr), gdr) && !elevate.applies(Some(ldr), gdr));
        }
        assert!(Elevate::Revision.applies(Some(version("10.0.14393.0")), version("10.0.14393.22435")));
        let odd = format!(
            "<package><update name='a'><applicable><updateComponent elevate='odd'><assemblyIdentity name='X' {IDENTITY}/>\
             </updateComponent></applicable></update></package>"
        );
        assert!(parse(&odd).unwrap_err().to_string().contains("`odd`"));
    }

    #[test]
    fn what_is_no_package_is_refused() {
        for text in [
            "",
            "<update name='x'/>",
            "<package><update/></package>",
            "<package><update name='a'><component/></update></package>",
            "<package><parent buildCompare='XX'/></package>",
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.offset().is_some(), "{text}: {error}");
        }
    }

    /// Real descriptions, if they lie beside the repository. They are templates for a version.
    #[cfg(feature = "internals")]
    #[test]
    fn collected_descriptions() {
        let folder = fixtures::outside::shared("data/cbs/remin-core/remin-sku-foundation-package");
        let Some(folder) = folder else { return };
        let mut count = 0;
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "mum") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap().replace("<%= $Version %>", "10.0.19578.1000");
            let package = Package::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert_eq!(package.unknown, Vec::<String>::new(), "{}", path.display());
            assert_eq!(
                package.updates.iter().filter(|update| update.items.is_empty()).count(),
                0,
                "{}",
                path.display()
            );
            count += 1;
        }
        assert!(count > 50, "{count}");
    }
}
