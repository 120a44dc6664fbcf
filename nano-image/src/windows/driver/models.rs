//! What an INF file is for: its Version section, and its devices for one version of Windows.
//!
//! Sources: "INF Version Section", "INF Manufacturer Section" and "INF Models Section" on learn.microsoft.com.

use super::inf::{Inf, Line, bad_line, number};
use super::target::Target;
use crate::error::{Error, Result};
use crate::types::{FileTime, Guid};

/// The Version section.
pub(super) struct Version {
    pub class: String,
    pub class_guid: Guid,
    pub provider: String,
    /// Midnight of the driver's date.
    pub date: FileTime,
    pub version: [u16; 4],
    /// File name of the catalog.
    pub catalog: Option<String>,
    /// Whether only Windows' own installation may change its files.
    pub lockdown: bool,
}

/// A line of a Models section.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Model {
    /// As it is in the file: a `%name%`, or text.
    pub description: String,
    /// Like the description.
    pub manufacturer: String,
    /// Name of the section that installs it, as spelt in the file, including its platform.
    pub configuration: String,
    /// The hardware id, if there is one.
    pub hardware: Option<String>,
    pub compatible: Vec<String>,
}

/// The devices in a file for a version of Windows.
pub(super) enum Devices {
    These(Vec<Model>),
    /// There are none, for this reason.
    None(String),
}

impl Version {
    /// Reads the section; `None` if this is not the INF file of a driver for Windows NT.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) if something is missing that every driver must have.
    pub fn read(inf: &Inf, target: &Target) -> Result<Option<Self>> {
        let value = |key: &str| inf.value("Version", key);
        let signature = value("Signature")?.unwrap_or_default().to_ascii_lowercase();
        if signature != "$windows nt$" && signature != "$chicago$" {
            return Ok(None);
        }
        let missing = |what: &str| Error::corrupt(format!("bad INF file: its Version section has no {what}"));
        let Some(guid) = value("ClassGuid")? else { return Err(missing("ClassGuid")) };
        let class_guid = guid.parse().map_err(|_| missing("valid ClassGuid"))?;
        let (date, version) = match inf.lines("Version")?.iter().find(|line| line.has_key("DriverVer")) {
            Some(line) => driver_version(inf, line)?,
            None => return Err(missing("DriverVer")),
        };
        let mut catalog = None;
        for platform in target.platforms() {
            catalog = catalog.or(value(&format!("CatalogFile{platform}"))?);
        }
        Ok(Some(Self {
            class: value("Class")?.unwrap_or_default(),
            class_guid,
            provider: value("Provider")?.unwrap_or_default(),
            date,
            version,
            catalog,
            lockdown: value("PnpLockdown")?.as_deref().and_then(number) == Some(1),
        }))
    }
}

/// `month/day/year, a.b.c.d`.
fn driver_version(inf: &Inf, line: &Line) -> Result<(FileTime, [u16; 4])> {
    let bad = || bad_line(line.number, "DriverVer is not a date `month/day/year` with a version `a.b.c.d`");
    let date = inf.expand(line.field(0).ok_or_else(bad)?)?;
    let parts: Vec<u32> =
        date.split(['/', '-']).map(|part| part.trim().parse().ok()).collect::<Option<_>>().ok_or_else(bad)?;
    let &[month @ 1..=12, day @ 1..=31, year @ 1601..=9999] = &parts[..] else { return Err(bad()) };
    let mut version = [0; 4];
    let text = inf.expand(line.field(1).unwrap_or_default())?;
    let numbers: Vec<&str> = text.split('.').filter(|part| !part.trim().is_empty()).collect();
    if numbers.len() > 4 {
        return Err(bad());
    }
    for (part, number) in version.iter_mut().zip(numbers) {
        *part = number.trim().parse().map_err(|_| bad())?;
    }
    Ok((midnight(year, month, day), version))
}

