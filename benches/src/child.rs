//! Runs a program and measures it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use wait4::Wait4;

use crate::Failure;
use crate::results::Measurement;

/// A program to measure.
#[derive(Clone, Debug)]
pub struct Program {
    /// Program and arguments.
    pub arguments: Vec<OsString>,
    pub environment: Vec<(String, OsString)>,
    /// The file that it writes; removed before and after.
    pub output: Option<PathBuf>,
}

impl Program {
    /// Runs it until it ends. The costs of its children count, if it waits for them.
    pub fn measure(&self, log: &Path) -> Result<Measurement, Failure> {
        self.remove_output()?;
        let stderr = File::create(log)?;
        let mut command = Command::new(&self.arguments[0]);
        command.args(&self.arguments[1..]).envs(self.environment.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        let start = Instant::now();
        let child = command.spawn().map_err(|error| format!("{}: {error}", self.arguments[0].display()))?;
        let id = child.id();
        let pid = Pid::from_raw(i32::try_from(id)?).ok_or("a process without number")?;
        // The counters of a process can be read until it has been waited for.
        waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?;
        let wall = start.elapsed();
        let counters = fs::read_to_string(format!("/proc/{id}/io")).unwrap_or_default();
        let used = child.wait4()?;
        if !used.status.success() {
            let said = fs::read_to_string(log).unwrap_or_default();
            let tail: Vec<&str> = said.lines().rev().take(5).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            return Err(format!("{:?} ended with {}:\n{}", self.arguments, used.status, tail.join("\n")).into());
        }
        let counter = |name: &str| -> u64 {
            let line = counters.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            line.and_then(|value| value.parse().ok()).unwrap_or(0)
        };
        let file = self.output.as_ref().map(fs::metadata).transpose()?;
        let measurement = Measurement {
            wall: wall.as_secs_f64(),
            user: used.rusage.utime.as_secs_f64(),
            system: used.rusage.stime.as_secs_f64(),
            peak_memory: used.rusage.maxrss,
            read: counter("rchar"),
            written: counter("wchar"),
            read_from_disk: counter("read_bytes"),
            written_to_disk: counter("write_bytes"),
            file_size: file.as_ref().map(fs::Metadata::len),
            allocated: file.as_ref().map(|file| file.blocks() * 512),
        };
        self.remove_output()?;
        Ok(measurement)
    }

    fn remove_output(&self) -> Result<(), Failure> {
        match self.output.as_ref().map(fs::remove_file) {
            Some(Err(error)) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, output: Option<PathBuf>) -> Program {
        let arguments = ["sh", "-c", script].map(OsString::from).to_vec();
        Program { arguments, environment: Vec::new(), output }
    }

    #[test]
    fn what_children_cost_is_counted() {
        let folder = std::env::temp_dir().join(format!("nano-bench-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let (log, out) = (folder.join("log"), folder.join("out"));
        let script = format!("head -c 50000000 /dev/zero > '{}'; sleep 0.2", out.display());
        let measured = shell(&script, Some(out.clone())).measure(&log).unwrap();
        assert!((0.2..20.0).contains(&measured.wall), "{measured:?}");
        assert!(measured.written >= 50_000_000 && measured.read >= 50_000_000, "{measured:?}");
        assert_eq!(measured.file_size, Some(50_000_000));
        assert!(measured.user + measured.system > 0.0 && measured.peak_memory > 100_000, "{measured:?}");
        assert!(!out.exists());
        let error = shell("echo oops >&2; exit 3", None).measure(&log).unwrap_err().to_string();
        assert!(error.contains("oops") && error.contains('3'), "{error}");
        fs::remove_dir_all(folder).unwrap();
    }
}
