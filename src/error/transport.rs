//! `TransportError`: why no whole answer came.

use std::{error::Error as StdError, fmt};

use super::{BoxError, Error, text::write_origin};

/// Why no whole answer came.
#[derive(Debug)]
pub struct TransportError {
    what: &'static str,
    attempts: u32,
    /// Whether the request was for a token.
    pub(super) of_renewal: bool,
    source: BoxError,
}

impl TransportError {
    /// What failed on the way to a token, for a [`TokenSource`](crate::TokenSource) of your own: the
    /// [`Error`] that it converts into is transient.
    ///
    /// ```
    /// use webex_events::{Error, TransportError};
    ///
    /// let error = Error::from(TransportError::new("the vault is sealed", "status 503"));
    /// assert!(error.is_transient());
    /// assert_eq!(error.to_string(), "the vault is sealed");
    /// ```
    pub fn new(what: &'static str, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { what, attempts: 1, of_renewal: false, source: source.into() }
    }

    pub(crate) fn after(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// How many times the request was sent.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)?;
        write_origin(f, None, self.attempts)
    }
}

impl StdError for TransportError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.source)
    }
}

impl From<TransportError> for Error {
    fn from(error: TransportError) -> Self {
        Self::Transport(Box::new(error))
    }
}
