//! `ApiError`: a response of the service other than the requested one.

use std::{error::Error as StdError, fmt, time::Duration};

use serde_json::Value;

use super::{
    Error,
    text::{printable, reason, write_origin},
};

/// A response of the service to a request that it didn't fulfil.
///
/// Its [`Debug`] output leaves out the body, which can repeat the request.
///
/// ```
/// # use webex_events::{Client, Error, Result};
/// # async fn example(client: Client, id: &str) -> Result<()> {
/// match client.get(id).await {
///     Err(Error::Api(response)) => {
///         eprintln!("{}: {} after {} requests", response.status(), response.message(), response.attempts());
///     }
///     other => println!("{}", other?.raw()),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ApiError {
    status: u16,
    message: Box<str>,
    errors: Vec<String>,
    tracking_id: Option<Box<str>>,
    retry_after: Option<Duration>,
    body: Box<str>,
    attempts: u32,
    /// True if the request was for a token.
    pub(super) of_renewal: bool,
}

impl ApiError {
    /// Reads the message, the errors and the tracking id in `body`, which may be JSON in the service's form, HTML of
    /// a gateway, or empty. A tracking id from the header takes precedence.
    pub(crate) fn new(
        status: u16,
        tracking_id: Option<Box<str>>,
        retry_after: Option<Duration>,
        body: String,
        attempts: u32,
    ) -> Self {
        let json = serde_json::from_str::<Value>(&body).unwrap_or_default();
        let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let errors = json.get("errors").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let message = text(&json, "message").unwrap_or_else(|| reason(status).to_owned());
        Self {
            status,
            message: message.into(),
            errors: errors
                .iter()
                .filter_map(|error| text(error, "description").or_else(|| error.as_str().map(str::to_owned)))
                .collect(),
            tracking_id: tracking_id.or_else(|| text(&json, "trackingId").map(Into::into)),
            retry_after,
            body: body.into(),
            attempts,
            of_renewal: false,
        }
    }

    /// The same with `mask` applied to every text that came from the service.
    pub(crate) fn with_texts(mut self, mask: impl Fn(&str) -> String) -> Self {
        self.message = mask(&self.message).into();
        self.errors = self.errors.iter().map(|error| mask(error)).collect();
        self.tracking_id = self.tracking_id.map(|id| mask(&id).into());
        self.body = mask(&self.body).into();
        self
    }

    /// Returns the status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Returns the `message` of the body or, without one, the reason phrase of the status.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns each `description` in the `errors` of the body.
    #[must_use]
    pub fn errors(&self) -> &[String] {
        &self.errors
    }

    /// Returns the tracking id, from the header `TrackingID` or else from the body.
    #[must_use]
    pub fn tracking_id(&self) -> Option<&str> {
        self.tracking_id.as_deref()
    }

    /// Returns the wait that the service requested (`Retry-After`).
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Returns the body as text, at most its first 64 KiB. Where it repeats the token or the query of the request, also in
    /// the escapes of JSON, HTML or URLs, it has `…`.
    #[must_use]
    pub fn body(&self) -> &str {
        &self.body
    }

    /// Returns the number of times that the request was sent.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }
}

/// The reason that the service quotes within the message of a back end: `… (url = …, error = 'the reason')`.
fn quoted_reason(message: &str) -> &str {
    let quoted = message.split_once("error = '").and_then(|(_, rest)| rest.rsplit_once('\''));
    quoted.map_or(message, |(reason, _)| reason)
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.of_renewal {
            f.write_str("the access token couldn't be renewed: ")?;
        }
        write!(f, "the service responded with {}", self.status)?;
        match (reason(self.status), printable(quoted_reason(&self.message), 300)) {
            (phrase, message) if phrase == message => write!(f, " {phrase}")?,
            ("", message) => write!(f, ": {message}")?,
            (phrase, message) => write!(f, " {phrase}: {message}")?,
        }
        if let Some(wait) = self.retry_after.filter(|wait| !wait.is_zero()) {
            write!(f, ", and asks to wait {} s", wait.as_secs())?;
        }
        write_origin(f, self.tracking_id(), self.attempts)
    }
}

impl fmt::Debug for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiError")
            .field("status", &self.status)
            .field("message", &printable(&self.message, 300))
            .field("tracking_id", &self.tracking_id().map(|id| printable(id, 100)))
            .field("retry_after", &self.retry_after)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

impl StdError for ApiError {}

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        Self::Api(Box::new(error))
    }
}
