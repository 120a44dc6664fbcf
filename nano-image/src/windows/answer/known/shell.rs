//! Shell-Setup and languages.

use super::model::{
    Component, Key, Kind, Setting, any, complete, flag, group, item, number, one_of, partly, setting, text,
};
use crate::windows::answer::{Pass, SHELL_SETUP};

/// Longest line of a command at logon, and what describes it.
const COMMAND: usize = 1024;
const DESCRIPTION: usize = 256;

const OOBE: &[Pass] = &[Pass::OobeSystem];

pub(super) const COMPONENTS: &[Component] = &[
    complete(SHELL_SETUP, &[], SETTINGS),
    complete(
        "Microsoft-Windows-International-Core",
        &[],
        &[
            locale("InputLocale"),
            locale("SystemLocale"),
            setting("UILanguage", Kind::Language),
            locale("UILanguageFallback"),
            locale("UserLocale"),
        ],
    ),
    complete(
        "Microsoft-Windows-International-Core-WinPE",
        &[Pass::WindowsPe],
        &[
            locale("InputLocale"),
            any("LayeredDriver"),
            group("SetupUILanguage", &[locale("UILanguage"), any("WillShowUI")]),
            locale("SystemLocale"),
            locale("UILanguage"),
            locale("UILanguageFallback"),
            locale("UserLocale"),
        ],
    ),
    partly("Microsoft-Windows-OutOfBoxExperience", &[], &[flag("DoNotOpenInitialConfigurationTasksAtLogon")]),
];

const SETTINGS: &[Setting] = &[
    group(
        "AutoLogon",
        &[
            text("Domain", 256),
            flag("Enabled"),
            number("LogonCount", 0, u32::MAX as i64),
            setting("Password", Kind::Password),
            text("Username", 256),
        ],
    ),
    flag("BluetoothTaskbarIconEnabled"),
    setting("ComputerName", Kind::ComputerName).only(&[Pass::OfflineServicing, Pass::Specialize]),
    any("ConvertibleSlateModePromptPreference"),
    flag("CopyProfile"),
    any("DesktopOptimization"),
    flag("DisableAutoDaylightTimeSet"),
    group(
        "Display",
        &[
            number("ColorDepth", 0, 64),
            any("DPI"),
            any("HorizontalResolution"),
            any("RefreshRate"),
            any("VerticalResolution"),
        ],
    ),
    flag("DoNotCleanTaskBar"),
    flag("EnableStartMenu"),
    group("FirstLogonCommands", &[item("SynchronousCommand", Key::Order, Kind::Group(LOGON_COMMAND))]).only(OOBE),
    any("FolderLocations"),
    group("LogonCommands", &[item("AsynchronousCommand", Key::Order, Kind::Group(LOGON_COMMAND))]).only(OOBE),
    any("NotificationArea"),
    any("OEMInformation"),
    any("OEMName"),
    group(
        "OOBE",
        &[
            flag("HideEULAPage"),
            flag("HideLocalAccountScreen"),
            flag("HideOEMRegistrationScreen"),
            flag("HideOnlineAccountScreens"),
            flag("HideWirelessSetupInOOBE"),
            one_of("NetworkLocation", &["Home", "Work", "Other"]),
            any("OEMAppId"),
            number("ProtectYourPC", 1, 3),
            flag("SkipMachineOOBE"),
            flag("SkipUserOOBE"),
            flag("UnattendEnableRetailDemo"),
            group(
                "VMModeOptimizations",
                &[
                    flag("SkipAdministratorProfileRemoval"),
                    flag("SkipNotifyUILanguageChange"),
                    flag("SkipWinREInitialization"),
                ],
            ),
        ],
    )
    .only(OOBE),
    group(
        "OfflineUserAccounts",
        &[
            setting("OfflineAdministratorPassword", Kind::Password),
            any("OfflineDomainAccounts"),
            group("OfflineLocalAccounts", &[item("LocalAccount", Key::Child("Name"), Kind::Group(ACCOUNT))]),
        ],
    )
    .only(&[Pass::OfflineServicing]),
    setting("ProductKey", Kind::ProductKey),
    text("RegisteredOrganization", 256),
    text("RegisteredOwner", 256),
    any("ShowPowerButtonOnStartScreen"),
    flag("ShowWindowsLive"),
    any("SignInMode"),
    flag("StartPanelOff"),
    any("StartTiles"),
    any("TaskbarLinks"),
    any("Themes"),
    setting("TimeZone", Kind::TimeZone),
    group(
        "UserAccounts",
        &[
            setting("AdministratorPassword", Kind::Password),
            group(
                "DomainAccounts",
                &[item(
                    "DomainAccountList",
                    Key::Child("Domain"),
                    Kind::Group(&[
                        text("Domain", 256),
                        item("DomainAccount", Key::Child("Name"), Kind::Group(&[text("Group", 0), text("Name", 0)])),
                    ]),
                )],
            ),
            group("LocalAccounts", &[item("LocalAccount", Key::Child("Name"), Kind::Group(ACCOUNT))]),
        ],
    )
    .only(&[Pass::AuditSystem, Pass::OobeSystem]),
    any("VisualEffects"),
    any("WindowsFeatures"),
];

const LOGON_COMMAND: &[Setting] = &[
    setting("CommandLine", Kind::Needed(COMMAND)),
    text("Description", DESCRIPTION),
    any("Order"),
    flag("RequiresUserInput"),
];

const ACCOUNT: &[Setting] = &[
    text("Description", 256),
    text("DisplayName", 256),
    text("Group", 0),
    setting("Name", Kind::AccountName),
    setting("Password", Kind::Password),
];

const fn locale(name: &'static str) -> Setting {
    setting(name, Kind::Locale)
}
