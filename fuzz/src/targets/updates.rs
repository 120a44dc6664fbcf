//! Updates: cabinets with deltas, and files that are ranges of a `.psf` file.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use fixtures::packages::update;
use nano_image::content::ReadAt;
use nano_image::source::delta;
use nano_image::source::update::{FileId, Index, Parts, Source, StoredAt, hydrate};
use nano_image::{ByteSize, Error, Result, Update};

use super::MAX_READ;
use crate::Target;

pub const UPDATE: Target = Target { name: "update", run: update, seeds: update_seeds, rounds: 2000 };
pub const PSF: Target = Target { name: "psf", run: psf, seeds: psf_seeds, rounds: 10_000 };

/// An update that is described is described the same again, and its packages have identities.
fn update(input: &[u8]) -> bool {
    let update = Update::data(Arc::new(input.to_vec()), "a.cab");
    let Ok(packages) = update.describe(None) else { return false };
    assert_eq!(update.describe(None).expect("it was told before"), packages);
    assert!(packages.iter().all(|package| package.identity.matches('~').count() == 4), "{packages:?}");
    true
}

fn update_seeds() -> Vec<Vec<u8>> {
    let cabinet = update::cumulative(3, 2);
    [update::intra(&cabinet), update::express(&cabinet, &[])].iter().map(update::to_cabinet).collect()
}

/// An index and the bytes of a `.psf` file: each file that can be made has the length and digest of the index, and is
/// the same when it is made again.
fn psf(input: &[u8]) -> bool {
    let Some((len, rest)) = input.split_first_chunk::<4>() else { return false };
    let Some((index, stream)) = rest.split_at_checked(u32::from_le_bytes(*len) as usize) else { return false };
    let Ok(index) = Index::parse(index) else { return false };
    let mut accepted = true;
    let package = || Stream { bytes: stream, made: RefCell::default() };
    let (first, second) = (package(), package());
    for (id, file) in index.files() {
        let made = hydrate(&index, id, &first);
        accepted &= made.is_ok();
        if let Ok(made) = made {
            assert_eq!(made.len() as u64, file.len, "{}", file.name);
            assert!(file.hash.is_none_or(|hash| hash.fits(&made)), "{}", file.name);
            assert!(hydrate(&index, id, &second).expect("it was made before") == made, "{}", file.name);
        }
    }
    accepted
}

fn psf_seeds() -> Vec<Vec<u8>> {
    let (files, stream) = update::psf(&update::intra(&update::cumulative(3, 2)));
    let (_, index) = files.last().expect("the index comes last");
    vec![[&(index.len() as u32).to_le_bytes()[..], index, &stream].concat()]
}

/// A `.psf` file in memory, and the files that were made from it.
struct Stream<'a> {
    bytes: &'a [u8],
    made: RefCell<BTreeMap<FileId, Arc<[u8]>>>,
}

impl Parts for Stream<'_> {
    fn source(&self, source: &Source) -> Result<Arc<[u8]>> {
        let missing = || Error::not_found("a part of the package");
        let StoredAt::Range(range) = &source.place else { return Err(missing()) };
        let end = range.start.checked_add(range.len).filter(|end| *end <= self.bytes.len() as u64);
        let mut bytes = vec![0; end.map(|_| range.len).ok_or_else(missing)? as usize];
        self.bytes.read_exact_at(&mut bytes, range.start).map_err(|_| missing())?;
        Ok(bytes.into())
    }

    fn apply(&self, basis: &[u8], bytes: &[u8], len: u64) -> Result<Vec<u8>> {
        delta::apply(basis, bytes, ByteSize::new(len.min(MAX_READ)))
    }

    fn kept(&self, file: FileId) -> Result<Option<Arc<[u8]>>> {
        Ok(self.made.borrow().get(&file).cloned())
    }

    fn keep(&self, file: FileId, contents: &Arc<[u8]>) -> Result<()> {
        self.made.borrow_mut().insert(file, contents.clone());
        Ok(())
    }
}
