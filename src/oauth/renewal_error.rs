//! `RenewalError`: the reason why a renewal failed, for each stream that waits for it.

use std::{io, path::Path, sync::Arc, time::Duration};

use crate::error::{ApiError, DecodeError, Error, TransportError};

const NOT_RENEWED: &str = "the access token couldn't be renewed";

/// An error that can be returned more than once.
#[derive(Clone, Debug)]
pub(super) enum RenewalError {
    /// The service responded with another status than 200.
    Refused(Box<ApiError>),
    /// No complete response arrived, or another process holds the lock.
    NoResponse(Arc<dyn std::error::Error + Send + Sync>),
    /// A 200 that doesn't hold tokens.
    Unusable(Box<UnusableReply>),
    File(Box<str>, Arc<io::Error>),
    Setting(Box<str>),
}

#[derive(Clone, Debug)]
pub(super) struct UnusableReply {
    pub(super) content_type: Option<Box<str>>,
    pub(super) tracking_id: Option<Box<str>>,
    /// The part of the body that may be shown.
    pub(super) body: String,
    pub(super) reason: String,
}

impl RenewalError {
    pub(super) fn no_response(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::NoResponse(Arc::from(source.into()))
    }

    /// `done` is what can't be done with the file.
    pub(super) fn file(done: &str, path: &Path, error: io::Error) -> Self {
        Self::File(format!("the token file {} can't be {done}", path.display()).into(), Arc::new(error))
    }

    /// Returns whether the service refuses these credentials, so that the same request can't succeed later.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Refused(response) if matches!(response.status(), 400 | 401 | 403))
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(response) => response.retry_after(),
            _ => None,
        }
    }

    pub(super) fn error(&self) -> Error {
        let error = match self {
            Self::Refused(response) => Error::Api(response.clone()),
            Self::NoResponse(source) => TransportError::new(NOT_RENEWED, Arc::clone(source)).into(),
            Self::Unusable(reply) => DecodeError::new(
                200,
                reply.content_type.clone(),
                reply.tracking_id.clone(),
                &reply.body,
                format!("{NOT_RENEWED}: {}", reply.reason),
            )
            .into(),
            Self::File(detail, error) => {
                let again = match error.raw_os_error() {
                    Some(code) => io::Error::from_raw_os_error(code),
                    None => io::Error::new(error.kind(), error.to_string()),
                };
                Error::Store { detail: detail.clone(), source: again.into() }
            }
            Self::Setting(reason) => Error::Config(reason.clone()),
        };
        error.of_renewal()
    }
}
