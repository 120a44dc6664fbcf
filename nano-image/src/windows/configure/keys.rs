//! Product keys: given ones, and those with which Windows asks a key management server (KMS).
//!
//! Source: "Key Management Services (KMS) client activation and product keys" on learn.microsoft.com.

use crate::error::{Error, Result};
use crate::windows::answer::{AnswerFile, SHELL_SETUP};

/// Edition (`EditionID`), first and last build, and key.
const KMS: [(&str, u32, u32, &str); 15] = [
    ("ServerStandard", 14393, 17762, "WC2BQ-8NRM3-FDDYY-2BFGV-KHKQY"),
    ("ServerDatacenter", 14393, 17762, "CB7KF-BWN84-R7R2Y-793K2-8XDDG"),
    ("ServerSolution", 14393, 17762, "JCKRF-N37P4-C2D82-9YXRT-4M63B"),
    ("ServerStandard", 17763, 20347, "N69G4-B89J2-4G8F4-WWYCC-J464C"),
    ("ServerDatacenter", 17763, 20347, "WMDGN-G9PQG-XVVXX-R3X43-63DFG"),
    ("ServerSolution", 17763, 20347, "WVDHN-86M7X-466P6-VHXV7-YY726"),
    ("ServerStandard", 20348, 26099, "VDYBN-27WPP-V4HQT-9VMD4-VMK7H"),
    ("ServerDatacenter", 20348, 26099, "WX4NM-KYWYW-QJJR4-XV3QB-6VM33"),
    ("ServerTurbine", 20348, 26099, "NTBV8-9K7Q8-V27C6-M2BTV-KHMXV"),
    ("ServerStandard", 26100, u32::MAX, "TVRH6-WHNXV-R9WG3-9XRFY-MY832"),
    ("ServerDatacenter", 26100, u32::MAX, "D764K-2NDRG-47T6Q-P8T8W-YP6DF"),
    ("ServerTurbine", 26100, u32::MAX, "XGN3F-F394H-FD2MY-PP6FD-8MCRC"),
    ("Professional", 10240, u32::MAX, "W269N-WFGWX-YVC9B-4J6C9-T83GX"),
    ("Enterprise", 10240, u32::MAX, "NPPR9-FWDCX-D2C8J-H872K-2YT43"),
    ("EnterpriseS", 17763, u32::MAX, "M7XTQ-FN8P6-TTKYV-9D4CC-J462D"),
];

/// Refuses what is not a product key. The error does not repeat the key.
pub(super) fn check(key: &str) -> Result<()> {
    let groups: Vec<&str> = key.split('-').collect();
    let is_group = |group: &&str| group.len() == 5 && group.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match groups.len() == 5 && groups.iter().all(is_group) {
        true => Ok(()),
        false => Err(Error::recipe("the product key does not have five groups of five letters and digits")
            .with_hint("write it as XXXXX-XXXXX-XXXXX-XXXXX-XXXXX")),
    }
}

/// The key for KMS of an edition.
pub(super) fn kms(edition: &str, build: u32) -> Result<&'static str> {
    let of_it =
        |known: &&(&str, u32, u32, &str)| known.0.eq_ignore_ascii_case(edition) && (known.1..=known.2).contains(&build);
    KMS.iter().find(of_it).map(|known| known.3).ok_or_else(|| {
        Error::unsupported(format!(
            "no key for a key management server is known for the edition {edition}, build {build}"
        ))
        .with_hint("give it as the product key")
    })
}

/// Refuses a key if the answer file has a different one.
pub(super) fn check_conflict(file: &AnswerFile, key: Option<&str>) -> Result<()> {
    let other = file.text("specialize", SHELL_SETUP, &["ProductKey"]);
    let differs = |given: &str| other.as_ref().is_some_and(|other| !other.eq_ignore_ascii_case(given));
    match key.is_some_and(differs) {
        true => Err(Error::recipe("a product key is given, and the answer file has another one")
            .with_hint("remove one of them")),
        false => Ok(()),
    }
}

/// Refuses a key for an evaluation edition, which must be converted first.
pub(super) fn check_edition(edition: &str) -> Result<()> {
    match edition.to_lowercase().ends_with("eval") {
        true => Err(Error::unsupported(format!("{edition} is an evaluation edition, which takes no product key"))
            .with_hint("leave the key out; `DISM /Online /Set-Edition` converts the running machine")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_chosen_by_edition_and_build() {
        assert_eq!(kms("ServerStandard", 20348).unwrap(), "VDYBN-27WPP-V4HQT-9VMD4-VMK7H");
        assert_eq!(kms("serverdatacenter", 14393).unwrap(), "CB7KF-BWN84-R7R2Y-793K2-8XDDG");
        assert_eq!(kms("Professional", 26100).unwrap(), "W269N-WFGWX-YVC9B-4J6C9-T83GX");
        assert!(kms("ServerStandard", 9600).unwrap_err().hint().is_some());
        KMS.iter().for_each(|known| check(known.3).unwrap());
        for bad in ["", "VDYBN-27WPP-V4HQT-9VMD4", "VDYBN-27WPP-V4HQT-9VMD4-VMK7", "VDYBN_27WPP_V4HQT_9VMD4_VMK7H"] {
            let error = check(bad).unwrap_err();
            assert!(error.hint().is_some() && (bad.is_empty() || !error.message().contains(bad)));
        }
        assert!(check_edition("ServerStandardEval").is_err() && check_edition("ServerStandard").is_ok());
    }
}
