//! Setup, commands, drivers, joining a domain.

use super::model::{
    Component, Key, Kind, Setting, any, complete, flag, group, item, number, one_of, partly, setting, text,
};
use crate::windows::answer::{Pass, UNATTENDED_JOIN};

/// Longest path of a command, and what describes it.
const PATH: usize = 259;

const WINDOWS_PE: &[Pass] = &[Pass::WindowsPe];

pub(super) const COMPONENTS: &[Component] = &[
    complete(
        "Microsoft-Windows-Setup",
        WINDOWS_PE,
        &[
            any("ComplianceCheck"),
            any("Diagnostics"),
            any("DiskConfiguration"),
            any("Display"),
            any("DynamicUpdate"),
            any("EnableFirewall"),
            any("EnableNetwork"),
            any("ImageInstall"),
            any("LogPath"),
            any("PageFile"),
            any("Restart"),
            RUN_ASYNCHRONOUS,
            RUN_SYNCHRONOUS,
            any("UpgradeData"),
            any("UseConfigurationSet"),
            any("UserData"),
            any("WindowsDeploymentServices"),
        ],
    ),
    complete(
        "Microsoft-Windows-Deployment",
        &[Pass::Generalize, Pass::Specialize, Pass::AuditSystem, Pass::AuditUser, Pass::OobeSystem],
        &[
            group("ExtendOSPartition", &[flag("Extend"), number("Size", 0, i64::MAX)]),
            any("Generalize"),
            group("Reseal", &[flag("ForceShutdownNow"), one_of("Mode", &["Audit", "OOBE"])]),
            RUN_ASYNCHRONOUS,
            RUN_SYNCHRONOUS,
        ],
    ),
    complete("Microsoft-Windows-PnpCustomizationsWinPE", WINDOWS_PE, &[DRIVER_PATHS]),
    complete(
        "Microsoft-Windows-PnpCustomizationsNonWinPE",
        &[Pass::OfflineServicing, Pass::AuditSystem],
        &[DRIVER_PATHS],
    ),
    complete(
        "Microsoft-Windows-PnpSysprep",
        &[Pass::Generalize, Pass::Specialize],
        &[flag("DoNotCleanUpNonPresentDevices"), flag("PersistAllDeviceInstalls")],
    ),
    complete(
        UNATTENDED_JOIN,
        &[Pass::OfflineServicing, Pass::Specialize],
        &[
            group(
                "Identification",
                &[
                    CREDENTIALS,
                    flag("DebugJoin"),
                    any("DebugJoinOnlyOnThisError"),
                    setting("JoinDomain", Kind::Needed(0)),
                    setting("JoinWorkgroup", Kind::Needed(0)),
                    any("MachineObjectOU"),
                    any("MachinePassword"),
                    group("Provisioning", &[any("AccountData")]),
                    any("TimeoutPeriodInMinutes"),
                    flag("UnsecureJoin"),
                ],
            )
            .only(&[Pass::Specialize]),
            group("OfflineIdentification", &[group("Provisioning", &[any("AccountData")])])
                .only(&[Pass::OfflineServicing]),
        ],
    ),
    partly("Microsoft-Windows-WinRE-RecoveryAgent", &[Pass::OobeSystem], &[flag("UninstallWindowsRE")]),
];

const RUN_SYNCHRONOUS: Setting = group(
    "RunSynchronous",
    &[item(
        "RunSynchronousCommand",
        Key::Order,
        Kind::Group(&[
            CREDENTIALS,
            text("Description", PATH),
            any("Order"),
            setting("Path", Kind::Needed(PATH)),
            one_of("WillReboot", &["Always", "OnRequest", "Never"]),
        ]),
    )],
);

const RUN_ASYNCHRONOUS: Setting = group(
    "RunAsynchronous",
    &[item(
        "RunAsynchronousCommand",
        Key::Order,
        Kind::Group(&[CREDENTIALS, text("Description", PATH), any("Order"), setting("Path", Kind::Needed(PATH))]),
    )],
);

/// Passwords here are plain text.
const CREDENTIALS: Setting = group("Credentials", &[any("Domain"), any("Password"), any("Username")]);

const DRIVER_PATHS: Setting = group(
    "DriverPaths",
    &[item("PathAndCredentials", Key::Attribute, Kind::Group(&[CREDENTIALS, setting("Path", Kind::Needed(0))]))],
);
