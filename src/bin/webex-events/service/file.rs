//! Secrets that are read from files.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use futures_core::future::BoxFuture;
use serde_json::Map;
use webex_events::{Error, Result, Token, TokenSource};

use crate::{
    error::{Failure, reason},
    process::lock,
    service::read,
    ui::messages,
};

/// A token in a file that another program may replace. It is read before every request, which is cheap compared with
/// the request.
#[derive(Debug)]
pub(super) struct TokenFile {
    path: PathBuf,
    /// False for a pipe, which can be read only once.
    is_rereadable: bool,
    latest: Mutex<Token>,
    warned: AtomicBool,
}

impl TokenFile {
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let token = secret(path, "token file", "--token-file", "the access token")?;
        Ok(Self {
            path: path.to_owned(),
            is_rereadable: fs::metadata(path).is_ok_and(|file| file.is_file()),
            latest: Mutex::new(token.into()),
            warned: AtomicBool::new(false),
        })
    }

    fn latest(&self) -> MutexGuard<'_, Token> {
        lock(&self.latest)
    }

    /// Returns the token from the file. If the file can't be read, perhaps because it is being replaced, returns the previous
    /// token, unless the service has rejected that.
    fn accept(&self, read: Result<String, Failure>, rejected: Option<&Token>) -> Result<Token> {
        let mut latest = self.latest();
        match read {
            Ok(token) => {
                *latest = token.into();
                self.warned.store(false, Relaxed);
            }
            Err(failure) if rejected == Some(&*latest) => return Err(Error::Config(failure.message.into())),
            Err(failure) => {
                if !self.warned.swap(true, Relaxed) {
                    let message = format!("{}; continuing with the previous token", failure.message);
                    messages::warning(&message, Map::new());
                }
            }
        }
        Ok(latest.clone())
    }
}

impl TokenSource for TokenFile {
    fn token<'a>(&'a self, rejected: Option<&'a Token>) -> BoxFuture<'a, Result<Token>> {
        Box::pin(async move {
            if !self.is_rereadable {
                return Ok(self.latest().clone());
            }
            let path = self.path.clone();
            let read = move || secret(&path, "token file", "--token-file", "the access token");
            match tokio::task::spawn_blocking(read).await {
                Ok(read) => self.accept(read, rejected),
                // The program is ending.
                Err(_) => Ok(self.latest().clone()),
            }
        })
    }
}

/// Reads a secret from a file. Errors contain no part of it.
pub(super) fn secret(path: &Path, what: &str, option: &str, content: &str) -> Result<String, Failure> {
    let file = format!("the {what} {}", path.display());
    let bytes = read(path).map_err(|error| {
        Failure::settings(format!("{file} can't be read: {}; check {option}", reason(&error)))
    })?;
    // Editors on Windows start a file with a byte order mark.
    let text = String::from_utf8(bytes).map(|text| text.trim_start_matches('\u{feff}').trim().to_owned());
    match text {
        Ok(text) if text.is_empty() => {
            Err(Failure::settings(format!("{file} is empty; write {content} to it")))
        }
        Ok(text) if text.contains(char::is_whitespace) => Err(Failure::settings(format!(
            "{file} contains more than one word; write only {content} to it, without `Bearer`"
        ))),
        Ok(text) => Ok(text),
        Err(_) => Err(Failure::settings(format!("{file} isn't text; write {content} to it"))),
    }
}

/// Returns true if other users can read the file.
#[cfg(unix)]
pub(super) fn is_exposed(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.mode() & 0o077 != 0)
}

/// Always returns false: this system has no file modes.
#[cfg(not(unix))]
pub(super) fn is_exposed(_: &Path) -> bool {
    false
}
