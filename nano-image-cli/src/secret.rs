//! Where passwords are read from: never the command line, which other users of the machine can see.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::Path;

use nano_image::{Error, Result, Secret};
use zeroize::Zeroizing;

/// A larger file cannot be a password.
const MAX_LEN: usize = 4096;
const FORMS: &str =
    "write admin=env:VARIABLE, admin=file:PATH or admin=stdin; user.NAME=… for an account that --local-user makes";

/// The passwords of a machine.
#[derive(Default)]
pub struct Passwords {
    pub administrator: Option<Secret>,
    /// By account name.
    pub users: BTreeMap<String, Secret>,
}

/// Reads the passwords from the places that the values of `--secret` name.
pub fn read_all(texts: &[String]) -> Result<Passwords> {
    let mut passwords = Passwords::default();
    let mut from_stdin = 0;
    for text in texts {
        let (whose, source) = parts(text)?;
        from_stdin += u32::from(source == "stdin");
        if from_stdin > 1 {
            return Err(Error::recipe("two passwords are to be read from standard input").with_hint(FORMS));
        }
        let password = read(source)?;
        let is_second = match whose {
            Whose::Administrator => passwords.administrator.replace(password).is_some(),
            Whose::User(name) => passwords.users.insert(name.to_owned(), password).is_some(),
        };
        if is_second {
            return Err(Error::recipe("two passwords are given for one account").with_hint("keep one"));
        }
    }
    Ok(passwords)
}

enum Whose<'a> {
    Administrator,
    User(&'a str),
}

/// Whose password a value of `--secret` is for, and its source.
///
/// No error repeats `text`: it may be a password that was given by mistake.
fn parts(text: &str) -> Result<(Whose<'_>, &str)> {
    let known = match text.split_once('=') {
        Some(("admin", source)) => Some((Whose::Administrator, source)),
        Some((whose, source)) => whose.strip_prefix("user.").map(|name| (Whose::User(name), source)),
        None => None,
    };
    known.ok_or_else(|| {
        Error::recipe("--secret takes the source of a password; the value is not shown").with_hint(FORMS)
    })
}

/// Reads a password from `source`.
fn read(source: &str) -> Result<Secret> {
    match source.split_once(':') {
        Some(("env", name)) => variable(name),
        Some(("file", path)) if !path.is_empty() => File::open(path)
            .and_then(bytes)
            .map_err(|error| Error::io("read", path, error))
            .and_then(|bytes| secret(bytes).map_err(|error| error.with_path(path))),
        None if source == "stdin" => {
            if io::stdin().is_terminal() {
                let error = Error::recipe("standard input is a terminal, which would show the password");
                return Err(error.with_hint("send it from a file or a program, or use admin=env:VARIABLE"));
            }
            secret(bytes(io::stdin()).map_err(|error| Error::io("read", "standard input", error))?)
        }
        _ => Err(no_source()),
    }
}

fn no_source() -> Error {
    Error::recipe("--secret names no source of a password; its value is not shown").with_hint(FORMS)
}

/// Whether a value of `--secret` names a source, which is not read.
///
/// # Errors
/// [`Recipe`](nano_image::ErrorKind::Recipe) if not.
pub fn check(text: &str) -> Result<()> {
    let (_, source) = parts(text)?;
    match source.split_once(':') {
        Some(("env" | "file", name)) if !name.is_empty() => Ok(()),
        None if source == "stdin" => Ok(()),
        _ => Err(no_source()),
    }
}

/// Whose passwords are given: `admin`, `user.NAME`.
pub fn names(texts: &[String]) -> Vec<&str> {
    texts.iter().filter_map(|text| parts(text).ok().and(text.split_once('='))).map(|(whose, _)| whose).collect()
}

/// The file with the secret, if it is in a file.
pub fn file(text: &str) -> Option<&Path> {
    parts(text).ok()?.1.strip_prefix("file:").filter(|path| !path.is_empty()).map(Path::new)
}

fn variable(name: &str) -> Result<Secret> {
    match std::env::var_os(name).map(std::ffi::OsString::into_string) {
        Some(Ok(text)) => Ok(Secret::new(text)),
        Some(Err(_)) => Err(Error::recipe(format!("the environment variable `{name}` is not UTF-8 text"))),
        None => Err(Error::not_found(format!("no environment variable `{name}` for the password"))
            .with_hint("set it for this command, and export it")),
    }
}

/// At most one byte more than a password may have. The buffer never moves: that would leave copies in memory.
fn bytes(source: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(2 * MAX_LEN));
    source.take(MAX_LEN as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Text without the line break at its end, and without the byte order mark at its start.
fn secret(mut bytes: Zeroizing<Vec<u8>>) -> Result<Secret> {
    let hint = "save it as UTF-8 text with nothing but the password";
    if bytes.len() > MAX_LEN {
        return Err(Error::unsupported(format!("more than {MAX_LEN} bytes: this is not a password")).with_hint(hint));
    }
    for end in [b'\n', b'\r'] {
        bytes.pop_if(|last| *last == end);
    }
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        bytes.drain(..3);
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Secret::new(text)),
        Err(_) => Err(Error::corrupt("the password is not UTF-8 text").with_hint(hint)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_break_at_the_end_is_none_of_the_password() {
        for (bytes, text) in
            [("pw", "pw"), ("pw\n", "pw"), ("pw\r\n", "pw"), ("pw\n\n", "pw\n"), (" pw ", " pw "), ("\u{feff}p", "p")]
        {
            assert_eq!(secret(Zeroizing::new(bytes.into())).unwrap().expose(), text);
        }
        for bad in [vec![b'a'; MAX_LEN + 1], vec![0xFF, 0xFE, b'p', 0]] {
            assert!(secret(Zeroizing::new(bad)).is_err());
        }
    }
}
