//! Flags that choose packages, features and drivers.

use std::path::PathBuf;

use clap::Args;
use nano_image::{Deployment, RecipeBuilder, Role, Sources};

#[derive(Args, Debug)]
#[command(next_help_heading = "Packages")]
pub struct Packages {
    /// What the image will run on: a virtual machine or a physical one; adds the package with its drivers
    #[arg(long, value_enum, ignore_case = true, value_name = "WHERE")]
    pub deployment: Option<Deployment>,

    /// File server (package Storage)
    #[arg(long)]
    pub storage: bool,

    /// Hyper-V (package Compute)
    #[arg(long)]
    pub compute: bool,

    /// Windows Defender (package Defender)
    #[arg(long)]
    pub defender: bool,

    /// Failover clusters (package FailoverCluster)
    #[arg(long)]
    pub clustering: bool,

    /// Drivers of physical network and storage adapters (package OEM-Drivers)
    #[arg(long)]
    pub oem_drivers: bool,

    /// Windows containers (package Containers)
    #[arg(long)]
    pub containers: bool,

    /// Package of the media, by name; may be repeated. See `nano-image packages`
    ///
    /// IIS is short for Microsoft-NanoServer-IIS-Package.
    #[arg(long, value_name = "NAME")]
    pub package: Vec<String>,

    /// Feature to turn on that is off in the image or in the packages, with the features that it needs; may be repeated
    #[arg(long, value_name = "NAME")]
    pub feature: Vec<String>,

    /// Update (.cab or .msu) that is installed after all packages; may be repeated
    #[arg(long, value_name = "FILE")]
    pub servicing_package: Vec<PathBuf>,

    /// Driver: INF file, or a folder or ISO image whose INF files are all taken; may be repeated
    #[arg(long, value_name = "PATH")]
    pub driver: Vec<PathBuf>,

    /// Fail if something of a package or driver cannot be applied, instead of warning
    #[arg(long)]
    pub strict: bool,
}

impl Packages {
    /// Adds what the flags choose.
    pub fn add_to(&self, mut recipe: RecipeBuilder, mut sources: Sources) -> (RecipeBuilder, Sources) {
        recipe = self.deployment.into_iter().fold(recipe, RecipeBuilder::deployment);
        let roles = [
            (self.storage, Role::Storage),
            (self.compute, Role::Compute),
            (self.defender, Role::Defender),
            (self.clustering, Role::Clustering),
            (self.oem_drivers, Role::OemDrivers),
            (self.containers, Role::Containers),
        ];
        recipe = roles.into_iter().filter(|(is_on, _)| *is_on).fold(recipe, |recipe, (_, role)| recipe.role(role));
        recipe = self.package.iter().fold(recipe, RecipeBuilder::package);
        recipe = self.feature.iter().fold(recipe, RecipeBuilder::feature);
        sources = self.add_sources(sources);
        (recipe.strict(self.strict), sources)
    }

    /// Adds the files that the flags name.
    pub fn add_sources(&self, sources: Sources) -> Sources {
        let sources = self.servicing_package.iter().fold(sources, Sources::servicing_package);
        self.driver.iter().fold(sources, Sources::driver)
    }
}
