//! Secrets in files.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use futures_core::future::BoxFuture;
use serde_json::Map;
use webex_events::{Error, Result, Token, TokenSource};

use crate::{
    error::{Failure, reason},
    service::read,
    ui::messages,
};

/// The token in a file that something else may replace. It is read again for every request, which costs
/// little beside one and sees every change.
#[derive(Debug)]
pub(super) struct TokenFile {
    path: PathBuf,
    /// What can be read but once, such as a pipe, isn't read again.
    is_lasting: bool,
    latest: Mutex<Token>,
    warned: AtomicBool,
}

impl TokenFile {
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let token = secret(path, "token file", "--token-file", "the access token")?;
        Ok(Self {
            path: path.to_owned(),
            is_lasting: fs::metadata(path).is_ok_and(|file| file.is_file()),
            latest: Mutex::new(token.into()),
            warned: AtomicBool::new(false),
        })
    }

    fn latest(&self) -> MutexGuard<'_, Token> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the file can't be read, which it may not be for the moment that it takes to replace it, the
    /// token that was in it last has to do, unless that was rejected.
    fn settle(&self, read: Result<String, Failure>, rejected: Option<&Token>) -> Result<Token> {
        let mut latest = self.latest();
        match read {
            Ok(token) => {
                *latest = token.into();
                self.warned.store(false, Relaxed);
            }
            Err(failure) if rejected == Some(&*latest) => return Err(Error::Config(failure.message.into())),
            Err(failure) => {
                if !self.warned.swap(true, Relaxed) {
                    let message = format!("{}; going on with the token that was there", failure.message);
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
            if !self.is_lasting {
                return Ok(self.latest().clone());
            }
            let path = self.path.clone();
            let read = move || secret(&path, "token file", "--token-file", "the access token");
            match tokio::task::spawn_blocking(read).await {
                Ok(read) => self.settle(read, rejected),
                // The program is ending.
                Err(_) => Ok(self.latest().clone()),
            }
        })
    }
}

/// The secret in a file; no message repeats any of it.
pub(super) fn secret(path: &Path, what: &str, option: &str, content: &str) -> Result<String, Failure> {
    let file = format!("the {what} {}", path.display());
    let bytes = read(path).map_err(|error| {
        Failure::settings(format!("{file} can't be read: {}; check {option}", reason(&error)))
    })?;
    // Editors on Windows begin a file with a byte order mark.
    let text = String::from_utf8(bytes).map(|text| text.trim_start_matches('\u{feff}').trim().to_owned());
    match text {
        Ok(text) if text.is_empty() => {
            Err(Failure::settings(format!("{file} is empty; put {content} there")))
        }
        Ok(text) if text.contains(char::is_whitespace) => Err(Failure::settings(format!(
            "{file} holds more than one word; put {content} alone there, without `Bearer`"
        ))),
        Ok(text) => Ok(text),
        Err(_) => Err(Failure::settings(format!("{file} isn't text; put {content} there"))),
    }
}

/// Whether others than its owner can read it.
#[cfg(unix)]
pub(super) fn is_exposed(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.mode() & 0o077 != 0)
}

/// Whether others than its owner can read it, as far as can be told.
#[cfg(not(unix))]
pub(super) fn is_exposed(_: &Path) -> bool {
    false
}
