//! cloudbase-init, which sets up a machine with data from its cloud. It is copied into the image and installed at first
//! boot.
//!
//! Its installer runs only in Windows. The service runs as SYSTEM, because an account of its own would need a password.
//! Sources: the documentation and the installer of cloudbase-init.

use std::path::{Path, PathBuf};

use super::FileCopy;
use crate::content::{InputFiles, InputKind};
use crate::error::{Error, Result};
use crate::windows::edit::{HiveFile, ImageEdit, control_set};

/// Its folder in the image until it is installed.
const STAGE: &str = r"Windows\Setup\Cloudbase-Init";
const INSTALLER: &str = "CloudbaseInitSetup.msi";
const SETTINGS: &str = "cloudbase-init.conf";

/// The installer and the files of settings at `path`, an MSI file or a folder with one, as files to copy.
///
/// # Errors
/// [`NotFound`](crate::ErrorKind::NotFound) if there is no installer, [`Recipe`](crate::ErrorKind::Recipe) if there are
/// several.
pub(super) fn find(from: &InputFiles, path: &Path) -> Result<Vec<FileCopy>> {
    const HINT: &str = "name CloudbaseInitSetup_x64.msi, or a folder with it and perhaps cloudbase-init.conf";
    let failed = |error| Error::io("read", path, error);
    let is_msi = |path: &Path| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("msi"));
    let copy = |source: PathBuf, name: &str| FileCopy { source, destination: Some(format!(r"{STAGE}\{name}")) };
    if from.kind(path).map_err(failed)? != InputKind::Folder {
        return match is_msi(path) {
            true => Ok(vec![copy(path.into(), INSTALLER)]),
            false => {
                Err(Error::unsupported("this is not an installer of cloudbase-init").with_path(path).with_hint(HINT))
            }
        };
    }
    let files = from.list(path).map_err(failed)?;
    let installers: Vec<&PathBuf> = files.iter().filter(|file| is_msi(file)).collect();
    let [installer] = installers[..] else {
        let error = match installers.is_empty() {
            true => Error::not_found("the folder has no installer of cloudbase-init (.msi)"),
            false => Error::recipe(format!("the folder has {} installers (.msi)", installers.len())),
        };
        return Err(error.with_path(path).with_hint(HINT));
    };
    let mut copies = vec![copy(installer.clone(), INSTALLER)];
    for file in &files {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.to_ascii_lowercase().ends_with(".conf") {
            copies.push(copy(file.clone(), name));
        }
    }
    Ok(copies)
}

/// The first-boot commands that install it. Its settings are put in place before it runs.
pub(super) fn commands() -> Vec<String> {
    let stage = format!(r"%SystemRoot%{}", STAGE.trim_start_matches("Windows"));
    let home = r"%ProgramFiles%\Cloudbase Solutions\Cloudbase-Init\conf";
    vec![
        format!(
            "start /wait msiexec /i \"{stage}\\{INSTALLER}\" /qn /norestart /l*v \"{stage}\\install.log\" \
             RUN_SERVICE_AS_LOCAL_SYSTEM=1"
        ),
        format!("copy /y \"{stage}\\*.conf\" \"{home}\""),
        "sc config cloudbase-init start= auto".into(),
        "net start cloudbase-init".into(),
    ]
}

/// Writes settings to an image that has none: the data sources that clouds use, in their order.
pub(super) fn write_settings(image: &mut ImageEdit<'_>) -> Result<()> {
    let path = format!(r"{STAGE}\{SETTINGS}");
    if image.tree.find(&path).is_some() {
        return Ok(());
    }
    // Otherwise the program would reset it.
    let clock_is_utc = image.hive(HiveFile::System)?.is_some_and(|hive| {
        let key = hive.find(&format!(r"{}\Control\TimeZoneInformation", control_set(hive)));
        key.and_then(|key| hive.value(key, "RealTimeIsUniversal")?.as_dword()) == Some(1)
    });
    let home = r"C:\Program Files\Cloudbase Solutions\Cloudbase-Init";
    let services = ["configdrive.ConfigDriveService", "nocloudservice.NoCloudConfigDriveService"];
    let others = ["azureservice.AzureService", "httpservice.HttpService", "base.EmptyMetadataService"];
    let service = |name: &&str| format!("cloudbaseinit.metadata.services.{name}");
    let services: Vec<String> = services.iter().chain(&others).map(service).collect();
    let lines = [
        "[DEFAULT]".into(),
        "username=Administrator".into(),
        "groups=Administrators".into(),
        "inject_user_password=true".into(),
        "config_drive_raw_hhd=true".into(),
        "config_drive_cdrom=true".into(),
        "config_drive_vfat=true".into(),
        format!(r"bsdtar_path={home}\bin\bsdtar.exe"),
        format!(r"mtools_path={home}\bin\"),
        format!(r"local_scripts_path={home}\LocalScripts\"),
        format!(r"logdir={home}\log\"),
        "logfile=cloudbase-init.log".into(),
        "verbose=true".into(),
        "check_latest_version=false".into(),
        "mtu_use_dhcp_config=true".into(),
        "ntp_use_dhcp_config=true".into(),
        format!("real_time_clock_utc={clock_is_utc}"),
        format!("metadata_services={}", services.join(",")),
    ];
    let text: String = lines.iter().map(|line: &String| format!("{line}\r\n")).collect();
    image.write(&path, text.into_bytes())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn an_installer_is_found_with_its_settings() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        assert_eq!(find(&InputFiles::default(), folder.path()).unwrap_err().kind(), crate::error::ErrorKind::NotFound);
        fs::write(at("CloudbaseInitSetup_x64.msi"), "msi").unwrap();
        fs::write(at("cloudbase-init.conf"), "[DEFAULT]").unwrap();
        fs::write(at("readme.txt"), "").unwrap();
        let targets = |path: &Path| -> Vec<String> {
            find(&InputFiles::default(), path).unwrap().into_iter().filter_map(|copy| copy.destination).collect()
        };
        let installer = r"Windows\Setup\Cloudbase-Init\CloudbaseInitSetup.msi";
        assert_eq!(targets(&at("CloudbaseInitSetup_x64.msi")), [installer]);
        assert_eq!(targets(folder.path()), [installer, r"Windows\Setup\Cloudbase-Init\cloudbase-init.conf"]);
        fs::write(at("other.MSI"), "msi").unwrap();
        for (path, part) in [(folder.path(), "2 installers"), (&*at("readme.txt"), "not an installer")] {
            let error = find(&InputFiles::default(), path).unwrap_err();
            assert!(error.message().contains(part) && error.hint().is_some(), "{error}");
        }
    }
}
