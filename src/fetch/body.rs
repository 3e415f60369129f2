//! The body of a 200 that isn't what was requested.

use std::error::Error as StdError;

use http::header::CONTENT_TYPE;

use crate::{
    error::{DecodeError, Error},
    event::batch::{NotAPage, Rejected},
    mask::Mask,
    transport::{self, CompleteResponse},
};

pub(super) struct Undecodable {
    pub(super) text: String,
    pub(super) reason: Box<dyn StdError + Send + Sync>,
    /// True if the body is the beginning of JSON: its end did not arrive.
    pub(super) is_truncated: bool,
}

impl From<Rejected> for Undecodable {
    fn from((text, reason): Rejected) -> Self {
        Self { text, is_truncated: matches!(reason, NotAPage::Truncated(_)), reason: reason.into() }
    }
}

impl Undecodable {
    /// Makes the error for it. If the end did not arrive, it is one of the transport.
    pub(super) fn error(self, response: &CompleteResponse, mask: &Mask, attempts: u32) -> Error {
        let Self { text, reason, is_truncated } = self;
        if is_truncated {
            return transport::truncated(reason).after(attempts).into();
        }
        let masked = |text: &str| mask.apply(text).into();
        // Enough for what is shown, even if all of it is the token repeated.
        let start: String = text.chars().take(16 << 10).collect();
        let content_type = response.header(CONTENT_TYPE.as_str()).map(masked);
        let tracking_id = response.tracking_id().as_deref().map(masked);
        DecodeError::new(response.status, content_type, tracking_id, &masked(&start), reason).into()
    }
}
