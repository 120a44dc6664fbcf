//! Compares files with a list of what they must contain.

use std::collections::BTreeMap;
use std::path::Path;

use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::super::read::files::{FileId, Files, copy};
use crate::error::{Error, Result};
use crate::report::{Finding, Findings};

/// What files must contain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    lines: Vec<Line>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    digest: Vec<u8>,
    size: u64,
    /// `/path` or `/path:stream`.
    path: String,
}

impl Manifest {
    /// Parses lines of `DIGEST SIZE PATH[:STREAM]`: a SHA-256 or SHA-1 in hexadecimal digits, a length in bytes, and a
    /// path that begins with `/` at the root of the volume. Empty lines and lines that begin with `#` are skipped.
    ///
    /// # Errors
    /// [`Recipe`](crate::ErrorKind::Recipe) with the number of the malformed line.
    pub fn parse(text: &str) -> Result<Self> {
        let lines = text.lines().zip(1..).filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
        let parsed = lines.map(|(line, number)| {
            let bad = || {
                Error::recipe(format!("line {number} of the manifest is not `DIGEST SIZE PATH`"))
                    .with_hint("a digest is a SHA-256 or SHA-1 in hexadecimal digits, a path begins with `/`")
            };
            let mut parts = line.splitn(3, ' ');
            let mut part = || parts.next().ok_or_else(bad);
            let (digest, size, path) = (part()?, part()?, part()?);
            let digest = hex::decode(digest).ok().filter(|digest| [20, 32].contains(&digest.len())).ok_or_else(bad)?;
            let size = size.parse().map_err(|_| bad())?;
            let path = path.strip_suffix('\r').unwrap_or(path);
            if !path.starts_with('/') {
                return Err(bad());
            }
            Ok(Line { digest, size, path: path.to_owned() })
        });
        Ok(Self { lines: parsed.collect::<Result<_>>()? })
    }

    /// Reads the file at `path`, see [`parse`](Self::parse). Names that are not valid UTF-8 cannot be told apart.
    ///
    /// # Errors
    /// Also [`Io`](crate::ErrorKind::Io) and [`NotFound`](crate::ErrorKind::NotFound).
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|error| Error::io("read", path, error))?;
        Self::parse(&String::from_utf8_lossy(&bytes)).map_err(|error| error.with_path(path))
    }

    /// Number of lines.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there are no lines.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

/// Compares `files` with the manifest, in the order in which they lie on the volume.
pub(super) fn check(files: &Files<'_>, manifest: &Manifest, findings: &mut Findings) {
    let (found, damaged) = locate(files, manifest);
    if let Some(error) = damaged {
        findings.add(Finding::new("manifest", "directories", format!("cannot all be read: {error}")));
    }
    let mut jobs: Vec<(u64, usize, FileId, &str)> = Vec::new();
    for (index, (line, place)) in manifest.lines.iter().zip(found).enumerate() {
        match place {
            Some((file, stream)) => jobs.push((files.address(file), index, file, stream)),
            None => {
                findings.add(Finding::new("manifest", "file", "is missing").with_path(line.path.clone()));
            }
        }
    }
    jobs.sort_by_key(|(address, index, ..)| (*address, *index));
    // Names of the same file follow one another, so it is read once.
    let mut last: Option<(Key<'_>, Outcome)> = None;
    for (_, index, file, stream) in jobs {
        let line = &manifest.lines[index];
        let key = (file.number(), stream, line.digest.len(), line.size);
        let known = last.take().filter(|(known, _)| *known == key && key.0.is_some());
        let outcome = known.map_or_else(|| contents(files, file, stream, line), |(_, outcome)| outcome);
        let message = match &outcome {
            Ok((size, _)) if *size != line.size => Some(format!("has {size} bytes, not {}", line.size)),
            Ok((_, digest)) if *digest != line.digest => {
                let kind = if digest.len() == 32 { "SHA-256" } else { "SHA-1" };
                Some(format!("has the {kind} {}, not {}", hex::encode(digest), hex::encode(&line.digest)))
            }
            Ok(_) => None,
            Err(message) => Some(message.clone()),
        };
        if let Some(message) = message {
            findings.add(Finding::new("manifest", "file", message).with_path(line.path.clone()));
        }
        last = Some((key, outcome));
    }
}

/// What lines about the same bytes have in common: file, stream, lengths of digest and file.
type Key<'m> = (Option<u64>, &'m str, usize, u64);