/// Ticks from 1601-01-01, which begins a cycle of 400 years, to this day.
fn midnight(year: u32, month: u32, day: u32) -> FileTime {
    const BEFORE_MONTH: [u32; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let past = year - 1601;
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = past * 365 + past / 4 - past / 100
        + past / 400
        + BEFORE_MONTH[month as usize - 1]
        + u32::from(is_leap && month > 2)
        + day
        - 1;
    FileTime(u64::from(days) * 86_400 * 10_000_000)
}

/// The devices of a file for `target`.
pub(super) fn devices(inf: &Inf, target: &Target) -> Result<Devices> {
    let (mut models, mut others) = (Vec::new(), Vec::new());
    for line in inf.lines("Manufacturer")? {
        let Some(section) = line.field(0) else { continue };
        let manufacturer = line.key.as_deref().unwrap_or(section);
        let section = inf.expand(section)?;
        let mut best = None;
        for platform in line.fields[1..].iter().filter(|field| !field.is_empty()) {
            let platform = inf.expand(platform)?;
            match target.rank(&platform) {
                Some(rank) if best.as_ref().is_none_or(|(best, _)| rank > *best) => best = Some((rank, platform)),
                Some(_) => {}
                None => others.push(platform),
            }
        }
        match best {
            Some((_, platform)) => {
                read_models(inf, target, manufacturer, &format!("{section}.{platform}"), &mut models)?
            }
            // A section without a platform applies to x86 only.
            None if target.takes_undecorated() => read_models(inf, target, manufacturer, &section, &mut models)?,
            None if line.fields.len() == 1 => others.push("x86, as no platform is named".into()),
            None => {}
        }
    }
    if !models.is_empty() {
        return Ok(Devices::These(models));
    }
    others.sort();
    others.dedup();
    let why = match others.is_empty() {
        true => format!("it names no devices for {target}"),
        false => format!("it is for other processors or versions of Windows ({}), not for {target}", others.join(", ")),
    };
    Ok(Devices::None(why))
}

fn read_models(inf: &Inf, target: &Target, manufacturer: &str, section: &str, models: &mut Vec<Model>) -> Result<()> {
    for line in inf.lines(section)? {
        let (Some(description), Some(install)) = (&line.key, line.field(0)) else {
            return Err(bad_line(line.number, "no device: `description = section, id` is expected"));
        };
        let install = inf.expand(install)?;
        let decorated = target.platforms().into_iter().map(|platform| format!("{install}{platform}"));
        let Some(configuration) = decorated.into_iter().find(|section| inf.has(section)) else {
            return Err(bad_line(line.number, &format!("there is no section [{install}]")));
        };
        let mut ids = Vec::new();
        for id in &line.fields[1..] {
            let id = inf.expand(id)?;
            if id.encode_utf16().count() > 200 || id.starts_with('\\') || id.ends_with('\\') || id.contains("\\\\") {
                return Err(bad_line(line.number, "this is not a hardware id"));
            }
            ids.push(id);
        }
        // Devices that a program or a user adds, such as printers, may have no identifier.
        let hardware = ids.first().filter(|id| !id.is_empty()).cloned();
        let compatible = ids.into_iter().skip(1).filter(|id| !id.is_empty()).collect();
        let (description, manufacturer) = (description.clone(), manufacturer.to_owned());
        models.push(Model { description, manufacturer, configuration, hardware, compatible });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Architecture;

    fn target() -> Target {
        Target::new(Architecture::Amd64, Some((10, 0, 14393))).unwrap()
    }

    fn inf(text: &str) -> Inf {
        Inf::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (date, expected) in [((2012, 6, 11), 0x01CD_4765_24E7_0000), ((2021, 12, 2), 0x01D7_E70F_8C97_C000)] {
            assert_eq!(midnight(date.0, date.1, date.2), FileTime(expected));
        }
        for date in [(2000, 2, 29), (2016, 3, 1), (1601, 1, 1), (2100, 12, 31)] {
            let civil = midnight(date.0, date.1, date.2).civil();
            assert_eq!((civil.0, u32::from(civil.1), u32::from(civil.2)), date);
        }
    }

    #[test]
    fn the_version_section_is_read() {
        let text = "[version]\nsignature=\"$WINDOWS NT$\"\nClass=System\nClassGuid={4D36E97D-E325-11CE-BFC1-08002BE10318}\n\
            Provider=%v%\nDriverVer = 07/21/2023,100.93.104\nCatalogFile=a.cat\nCatalogFile.NTamd64=b.cat\nPnpLockdown=1\n\
            [Strings]\nv=\"Me, Inc.\"\n";
        let version = Version::read(&inf(text), &target()).unwrap().unwrap();
        assert_eq!((version.provider.as_str(), version.version), ("Me, Inc.", [100, 93, 104, 0]));
        assert_eq!((version.catalog.as_deref(), version.lockdown), (Some("b.cat"), true));
        for (from, to) in [("07/21/2023", "21/07/2023"), ("100.93", "100.x"), ("{4D36", "{4D3"), ("DriverVer", "Ver")] {
            assert!(Version::read(&inf(&text.replace(from, to)), &target()).is_err(), "{to}");
        }
        assert!(Version::read(&inf("[AutoRun]\nopen=a.exe\n"), &target()).unwrap().is_none());
    }

    #[test]
    fn the_section_for_the_newest_older_windows_is_taken() {
        let text = "[Manufacturer]\n%A%=M, NTamd64.6.3, NTamd64.10.0...14393, NTamd64.10.0...17763, NTx86\n%B%=N,NTamd64\n\
            C\n[M.NTamd64.6.3]\nold=x,a\\1\n[M.NTamd64.10.0...14393]\n%d%=X,a\\2,a\\3,a\\4\nsecond=x,,a\\5\nnone=x\n\
            [M.NTamd64.10.0...17763]\nnew=x,a\\9\n[N.ntamd64]\nother=x,b\\1\n[x]\n[X.NT]\n";
        let Devices::These(models) = devices(&inf(text), &target()).unwrap() else { panic!("none") };
        let ids: Vec<_> = models.iter().map(|model| (model.hardware.as_deref(), model.compatible.join(" "))).collect();
        let own = [(Some(r"a\2"), r"a\3 a\4".into()), (None, r"a\5".into()), (None, String::new())];
        assert_eq!((&ids[..3], &ids[3..]), (&own[..], &[(Some(r"b\1"), String::new())][..]));
        assert_eq!((models[0].description.as_str(), models[0].configuration.as_str()), ("%d%", "X.NT"));
        assert_eq!(models[3].manufacturer, "%B%");
    }

    #[test]
    fn what_is_for_others_is_told() {
        for (manufacturer, expected) in
            [("a=M,NTx86", "NTx86"), ("a=M", "x86, as"), ("a=M,NTamd64.10.0...17763", "17763"), ("", "no devices")]
        {
            let text = format!("[Manufacturer]\n{manufacturer}\n[M]\na=b,c\n[M.NTx86]\na=b,c\n[b]\n");
            let Devices::None(why) = devices(&inf(&text), &target()).unwrap() else { panic!("{manufacturer}") };
            assert!(why.contains(expected) && why.contains("amd64"), "{why}");
        }
        assert!(devices(&inf("[Manufacturer]\na=M,NTamd64\n[M.NTamd64]\na=b,c\n"), &target()).is_err());
    }
}
