//! Flags for a single machine: name, password, first boot, network, boot settings.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use clap::Args;
use nano_image::{BootSetting, BootSettings, DebugTransport, Ems, MachineConfig, RegUser};
use nano_image::{FileCopy, LocalUser, RemoteManagement};

use super::parse::{address, parsed};

#[derive(Args, Debug)]
#[command(next_help_heading = "Machine")]
pub struct Machine {
    /// Name of the machine: 1 to 15 characters, or `*` to let Windows choose at first boot
    #[arg(long, value_name = "NAME")]
    pub computer_name: Option<String>,

    /// Also give the name in the specialize pass, for generalized images; one more restart at first boot
    #[arg(long)]
    pub name_in_specialize: bool,

    /// Where to read a password: admin=env:VARIABLE, admin=file:PATH or admin=stdin for the administrator,
    /// user.NAME=… for a local account; may be repeated
    ///
    /// A line break at the end of the file or of standard input does not count.
    // Not parsed here: clap would repeat what it refuses, which may be a password.
    #[arg(long, value_name = "WHOSE=SOURCE")]
    pub secret: Vec<String>,

    /// Answer file; it is checked, and combined with what other flags ask for
    #[arg(long, value_name = "FILE")]
    pub unattend: Option<PathBuf>,

    /// Command that runs once as SYSTEM when setup is complete; may be repeated
    #[arg(long, value_name = "COMMAND")]
    pub setup_command: Vec<String>,

    /// File that `djoin /Provision` wrote: joins the domain, under the name in the file
    #[arg(long, value_name = "FILE")]
    pub domain_blob: Option<PathBuf>,

    /// Not supported: the answer is the command that makes a file for --domain-blob
    #[arg(long, value_name = "DOMAIN")]
    pub domain_name: Option<String>,

    /// Not supported: answered like --domain-name
    #[arg(long)]
    pub reuse_domain_node: bool,

    /// Time zone by its name in Windows, e.g. `W. Europe Standard Time`
    #[arg(long, value_name = "ZONE")]
    pub time_zone: Option<String>,

    /// Locale of the system and of new users, e.g. de-DE; the display language stays
    #[arg(long, value_name = "LOCALE")]
    pub locale: Option<String>,

    /// Display language of Windows, which the image must have, e.g. de-DE
    #[arg(long, value_name = "LANGUAGE")]
    pub ui_language: Option<String>,

    /// Languages and keyboards, e.g. 0407:00000407 or de-DE, separated by `;` [default: that of the locale]
    #[arg(long, value_name = "LIST")]
    pub input_locale: Option<String>,

    /// Answer all questions of the first boot; needs an account with a password
    #[arg(long)]
    pub skip_oobe: bool,

    /// Product key, XXXXX-XXXXX-XXXXX-XXXXX-XXXXX
    #[arg(long, value_name = "KEY", conflicts_with = "kms")]
    pub product_key: Option<String>,

    /// Use the edition's public key for activation by a key management server (KMS)
    #[arg(long)]
    pub kms: bool,

    /// Account to make at first boot, in these groups (separated by `;`) [default: Administrators]; may be repeated
    #[arg(long, value_name = "NAME[:GROUP]", value_parser = parsed::<LocalUser>)]
    pub local_user: Vec<LocalUser>,

    /// Log on automatically this many times: the first local account, or Administrator on a server
    #[arg(long, value_name = "TIMES")]
    pub auto_logon: Option<u32>,

    /// Installer of cloudbase-init (.msi), or a folder with it and cloudbase-init.conf: installed and started at first boot
    #[arg(long, value_name = "DIR|MSI")]
    pub cloud_init: Option<PathBuf>,

    /// Allow Remote Desktop connections
    #[arg(long)]
    pub rdp: bool,

    /// File of public keys with which administrators log on by SSH, if the image has OpenSSH; may be repeated
    #[arg(long, value_name = "FILE")]
    pub ssh_key: Vec<PathBuf>,

    /// Command that runs when an administrator logs on for the first time; may be repeated
    #[arg(long, value_name = "COMMAND")]
    pub first_logon_command: Vec<String>,

    /// File or folder to copy into the image, to its root if no destination is given; may be repeated
    #[arg(long, value_name = "SOURCE[:DESTINATION]", value_parser = parsed::<FileCopy>)]
    pub copy: Vec<FileCopy>,

    /// Registry file (.reg) whose edits are made after all others; may be repeated
    #[arg(long, value_name = "FILE")]
    pub reg: Vec<PathBuf>,

    /// Who HKEY_CURRENT_USER in registry files is: new users, or the account SYSTEM
    #[arg(long, value_enum, value_name = "USER")]
    pub reg_user: Option<RegUser>,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Network")]
pub struct Network {
    /// Name or index of the interface that gets the addresses, e.g. Ethernet
    #[arg(long, value_name = "NAME|INDEX")]
    pub interface: Option<String>,

