//! Makes files from the deltas of a container.

use std::sync::Arc;

use super::{FileId, Index, Source, SourceKind};
use crate::error::{Error, Result};

/// Larger files are refused.
const MAX_FILE: u64 = 2 << 30;

/// What [`hydrate`] needs from its caller: the parts of the container, the decoder of deltas, and a store for files
/// that are made.
pub trait Parts {
    /// The bytes of a part of the container.
    fn source(&self, source: &Source) -> Result<Arc<[u8]>>;

    /// Applies `delta` to `basis`; the result has `len` bytes.
    fn apply(&self, basis: &[u8], delta: &[u8], len: u64) -> Result<Vec<u8>>;

    /// The contents of a file, if they were kept.
    fn kept(&self, file: FileId) -> Result<Option<Arc<[u8]>>>;

    /// Keeps the contents of a file, which may be asked for again.
    fn keep(&self, file: FileId, contents: &Arc<[u8]>) -> Result<()>;
}

/// Makes the contents of `file`, and of the files that it is based on. Length and digests are checked.
///
/// # Errors
/// [`Corrupt`](crate::ErrorKind::Corrupt) if length or digest are not those of the index, and for a file that is based
/// on itself; [`Unsupported`](crate::ErrorKind::Unsupported) for a kind of delta that is not handled; errors of
/// `parts`. All name the file.
pub fn hydrate(index: &Index, file: FileId, parts: &dyn Parts) -> Result<Arc<[u8]>> {
    let mut last: Option<Arc<[u8]>> = None;
    for id in pending(index, file, parts, &mut last)? {
        let made = make(index, id, last.as_deref(), parts).map_err(|error| in_file(error, &index.file(id).name))?;
        parts.keep(id, &made)?;
        last = Some(made);
    }
    last.ok_or_else(|| Error::corrupt("a file of an update that has no contents"))
}

/// The files to make for `file`, each after its basis. `last` is set to the contents from which the first one is made.
fn pending(index: &Index, file: FileId, parts: &dyn Parts, last: &mut Option<Arc<[u8]>>) -> Result<Vec<FileId>> {
    let mut chain = Vec::new();
    let mut next = Some(file);
    while let Some(id) = next {
        *last = parts.kept(id)?;
        if last.is_some() {
            break;
        }
        chain.push(id);
        next = index.file(id).basis;
        if chain.len() > index.len() {
            return Err(Error::corrupt(format!("`{}` is a delta of itself", index.file(file).name)));
        }
    }
    chain.reverse();
    Ok(chain)
}

fn make(index: &Index, id: FileId, basis: Option<&[u8]>, parts: &dyn Parts) -> Result<Arc<[u8]>> {
    let file = index.file(id);
    let basis = if file.basis.is_some() { basis.unwrap_or_default() } else { &[] };
    if file.len > MAX_FILE {
        return Err(Error::unsupported(format!("a file of {} bytes", file.len)));
    }
    let contents: Arc<[u8]> = match &file.source {
        None => basis.into(),
        Some(source) => {
            if let SourceKind::Other(kind) = &source.kind {
                return Err(Error::unsupported(format!("a delta of the kind `{kind}`")));
            }
            let bytes = parts.source(source)?;
            if source.hash.is_some_and(|hash| !hash.fits(&bytes)) {
                return Err(Error::corrupt("its part of the container does not have the digest of the index"));
            }
            match source.kind {
                SourceKind::Delta => parts.apply(basis, &bytes, file.len)?.into(),
                _ => bytes,
            }
        }
    };
    if contents.len() as u64 != file.len {
        let what = format!("it has {} bytes, but {} in the index", contents.len(), file.len);
        return Err(Error::corrupt(what));
    }
    match file.hash.is_some_and(|hash| !hash.fits(&contents)) {
        true => Err(Error::corrupt("it does not have the digest of the index")),
        false => Ok(contents),
    }
}

/// Adds the name of the file in the container to `error`.
fn in_file(error: Error, name: &str) -> Error {
    let mut named = Error::new(error.kind(), format!("the file `{name}` of the update: {}", error.message()));
    if let Some(path) = error.path() {
        named = named.with_path(path);
    }
    match error.hint() {
        Some(hint) => named.with_hint(hint),
        None => named,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use super::super::StoredAt;
    use super::*;
    use crate::error::ErrorKind;

    /// A decoder that appends the delta to its basis.
    #[derive(Default)]
    struct Appending {
        kept: RefCell<BTreeMap<FileId, Arc<[u8]>>>,
        applied: RefCell<usize>,
    }

    impl Parts for Appending {
        fn source(&self, source: &Source) -> Result<Arc<[u8]>> {
            let StoredAt::Member(name) = &source.place else { return Err(Error::not_found("a range")) };
            Ok(name.as_bytes().into())
        }

        fn apply(&self, basis: &[u8], delta: &[u8], _: u64) -> Result<Vec<u8>> {
            *self.applied.borrow_mut() += 1;
            Ok([basis, delta].concat())
        }

        fn kept(&self, file: FileId) -> Result<Option<Arc<[u8]>>> {
            Ok(self.kept.borrow().get(&file).cloned())
        }

        fn keep(&self, file: FileId, contents: &Arc<[u8]>) -> Result<()> {
            self.kept.borrow_mut().insert(file, contents.clone());
            Ok(())
        }
    }

    fn index(files: &[(&str, u64, &str)]) -> Index {
        let file = |(name, len, delta): &(&str, u64, &str)| {
            format!("<File id='{name}' name='{name}' length='{len}'><Delta>{delta}</Delta></File>")
        };
        let files: String = files.iter().map(file).collect();
        Index::parse(format!("<Container><Files>{files}</Files></Container>").as_bytes()).unwrap()
    }

    #[test]
    fn each_file_of_a_chain_is_made_once() {
        let index = index(&[
            ("c", 3, "<Source type='PA30' name='z'/><Basis file='b'/>"),
            ("b", 2, "<Source type='PA31' name='y'/><Basis file='a'/>"),
            ("a", 1, "<Source type='RAW' name='x'/>"),
            ("d", 2, "<Basis file='b'/>"),
            ("bad", 3, "<Source type='PA30' name='q'/>"),
            ("old", 1, "<Source type='PA19' name='q'/>"),
            ("loop", 1, "<Basis file='loop'/>"),
        ]);
        let parts = Appending::default();
        let get = |name| hydrate(&index, index.find(name).unwrap(), &parts);
        assert_eq!(&*get("c").unwrap(), b"xyz");
        assert_eq!(&*get("d").unwrap(), b"xy");
        assert_eq!(*parts.applied.borrow(), 2);
        for (name, kind, message) in [
            ("bad", ErrorKind::Corrupt, "`bad` of the update: it has 1 bytes"),
            ("old", ErrorKind::Unsupported, "`PA19`"),
            ("loop", ErrorKind::Corrupt, "of itself"),
        ] {
            let error = get(name).unwrap_err();
            assert!(error.kind() == kind && error.to_string().contains(message), "{error}");
        }
    }
}
