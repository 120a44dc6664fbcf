//! What the identifiers of an image are derived from.
//!
//! There are two kinds. *The same disk*: the GUIDs of disk and partitions, serial numbers, the VHDX's virtual disk. All
//! of these come from the seed, which the recipe gives or which is a digest of a text that describes recipe and
//! sources.
//! *The same bytes*: the identifier by which a differencing disk knows its parent. It comes from a digest of everything
//! that decides the bytes, with the secrets that the seed leaves out.

use std::fmt::{Display, Write};

use pbkdf2::pbkdf2_hmac;
use sha2::{Digest, Sha256};

use super::recipe::{BcdDevice, Choices, Firmware, Recipe};
use crate::identity::{Identity, Seed};
use crate::report::LAYOUT_VERSION;
use crate::tree::{CompactSource, FileTree, NodeId};
use crate::types::{ByteSize, FileTime};
use crate::windows::boot::BootSettings;
use crate::windows::compact::Compact;
use crate::windows::configure::{MachineConfig, RegUser, RemoteManagement};
use crate::windows::host::Host;

/// Rounds of the digest of secrets. An identifier is public: someone who guesses a password with it pays for each
/// guess.
const SECRET_ROUNDS: u32 = 20_000;

/// Digests of what an image is made from; empty if there is nothing.
#[derive(Clone, Default)]
pub(super) struct Inputs {
    /// Of the metadata of the source image, which has the digests of all file contents.
    pub image: Vec<u8>,
    /// Of copied files and registry files.
    pub files: Vec<u8>,
    /// Of packages, updates and features.
    pub packages: Vec<u8>,
    pub drivers: Vec<u8>,
}

/// What also decides bytes, but is not part of a seed.
pub(super) struct Decisive<'a> {
    /// The time of what the build makes.
    pub time: FileTime,
    /// Architecture, version and language of Windows, as the source names them.
    pub windows: &'a str,
    /// Digest of password, answer file and the like.
    pub secrets: Option<[u8; 32]>,
    /// The finished tree.
    pub tree: &'a FileTree,
}

/// The seed that recipe and inputs give.
pub(super) fn derive(recipe: &Recipe, inputs: &Inputs) -> Seed {
    digest(text(recipe, inputs).as_bytes())
}

/// The identifiers of an image with this `seed`; `derived` is what [`derive`] gives for it.
pub(super) fn identity(seed: Seed, derived: Seed, decisive: &Decisive<'_>) -> Identity {
    let mut lines = Lines::new("nano-image bytes 1");
    lines.add("layout", LAYOUT_VERSION);
    lines.add("seed", seed);
    lines.add("derived", derived);
    lines.add("time", decisive.time.0);
    lines.add("windows", decisive.windows);
    lines.add("compact", compressed_forms(decisive.tree));
    if let Some(secrets) = decisive.secrets {
        let mut digest = [0; 32];
        pbkdf2_hmac::<Sha256>(&secrets, lines.0.as_bytes(), SECRET_ROUNDS, &mut digest);
        lines.add("secrets", Seed::from_bytes(digest));
    }
    Identity { disk: seed, bytes: digest(lines.0.as_bytes()) }
}

/// The form of each compressed file: another source may have the same files in other forms.
fn compressed_forms(tree: &FileTree) -> Seed {
    let mut hash = Sha256::new();
    for number in 0..tree.node_count() as u32 {
        if let Some(compact) = &tree[NodeId(number)].compact {
            let len = match &compact.source {
                CompactSource::Copy { len, .. } => *len,
                CompactSource::Made(content) => content.len(),
            };
            hash.update(number.to_le_bytes());
            hash.update((compact.algorithm as u32).to_le_bytes());
            hash.update(len.to_le_bytes());
        }
    }
    Seed::from_bytes(hash.finalize().into())
}

/// Recipe and inputs as text: a line for each choice that is not the default, so that a new kind of choice does not
/// change older seeds. It has no paths of files, and says of secrets only that there are some.
fn text(recipe: &Recipe, inputs: &Inputs) -> String {
    let mut lines = Lines::new("nano-image recipe 2");
    let Choices { machine, boot, .. } = &recipe.choices;
    add_disk(&mut lines, recipe);
    add_machine(&mut lines, machine);
    add_boot(&mut lines, boot);
    for (name, input) in [
        ("source", &inputs.image),
        ("files", &inputs.files),
        ("packages", &inputs.packages),
        ("drivers", &inputs.drivers),
    ] {
        lines.add_some(name, (!input.is_empty()).then(|| digest(input)));
    }
    lines.0
}

// The next three name every choice, so that a new one is not forgotten here.

