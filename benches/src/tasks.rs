//! `tasks`: images with packages, a driver, an update, or clones, each compared with the same image without it.

use std::ffi::OsString;
use std::fs;
use std::process::Command;

use clap::Args;
use fixtures::media::Release;
use fixtures::packages::update;

use crate::Failure;
use crate::machine::Machine;
use crate::results::{Kind, Measurement, Results, Row};
use crate::run::{Entry, Setup, facts, rounds};

/// How much, and how often.
#[derive(Args, Debug)]
pub struct Tasks {
    /// Total bytes of the packages on the media, in MB
    #[arg(long, default_value_t = 64)]
    megabytes: u64,
    /// Numbers of components in the update, and how many of them suit the image
    #[arg(long, num_args = 2, value_names = ["N", "N"], default_values_t = [25_000, 2000])]
    components: Vec<usize>,
    /// Number of machines to clone
    #[arg(long, default_value_t = 100)]
    machines: usize,
    #[command(flatten)]
    pub setup: Setup,
}

const DRIVER: &str = "[Version]\r\nSignature=\"$Windows NT$\"\r\nClass=System\r\n\
    ClassGuid={4d36e97d-e325-11ce-bfc1-08002be10318}\r\nProvider=Bench\r\nDriverVer=01/02/2026,1.0.0.0\r\n\
    [Manufacturer]\r\nBench=Models,NTamd64\r\n[Models.NTamd64]\r\nDevice=Install,PCI\\VEN_1AF4&DEV_10FF\r\n\
    [Install]\r\nCopyFiles=Files\r\n[Files]\r\nbench.sys\r\n[DestinationDirs]\r\nFiles=12\r\n\
    [Install.Services]\r\nAddService=bench,2,Service\r\n\
    [Service]\r\nServiceType=1\r\nStartType=3\r\nErrorControl=1\r\nServiceBinary=%12%\\bench.sys\r\n";

impl Tasks {
    pub fn results(&self) -> Result<Results, Failure> {
        let dir = self.setup.folder()?.join("tasks");
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("driver"))?;
        let dir = fs::canonicalize(dir)?;
        let program = self.setup.program()?;
        let media = dir.join("media");
        Release::Rtm.write(&media, &fixtures::scenes::pe_stand_in(), self.megabytes << 20)?;
        fs::write(dir.join("driver/bench.inf"), DRIVER)?;
        fs::write(dir.join("driver/bench.sys"), vec![7; 300_000])?;
        let (components, applying) = (self.components[0], self.components[1]);
        let cabinet = update::to_cabinet(&update::intra(&update::cumulative(components, applying)));
        let msu = update::to_cabinet(&vec![("Windows10.0-KB4000002-x64.cab".into(), cabinet)]);
        fs::write(dir.join("update.msu"), msu)?;
        let machines: String = (1..=self.machines).map(|number| format!("web-{number:04}\n")).collect();
        fs::write(dir.join("machines.csv"), format!("name\n{machines}"))?;

        let wim = media.join("NanoServer/NanoServer.wim");
        let facts = facts(&wim, "1")?;
        let path = |name: &str| OsString::from(dir.join(name));
        let source: [OsString; 6] = [
            "--media".into(),
            media.clone().into(),
            "--edition".into(),
            "standard".into(),
            "--allow-unbootable".into(),
            "--quiet".into(),
        ];
        let all = ["--deployment", "guest", "--compute", "--storage", "--clustering"].map(OsString::from);
        let tasks: [(String, &[OsString]); 4] = [
            ("nothing".into(), &[]),
            ("all packages".into(), &all),
            ("a driver".into(), &["--driver".into(), path("driver")]),
            (
                format!("an update of {components} components, {applying} of them for it"),
                &["--servicing-package".into(), path("update.msu")],
            ),
        ];
        let mut entries = Vec::new();
        for (name, flags) in tasks {
            let output = dir.join("out.vhdx");
            let mut arguments = vec![program.clone().into(), "build".into()];
            arguments.extend(source.iter().chain(flags).cloned());
            arguments.extend(["--force".into(), "-o".into(), output.clone().into()]);
            entries.push(Entry::new(name, Kind::Own, facts, arguments, Some(output)));
        }
        let golden = dir.join("golden.vhdx");
        let made = Command::new(&program).arg("build").args(&source).arg("-o").arg(&golden).status()?;
        if !made.success() {
            return Err(format!("the image that is cloned: {made}").into());
        }
        let mut arguments = vec![program.into(), "clone".into(), golden.into()];
        arguments.extend(source.iter().cloned());
        arguments.extend(["--machines".into(), path("machines.csv"), "--force".into()]);
        arguments.extend(["-o".into(), path("machine-{name}.vhdx")]);
        entries.push(Entry::new(format!("{} clones", self.machines), Kind::Own, facts, arguments, None));

        let machine = Machine::this(&dir);
        let measured = rounds(&mut entries, self.setup.rounds, &dir);
        fs::remove_dir_all(&dir)?;
        measured?;
        let title = format!("Tasks on generated media whose packages have {} MB", self.megabytes);
        let rows = entries.into_iter().map(|entry| entry.row).collect();
        let mut results = Results { title, machine, rounds: self.setup.rounds, rows, findings: Vec::new() };
        results.findings = findings(&results);
        Ok(results)
    }
}

/// What each task costs compared with an image without it, in the same rounds.
fn findings(results: &Results) -> Vec<String> {
    let Some((nothing, tasks)) = results.rows.split_first() else { return Vec::new() };
    let tell = |row: &Row| {
        let cpu = row.ratio(nothing, Measurement::cpu)?;
        let memory = row.ratio(nothing, |run: &Measurement| run.peak_memory as f64)?;
        let (cpu, memory) = (cpu.median, memory.median);
        Some(format!(
            "{}: {cpu:.2} times the processor time of the image alone, {memory:.2} times its memory",
            row.name
        ))
    };
    tasks.iter().filter_map(tell).collect()
}