/// The file and stream of a line, if they exist.
type Located<'m> = Option<(FileId, &'m str)>;

/// Length and digest, or why they are not known.
type Outcome = Result<(u64, Vec<u8>), String>;

fn contents(files: &Files<'_>, file: FileId, stream: &str, expected: &Line) -> Outcome {
    let said = |error: Error| {
        let source = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
        format!("cannot be read: {error}{source}")
    };
    let stream = files.open_stream(file, stream).map_err(said)?.ok_or("has no such stream")?;
    let len = stream.len().map_err(|error| format!("cannot be read: {error}"))?;
    // A damaged file may state any size.
    if len != expected.size {
        return Ok((len, Vec::new()));
    }
    let digest_len = expected.digest.len();
    let (mut size, mut sha1, mut sha256) = (0, Sha1::new(), Sha256::new());
    let mut sink = |piece: &[u8]| {
        size += piece.len() as u64;
        if digest_len == 32 {
            sha256.update(piece);
        } else {
            sha1.update(piece);
        }
        Ok(())
    };
    copy(&*stream, &mut sink).map_err(said)?;
    Ok((size, if digest_len == 32 { sha256.finalize().to_vec() } else { sha1.finalize().to_vec() }))
}

/// The file and stream of each line, and why not all directories could be read.
fn locate<'m>(files: &Files<'_>, manifest: &'m Manifest) -> (Vec<Located<'m>>, Option<Error>) {
    let mut wanted: BTreeMap<String, Vec<(usize, &str)>> = BTreeMap::new();
    for (index, line) in manifest.lines.iter().enumerate() {
        let name = line.path.rfind('/').map_or(0, |at| at + 1);
        let (path, stream) = match line.path[name..].find(':') {
            Some(at) => (&line.path[..name + at], &line.path[name + at + 1..]),
            None => (&line.path[..], ""),
        };
        wanted.entry(path.trim_matches('/').replace('/', "\\")).or_default().push((index, stream));
    }
    let mut found = vec![None; manifest.lines.len()];
    let walk = files.root().and_then(|root| {
        let mut take = |path: &str, file: FileId| {
            for (index, stream) in wanted.get(path).into_iter().flatten() {
                found[*index] = Some((file, *stream));
            }
        };
        take("", root);
        files.walk(root, "", &mut |path, _, file| {
            take(path, file);
            Ok(true)
        })
    });
    // Listings do not contain system files.
    for (path, lines) in &wanted {
        for (index, stream) in lines.iter().filter(|(index, _)| found[*index].is_none()).copied().collect::<Vec<_>>() {
            found[index] = files.find(path).ok().flatten().map(|file| (file, stream));
        }
    }
    (found, walk.err())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_digest_size_and_path() {
        let sha1 = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
        let text = format!("# list\n{sha1} 0 /a b:stream\r\n\n{}{} 12 /c\n", sha1, &sha1[..24]);
        let manifest = Manifest::parse(&text).unwrap();
        let lines: Vec<_> = manifest.lines.iter().map(|l| (l.digest.len(), l.size, &l.path[..])).collect();
        assert_eq!(lines, [(20, 0, "/a b:stream"), (32, 12, "/c")]);
        for bad in ["da39 0 /a", "x", &format!("{sha1} 0 a"), &format!("{sha1} -1 /a"), &format!("{sha1} 0")] {
            let error = Manifest::parse(&format!("\n{bad}")).unwrap_err();
            assert!(error.to_string().contains("line 2"), "{bad}: {error}");
        }
    }
}
