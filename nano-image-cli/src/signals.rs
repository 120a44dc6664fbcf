//! Signals that end the program: nothing is left behind.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nano_image::{Error, ErrorKind, Result};

use crate::report;

/// Set by the first Ctrl-C, SIGTERM or SIGHUP.
static STOP: AtomicBool = AtomicBool::new(false);
/// Whether errors are written for programs.
static JSON: AtomicBool = AtomicBool::new(false);
/// Files to remove if the program ends at once. The lock is held while files get their names.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// How long the work may take to end by itself after the first signal.
const GRACE: Duration = Duration::from_secs(1);
/// Exit status of a program that a signal stopped.
const STOPPED: i32 = 130;

/// Makes it an error, not the end of the program, if a file grows beyond a limit of the shell. A closed pipe is an
/// error already.
pub fn prepare() {
    #[cfg(unix)]
    {
        let unused = std::sync::Arc::new(AtomicBool::new(false));
        // If this fails, the program ends as it would have before.
        let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, unused);
    }
    #[cfg(unix)]
    {
        let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
        // A memory dump could contain a password.
        let _ = rustix::process::setrlimit(rustix::process::Resource::Core, none);
    }
}

/// Forbids the system to dump memory that holds secrets, even if a program would receive the dump.
pub fn hold_secrets() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

/// Lets the first Ctrl-C, SIGTERM or SIGHUP stop the work cleanly, and the second one at once. Work that does not end
/// soon, because it waits for a pipe or a slow file, is ended too.
pub fn stop_on_signals(json_errors: bool) -> Result<()> {
    JSON.store(json_errors, Ordering::Relaxed);
    let handler = || {
        if STOP.swap(true, Ordering::Relaxed) {
            end();
        }
        std::thread::spawn(|| {
            std::thread::sleep(GRACE);
            report::failure(&Error::cancelled(), JSON.load(Ordering::Relaxed));
            end();
        });
    };
    ctrlc::set_handler(handler)
        .map_err(|error| Error::new(ErrorKind::Io, "cannot listen to signals").with_source(error))
}

/// Whether the work should stop.
pub fn stopped() -> bool {
    STOP.load(Ordering::Relaxed)
}

/// Makes sure that `paths` are removed if the program ends at once.
pub fn remove_if_killed(paths: Vec<PathBuf>) {
    unfinished().extend(paths);
}

/// Does `work`, which no signal interrupts; after it no file counts as unfinished.
pub fn undisturbed<T>(work: impl FnOnce() -> T) -> T {
    let mut unfinished = unfinished();
    let done = work();
    unfinished.clear();
    done
}

fn end() -> ! {
    // Folders were noted before the files in them.
    for path in unfinished().iter().rev() {
        let _ = std::fs::remove_file(path).or_else(|_| std::fs::remove_dir(path));
    }
    std::process::exit(STOPPED);
}

fn unfinished() -> MutexGuard<'static, Vec<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}
