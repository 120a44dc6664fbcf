//! Progress on standard error.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle as BarStyle};
use nano_image::{ByteSize, Observer, Phase};
use serde_json::json;

use crate::args::ProgressStyle;
use crate::{report, signals};

/// Shows progress in one of the styles, and measures the time of the phases.
pub struct Progress(Style, Mutex<Vec<(Phase, Instant)>>);

enum Style {
    None,
    Plain(Mutex<Plain>),
    Json(Mutex<(Phase, Option<ByteSize>)>),
    Bar(Mutex<ProgressBar>),
}

/// When the next plain line is due.
struct Plain {
    phase: Phase,
    total: Option<ByteSize>,
    /// Tenths of the total that have been reported.
    tenths: u64,
    told: Instant,
}

impl Progress {
    /// In `style`, as far as standard error allows it.
    pub fn new(style: ProgressStyle) -> Self {
        let style = match style.on_this_terminal() {
            ProgressStyle::None => Style::None,
            ProgressStyle::Json => Style::Json(Mutex::new((Phase::Read, None))),
            ProgressStyle::Bar => Style::Bar(Mutex::new(ProgressBar::hidden())),
            ProgressStyle::Auto | ProgressStyle::Plain => {
                let told = Instant::now();
                Style::Plain(Mutex::new(Plain { phase: Phase::Read, total: None, tenths: 0, told }))
            }
        };
        Self(style, Mutex::default())
    }

    /// The phases so far, and how long each took until the next one or now.
    pub fn durations(&self) -> Vec<(Phase, Duration)> {
        let begun = lock(&self.1);
        let ends = begun.iter().skip(1).map(|(_, begin)| *begin).chain([Instant::now()]);
        begun.iter().zip(ends).map(|((phase, begin), end)| (*phase, end - *begin)).collect()
    }
}

impl Observer for Progress {
    fn begin(&self, phase: Phase, total: Option<ByteSize>) {
        lock(&self.1).push((phase, Instant::now()));
        match &self.0 {
            Style::None => {}
            Style::Plain(state) => {
                let told = Instant::now();
                *lock(state) = Plain { phase, total, tenths: 0, told };
                let total = total.map(|total| format!(": {total}")).unwrap_or_default();
                report::message(&format!("{}{total}\n", phase.name()));
            }
            Style::Json(state) => {
                *lock(state) = (phase, total);
                json_line(phase, ByteSize::new(0), total);
            }
            Style::Bar(bar) => {
                let mut bar = lock(bar);
                bar.finish_and_clear();
                // A new bar: one that changes while it is drawn would show parts of both phases.
                *bar = match total.filter(|total| total.bytes() > 0) {
                    Some(total) => ProgressBar::new(total.bytes()).with_style(template(
                        "{prefix:6} [{bar:30}] {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}",
                    )),
                    None => ProgressBar::new_spinner().with_style(template("{prefix:6} {spinner} {elapsed}")),
                };
                bar.set_prefix(phase.name());
                bar.enable_steady_tick(Duration::from_millis(100));
            }
        }
    }

    fn advance(&self, done: ByteSize) {
        match &self.0 {
            Style::None => {}
            Style::Plain(state) => lock(state).advance(done),
            Style::Json(state) => {
                let (phase, total) = *lock(state);
                json_line(phase, done, total);
            }
            Style::Bar(bar) => lock(bar).set_position(done.bytes()),
        }
    }

    fn warn(&self, message: &str) {
        match &self.0 {
            Style::Json(_) => {
                report::message(&format!("{}\n", json!({ "warning": message })));
            }
            Style::Bar(bar) => lock(bar).suspend(|| report::message(&report::warning(message))),
            Style::None | Style::Plain(_) => report::message(&report::warning(message)),
        }
    }

    fn cancelled(&self) -> bool {
        signals::stopped()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Style::Bar(bar) = &self.0 {
            lock(bar).finish_and_clear();
        }
    }
}

impl Plain {
    fn advance(&mut self, done: ByteSize) {
        let Some(total) = self.total.filter(|total| total.bytes() > 0) else { return };
        let percent = u128::from(done.bytes()) * 100 / u128::from(total.bytes());
        let tenths = (percent / 10) as u64;
        if tenths > self.tenths || self.told.elapsed() >= Duration::from_secs(5) {
            (self.tenths, self.told) = (tenths, Instant::now());
            report::message(&format!("{}: {percent} %, {done} of {total}\n", self.phase.name()));
        }
    }
}

/// The number of machines of a list that are done.
pub struct Count {
    style: CountStyle,
    total: u64,
}

enum CountStyle {
    None,
    /// When the last line was told, and of how many.
    Plain(Mutex<(Instant, u64)>),
    Json,
    Bar(ProgressBar),
}

impl Count {
    /// In `style`, as far as standard error can.
    pub fn new(style: ProgressStyle, total: usize) -> Self {
        let total = total as u64;
        let style = match style.on_this_terminal() {
            ProgressStyle::None => CountStyle::None,
            ProgressStyle::Json => CountStyle::Json,
            ProgressStyle::Bar => {
                let bar = ProgressBar::new(total);
                bar.set_style(template("{prefix:6} [{bar:30}] {pos}/{len} machines {eta}{msg}"));
                bar.set_prefix("clone");
                bar.enable_steady_tick(Duration::from_millis(100));
                CountStyle::Bar(bar)
            }
            ProgressStyle::Auto | ProgressStyle::Plain => {
                report::message(&format!("clone: {total} machines\n"));
                CountStyle::Plain(Mutex::new((Instant::now(), 0)))
            }
        };
        Self { style, total }
    }

    /// Reports that `done` machines are done, of which `failed` have failed.
    pub fn advance(&self, done: usize, failed: usize) {
        let (done, total) = (done as u64, self.total);
        let failures = if failed > 0 { format!(", {failed} failed") } else { String::new() };
        match &self.style {
            CountStyle::None => {}
            CountStyle::Json => {
                let line = json!({ "phase": "clone", "done": done, "total": total, "failed": failed });
                report::message(&format!("{line}\n"));
            }
            CountStyle::Bar(bar) => {
                bar.set_message(failures);
                bar.set_position(done);
            }
            CountStyle::Plain(told) => {
                let mut told = lock(told);
                if done * 10 / total > told.1 * 10 / total || told.0.elapsed() >= Duration::from_secs(5) {
                    *told = (Instant::now(), done);
                    report::message(&format!("clone: {} %, {done} of {total}{failures}\n", done * 100 / total));
                }
            }
        }
    }

    /// Writes to standard output or error without disturbing the bar.
    pub fn undisturbed<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.style {
            CountStyle::Bar(bar) => bar.suspend(write),
            _ => write(),
        }
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        if let CountStyle::Bar(bar) = &self.style {
            bar.finish_and_clear();
        }
    }
}

impl ProgressStyle {
    /// The style that `auto` and `bar` mean for this standard error.
    fn on_this_terminal(self) -> Self {
        let is_terminal = std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        match self {
            Self::Auto | Self::Bar if is_terminal => Self::Bar,
            Self::Auto | Self::Bar => Self::Plain,
            other => other,
        }
    }
}

fn json_line(phase: Phase, done: ByteSize, total: Option<ByteSize>) {
    let total = total.map(ByteSize::bytes);
    let line = json!({ "phase": phase.name(), "done": done.bytes(), "total": total });
    report::message(&format!("{line}\n"));
}

fn template(text: &str) -> BarStyle {
    BarStyle::with_template(text).expect("a valid template").progress_chars("=> ")
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
