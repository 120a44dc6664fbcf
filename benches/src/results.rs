//! Measurements and what follows from them.

use serde::{Deserialize, Serialize};

use crate::machine::Machine;

/// One run of a program. Times in seconds, sizes in bytes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Measurement {
    pub wall: f64,
    pub user: f64,
    pub system: f64,
    /// Of the process that uses the most.
    pub peak_memory: u64,
    /// Bytes read through system calls, including those from the page cache.
    pub read: u64,
    pub written: u64,
    pub read_from_disk: u64,
    pub written_to_disk: u64,
    /// Of the file that was made.
    pub file_size: Option<u64>,
    pub allocated: Option<u64>,
}

impl Measurement {
    pub fn cpu(&self) -> f64 {
        self.user + self.system
    }
}

/// What a row measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// nano-image.
    Own,
    /// Other programs that make the same image.
    Foreign,
    /// Less than a build: what no program can avoid.
    Floor,
}

/// All runs of one program.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Row {
    pub name: String,
    pub kind: Kind,
    /// Bytes of all streams of the source image, each file once.
    pub stream_bytes: u64,
    /// Files and directories of the source image.
    pub files: u64,
    /// One per round, in order.
    pub runs: Vec<Measurement>,
}

/// What `run` or `scale` found.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Results {
    pub title: String,
    pub machine: Machine,
    pub rounds: usize,
    pub rows: Vec<Row>,
    /// Sentences about the rows.
    pub findings: Vec<String>,
}

/// Median, smallest and largest of some figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    /// `None` if there are no figures.
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let (min, max) = (*figures.first()?, *figures.last()?);
        let middle = figures.len() / 2;
        let median =
            if figures.len() % 2 == 1 { figures[middle] } else { (figures[middle - 1] + figures[middle]) / 2.0 };
        Some(Self { median, min, max })
    }
}

impl Row {
    pub fn spread(&self, figure: impl Fn(&Measurement) -> f64) -> Spread {
        Spread::of(self.runs.iter().map(figure)).unwrap_or(Spread { median: 0.0, min: 0.0, max: 0.0 })
    }

    /// A figure of this row divided by that of `other` in the same round.
    pub fn ratio(&self, other: &Self, figure: impl Fn(&Measurement) -> f64) -> Option<Spread> {
        Spread::of(self.runs.iter().zip(&other.runs).map(|(own, other)| figure(own) / figure(other)))
    }

    /// Bytes of the file that was made, per byte of the streams in it.
    pub fn overhead(&self) -> Option<f64> {
        let size = self.runs.last()?.file_size?;
        (self.stream_bytes > 0).then(|| size as f64 / self.stream_bytes as f64)
    }
}

impl Results {
    pub fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let spread = |figures: &[f64]| Spread::of(figures.iter().copied());
        assert_eq!(spread(&[3.0, 1.0, 10.0]), Some(Spread { median: 3.0, min: 1.0, max: 10.0 }));
        assert_eq!(spread(&[4.0, 1.0, 2.0, 3.0]), Some(Spread { median: 2.5, min: 1.0, max: 4.0 }));
        assert_eq!(spread(&[]), None);
    }
}