    /// Address, with --ipv4-mask or as 10.0.0.5/24
    #[arg(long, value_name = "ADDRESS")]
    pub ipv4_address: Option<String>,

    /// Subnet mask
    #[arg(long, value_name = "MASK", value_parser = address::<Ipv4Addr>)]
    pub ipv4_mask: Option<Ipv4Addr>,

    /// Default gateway
    #[arg(long, value_name = "ADDRESS", value_parser = address::<Ipv4Addr>)]
    pub ipv4_gateway: Option<Ipv4Addr>,

    /// DNS servers, the preferred one first; may be repeated
    #[arg(long, value_name = "ADDRESS,…", value_delimiter = ',', value_parser = address::<Ipv4Addr>)]
    pub ipv4_dns: Vec<Ipv4Addr>,

    /// Address, as fd00::5 or fd00::5/64
    #[arg(long, value_name = "ADDRESS")]
    pub ipv6_address: Option<String>,

    /// DNS servers, the preferred one first; may be repeated
    #[arg(long, value_name = "ADDRESS,…", value_delimiter = ',', value_parser = address::<Ipv6Addr>)]
    pub ipv6_dns: Vec<Ipv6Addr>,

    /// Allow WinRM connections from other subnets [without a value: offline]
    #[arg(long, value_enum, value_name = "HOW", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "offline")]
    pub remote_management: Option<RemoteManagement>,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Boot")]
pub struct Boot {
    /// Debug the kernel: serial[:PORT[,BAUD]], net:IP:PORT:KEY[,BUS], 1394:CHANNEL or usb:NAME
    ///
    /// PORT of serial is 1 for COM1 [default: 2,115200]. KEY is four words with dots between; BUS is the adapter's
    /// bus.device.function.
    #[arg(long, value_name = "HOW", value_parser = parsed::<DebugTransport>)]
    pub debug: Option<DebugTransport>,

    /// Emergency Management Services on a serial port [without a value: 1,115200]
    #[arg(long, value_name = "PORT[,BAUD]", num_args = 0..=1, require_equals = true, default_missing_value = "1")]
    #[arg(value_parser = parsed::<Ems>)]
    pub ems: Option<Ems>,

    /// Load drivers that have only test signatures
    #[arg(long)]
    pub test_signing: bool,

    /// Boot setting by bcdedit's names, e.g. timeout=0 or bootmgr:bootems=yes; may be repeated
    ///
    /// OBJECT is bootmgr, loader, both, emssettings, dbgsettings, hypervisorsettings or globalsettings [default: where
    /// the setting belongs, else loader]; custom:CODE stands for a setting without a name.
    #[arg(long, value_name = "[OBJECT:]NAME=VALUE", value_parser = parsed::<BootSetting>)]
    pub boot_setting: Vec<BootSetting>,
}

impl Machine {
    /// The machine of the recipe.
    pub fn config(&self, network: &Network) -> MachineConfig {
        MachineConfig {
            computer_name: self.computer_name.clone(),
            name_in_specialize: self.name_in_specialize,
            unattend: self.unattend.clone(),
            domain_blob: self.domain_blob.clone(),
            interface: network.interface.clone(),
            ipv4_address: network.ipv4_address.clone(),
            ipv4_mask: network.ipv4_mask,
            ipv4_gateway: network.ipv4_gateway,
            ipv4_dns: network.ipv4_dns.clone(),
            ipv6_address: network.ipv6_address.clone(),
            ipv6_dns: network.ipv6_dns.clone(),
            remote_management: network.remote_management,
            setup_command: self.setup_command.clone(),
            domain_name: self.domain_name.clone(),
            reuse_domain_node: self.reuse_domain_node,
            time_zone: self.time_zone.clone(),
            locale: self.locale.clone(),
            ui_language: self.ui_language.clone(),
            input_locale: self.input_locale.clone(),
            skip_oobe: self.skip_oobe,
            product_key: self.product_key.clone(),
            kms: self.kms,
            local_user: self.local_user.clone(),
            auto_logon: self.auto_logon,
            rdp: self.rdp,
            cloud_init: self.cloud_init.clone(),
            ssh_key: self.ssh_key.clone(),
            first_logon_command: self.first_logon_command.clone(),
            user_passwords: Default::default(),
            copy: self.copy.clone(),
            reg: self.reg.clone(),
            reg_user: self.reg_user,
        }
    }
}

impl Boot {
    /// The boot settings of the recipe.
    pub fn settings(&self) -> BootSettings {
        BootSettings {
            debug: self.debug.clone(),
            ems: self.ems,
            test_signing: self.test_signing,
            boot_setting: self.boot_setting.clone(),
        }
    }
}
