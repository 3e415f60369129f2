//! `DecodeError`: a 200 whose body isn't of the requested form.

use std::{error::Error as StdError, fmt};

use super::{
    BoxError, Error,
    text::{printable, write_origin},
};

/// A 200 whose body isn't of the requested form.
pub struct DecodeError {
    status: u16,
    content_type: Option<Box<str>>,
    tracking_id: Option<Box<str>>,
    snippet: Box<str>,
    /// True if the request was for a token.
    pub(super) of_renewal: bool,
    source: BoxError,
}

impl DecodeError {
    pub(crate) fn new(
        status: u16,
        content_type: Option<Box<str>>,
        tracking_id: Option<Box<str>>,
        body: &str,
        source: impl Into<BoxError>,
    ) -> Self {
        Self {
            status,
            content_type,
            tracking_id,
            snippet: printable(body, 200).into(),
            of_renewal: false,
            source: source.into(),
        }
    }

    /// Returns the status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Returns the `Content-Type` of the response.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// Returns the tracking id of the response.
    #[must_use]
    pub fn tracking_id(&self) -> Option<&str> {
        self.tracking_id.as_deref()
    }

    /// Returns the first 200 characters of the body, on one line, without tokens and query strings.
    #[must_use]
    pub fn snippet(&self) -> &str {
        &self.snippet
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the body of the {} response", self.status)?;
        if let Some(content_type) = &self.content_type {
            write!(f, " of type {}", printable(content_type, 100))?;
        }
        write!(f, " isn't the expected JSON; it begins {:?}", self.snippet)?;
        write_origin(f, self.tracking_id(), 1)
    }
}

impl fmt::Debug for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecodeError")
            .field("status", &self.status)
            .field("content_type", &self.content_type().map(|it| printable(it, 100)))
            .field("tracking_id", &self.tracking_id().map(|id| printable(id, 100)))
            .field("snippet", &self.snippet)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl StdError for DecodeError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.source)
    }
}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        Self::Decode(Box::new(error))
    }
}