/// What `machine` and `boot` do not have.
fn add_disk(lines: &mut Lines, recipe: &Recipe) {
    let Choices {
        // Which image: its metadata are among the inputs, as are packages.
        image: _,
        edition: _,
        deployment: _,
        storage: _,
        compute: _,
        defender: _,
        clustering: _,
        oem_drivers: _,
        containers: _,
        package: _,
        feature: _,
        // Whether there is an image, not what is in it.
        strict: _,
        size,
        host,
        // What is not said of these three is the host's choice or the sector size's.
        firmware: _,
        esp_size: _,
        bcd_device: _,
        sector_size,
        recovery_size,
        cluster_size,
        compact,
        label,
        timestamp,
        // The text is for those who give none.
        seed: _,
        machine: _,
        boot: _,
        unknown: _,
    } = &recipe.choices;
    let other = |size: ByteSize, default: ByteSize| (size != default).then_some(size.bytes());
    lines.add_some("for", host.map(Host::name));
    lines.add_some("size", other(*size, ByteSize::gib(4)));
    lines.add_some("firmware", (recipe.firmware() == Firmware::Bios).then_some("bios"));
    lines.add_some("sector-size", other(*sector_size, ByteSize::new(512)));
    lines.add_some("esp-size", other(recipe.esp_size(), ByteSize::mib(100)));
    lines.add_some("recovery-size", recovery_size.map(ByteSize::bytes));
    lines.add_some("cluster-size", cluster_size.map(ByteSize::bytes));
    let compact = compact.map(|compact| match compact {
        Compact::Copy => "copy",
        Compact::Xpress4k => "xpress4k",
        Compact::Xpress8k => "xpress8k",
        Compact::Xpress16k => "xpress16k",
        Compact::Lzx => "lzx",
    });
    lines.add_some("compact", compact);
    lines.add_some("label", (label != "Windows").then_some(label));
    lines.add_some("bcd-device", (recipe.bcd_device() == BcdDevice::Locate).then_some("locate"));
    lines.add_some("timestamp", *timestamp);
}

fn add_machine(lines: &mut Lines, machine: &MachineConfig) {
    let MachineConfig {
        computer_name,
        name_in_specialize,
        unattend,
        domain_blob,
        // No image is made with these two.
        domain_name: _,
        reuse_domain_node: _,
        interface,
        ipv4_address,
        ipv4_mask,
        ipv4_gateway,
        ipv4_dns,
        ipv6_address,
        ipv6_dns,
        remote_management,
        setup_command,
        time_zone,
        locale,
        ui_language,
        input_locale,
        skip_oobe,
        product_key,
        kms,
        local_user,
        auto_logon,
        rdp,
        // Files have digests among the inputs.
        ssh_key: _,
        first_logon_command,
        cloud_init,
        // Each user has one.
        user_passwords: _,
        copy: _,
        reg: _,
        reg_user,
    } = machine;
    lines.add_some("computer-name", computer_name.as_ref());
    lines.add_if("name-in-specialize", *name_in_specialize);
    lines.add_if("unattend", unattend.is_some());
    lines.add_if("domain-blob", domain_blob.is_some());
    lines.add_some("interface", interface.as_ref());
    lines.add_some("ipv4-address", ipv4_address.as_ref());
    lines.add_some("ipv4-mask", *ipv4_mask);
    lines.add_some("ipv4-gateway", *ipv4_gateway);
    ipv4_dns.iter().for_each(|server| lines.add("ipv4-dns", server));
    lines.add_some("ipv6-address", ipv6_address.as_ref());
    ipv6_dns.iter().for_each(|server| lines.add("ipv6-dns", server));
    let management = remote_management.map(|how| match how {
        RemoteManagement::Offline => "offline",
        RemoteManagement::Script => "script",
    });
    lines.add_some("remote-management", management);
    setup_command.iter().for_each(|command| lines.add("setup-command", command));
    lines.add_some("time-zone", time_zone.as_ref());
    lines.add_some("locale", locale.as_ref());
    lines.add_some("ui-language", ui_language.as_ref());
    lines.add_some("input-locale", input_locale.as_ref());
    lines.add_if("skip-oobe", *skip_oobe);
    lines.add_if("product-key", product_key.is_some());
    lines.add_if("kms", *kms);
    local_user.iter().for_each(|user| lines.add("local-user", user));
    lines.add_some("auto-logon", *auto_logon);
    lines.add_if("rdp", *rdp);
    lines.add_if("cloud-init", cloud_init.is_some());
    first_logon_command.iter().for_each(|command| lines.add("first-logon-command", command));
    lines.add_some("reg-user", reg_user.map(RegUser::name));
}

fn add_boot(lines: &mut Lines, boot: &BootSettings) {
    let BootSettings { debug, ems, test_signing, boot_setting } = boot;
    lines.add_some("debug", debug.as_ref());
    lines.add_some("ems", *ems);
    lines.add_if("test-signing", *test_signing);
    boot_setting.iter().for_each(|setting| lines.add("boot-setting", setting));
}

fn digest(bytes: &[u8]) -> Seed {
    Seed::from_bytes(Sha256::digest(bytes).into())
}

/// Lines of `name length:value`; the length says where a value ends, whatever it contains.
struct Lines(String);

impl Lines {
    fn new(title: &str) -> Self {
        Self(format!("{title}\n"))
    }

    fn add(&mut self, name: &str, value: impl Display) {
        let value = value.to_string();
        // Writing into a string cannot fail.
        let _ = writeln!(self.0, "{name} {}:{value}", value.len());
    }

    fn add_some(&mut self, name: &str, value: Option<impl Display>) {
        value.into_iter().for_each(|value| self.add(name, value));
    }

    fn add_if(&mut self, name: &str, is_on: bool) {
        self.add_some(name, is_on.then_some(true));
    }
}

#[cfg(test)]
#[path = "seed/tests.rs"]
mod tests;
