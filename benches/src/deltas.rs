//! `deltas`: how fast the files of an update are made from their deltas.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use nano_image::content::ReadAt;
use nano_image::source::cab::Cabinet;
use nano_image::source::delta;
use nano_image::source::update::{FileId, Index, Parts, Source, StoredAt, hydrate};
use nano_image::{ByteSize, Error, Result};

use crate::Failure;
use crate::results::Spread;

/// The member that says how files are made.
const INDEX: &str = "_manifest_.cix.xml";

/// Prints the speed of one core for each kind of delta: bytes of results, and how many are made in a second.
pub fn run(updates: &[PathBuf], rounds: usize) -> Result<(), Failure> {
    let mut steps = Vec::new();
    for update in updates {
        let members = members(std::fs::read(update)?, update)?;
        let inner = members.iter().find(|(name, _)| name.ends_with(".cab") && *name != "wsusscan.cab");
        let members = match inner {
            Some((name, cabinet)) => self::members(cabinet.to_vec(), name)?,
            None => members,
        };
        let index = members.get(INDEX).ok_or_else(|| format!("no {INDEX} in {}", update.display()))?;
        let index = Index::parse(index)?;
        let package = Package { members, made: RefCell::default(), steps: RefCell::default() };
        for (id, _) in index.files() {
            hydrate(&index, id, &package)?;
        }
        steps.extend(package.steps.into_inner());
    }
    println!("{:<28} {:>7} {:>12} {:>9} {:>9} {:>9}", "deltas (MB/s)", "count", "bytes", "median", "min", "max");
    for (kind, programs) in [("of programs", true), ("of plain bytes", false)] {
        let steps: Vec<&Step> = steps.iter().filter(|step| step.is_pe == programs).collect();
        let mut speeds = Vec::new();
        let mut bytes = 0;
        for _ in 0..rounds {
            bytes = 0;
            let start = Instant::now();
            for step in &steps {
                bytes += delta::apply(&step.basis, &step.delta, ByteSize::gib(2))?.len();
            }
            speeds.push(bytes as f64 / 1e6 / start.elapsed().as_secs_f64());
        }
        if let Some(Spread { median, min, max }) = Spread::of(speeds) {
            println!("{kind:<28} {:>7} {bytes:>12} {median:>9.1} {min:>9.1} {max:>9.1}", steps.len());
        }
    }
    Ok(())
}

/// A delta and what it is applied to.
struct Step {
    basis: Vec<u8>,
    delta: Vec<u8>,
    is_pe: bool,
}

/// A package in memory, which notes every delta.
struct Package {
    members: BTreeMap<String, Arc<[u8]>>,
    made: RefCell<BTreeMap<FileId, Arc<[u8]>>>,
    steps: RefCell<Vec<Step>>,
}

impl Parts for Package {
    fn source(&self, source: &Source) -> Result<Arc<[u8]>> {
        let found = match &source.place {
            StoredAt::Member(name) => self.members.get(name),
            StoredAt::Range(_) => None,
        };
        found.cloned().ok_or_else(|| Error::not_found("a part of the package"))
    }

    fn apply(&self, basis: &[u8], delta: &[u8], len: u64) -> Result<Vec<u8>> {
        let is_pe = delta::header(delta)?.is_pe();
        self.steps.borrow_mut().push(Step { basis: basis.to_vec(), delta: delta.to_vec(), is_pe });
        delta::apply(basis, delta, ByteSize::new(len))
    }

    fn kept(&self, file: FileId) -> Result<Option<Arc<[u8]>>> {
        Ok(self.made.borrow().get(&file).cloned())
    }

    fn keep(&self, file: FileId, contents: &Arc<[u8]>) -> Result<()> {
        self.made.borrow_mut().insert(file, contents.clone());
        Ok(())
    }
}

/// The members of a cabinet by name in lower case.
fn members(cabinet: Vec<u8>, path: impl AsRef<std::path::Path>) -> Result<BTreeMap<String, Arc<[u8]>>> {
    let cabinet: Arc<dyn ReadAt> = Arc::new(cabinet);
    let cabinet = Cabinet::open(cabinet, path)?;
    let mut members: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
    cabinet.extract(&|_| true, &mut |index, piece| {
        members.entry(index).or_default().extend_from_slice(piece);
        Ok(())
    })?;
    Ok(members.into_iter().map(|(index, bytes)| (cabinet.files()[index].name.to_lowercase(), bytes.into())).collect())
}
