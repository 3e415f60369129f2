//! Why a token couldn't be renewed, for all who wait for it.

use std::{io, path::Path, sync::Arc, time::Duration};

use crate::error::{ApiError, DecodeError, Error, TransportError};

const WHAT: &str = "the access token couldn't be renewed";

/// An error that can be given more than once.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    Refused(Box<ApiError>),
    /// No whole answer came, or another process is in the way.
    Silent(Arc<dyn std::error::Error + Send + Sync>),
    /// A 200 that doesn't hold tokens.
    Reply(Box<Reply>),
    Store(Box<str>, Arc<io::Error>),
    Setting(Box<str>),
}

#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) content_type: Option<Box<str>>,
    pub(super) tracking_id: Option<Box<str>>,
    /// As much of the body as may be shown.
    pub(super) body: String,
    pub(super) reason: String,
}

impl Failure {
    pub(super) fn silent(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Silent(Arc::from(source.into()))
    }

    pub(super) fn file(what: &str, path: &Path, error: io::Error) -> Self {
        Self::Store(format!("the token file {} can't be {what}", path.display()).into(), Arc::new(error))
    }

    /// Whether the service refuses these credentials, so that asking again is of no use.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Refused(answer) if matches!(answer.status(), 400 | 401 | 403))
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(answer) => answer.retry_after(),
            _ => None,
        }
    }

    pub(super) fn error(&self) -> Error {
        match self {
            Self::Refused(answer) => Error::Api(answer.clone()).of_renewal(),
            Self::Silent(source) => TransportError::new(WHAT, Arc::clone(source)).into(),
            Self::Reply(reply) => DecodeError::new(
                200,
                reply.content_type.clone(),
                reply.tracking_id.clone(),
                &reply.body,
                format!("{WHAT}: {}", reply.reason),
            )
            .into(),
            Self::Store(detail, error) => {
                let again = match error.raw_os_error() {
                    Some(code) => io::Error::from_raw_os_error(code),
                    None => io::Error::new(error.kind(), error.to_string()),
                };
                Error::Store { detail: detail.clone(), source: again.into() }
            }
            Self::Setting(reason) => Error::Config(reason.clone()),
        }
    }
}
