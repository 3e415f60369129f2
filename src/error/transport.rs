//! `TransportError`: a request without a complete response.

use std::{error::Error as StdError, fmt};

use super::{BoxError, Error, text::write_origin};

/// A request that got no complete response: transient, and retried by the policy.
///
/// A source of tokens of your own makes one for a failed request:
///
/// ```
/// use webex_events::{Error, TransportError};
///
/// let error: Error = TransportError::new("the vault gave no token", "connection refused").into();
/// assert!(error.is_transient());
/// ```
#[derive(Debug)]
pub struct TransportError {
    kind: TransportErrorKind,
    what: &'static str,
    attempts: u32,
    /// True if the request was for a token.
    pub(super) of_renewal: bool,
    /// True if the request is not sent again, although the policy has attempts left.
    pub(super) is_final: bool,
    source: BoxError,
}

/// The part of an exchange that failed: [`TransportError::kind`].
///
/// ```
/// use webex_events::{Error, TransportErrorKind};
///
/// fn advice(error: &Error) -> &'static str {
///     let Error::Transport(error) = error else { return "" };
///     match error.kind() {
///         TransportErrorKind::Dns => "check the base URL and the name server",
///         TransportErrorKind::Proxy => "check the proxy",
///         _ => "try again later",
///     }
/// }
/// # let _ = advice;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportErrorKind {
    /// The name of the host, or of the proxy, could not be resolved.
    Dns,
    /// The host refused the connection: nothing listens on that port.
    Refused,
    /// The TLS handshake failed, as with a certificate that isn't trusted.
    Tls,
    /// A time limit of the client or of the system expired.
    TimedOut,
    /// The proxy could not be reached, or did not open a tunnel.
    Proxy,
    /// The response broke off: its length, its compression or its JSON is incomplete.
    Truncated,
    /// Any other failure.
    Other,
}

impl TransportErrorKind {
    /// A name for logs and metrics: `dns`, `refused`, `tls`, `timed_out`, `proxy`, `truncated` or `other`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Refused => "refused",
            Self::Tls => "tls",
            Self::TimedOut => "timed_out",
            Self::Proxy => "proxy",
            Self::Truncated => "truncated",
            Self::Other => "other",
        }
    }
}

impl TransportError {
    /// A failure on the way to a token, for a [`TokenSource`](crate::TokenSource) of your own: its kind is
    /// [`Other`](TransportErrorKind::Other), and the [`Error`] that it converts into is transient.
    ///
    /// ```
    /// use webex_events::{Error, TransportError};
    ///
    /// let error = Error::from(TransportError::new("the vault is sealed", "status 503"));
    /// assert!(error.is_transient());
    /// assert_eq!(error.to_string(), "the vault is sealed");
    /// ```
    pub fn new(what: &'static str, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::with_kind(TransportErrorKind::Other, what, source)
    }

    /// A failure of this kind, for an [`HttpService`](crate::HttpService) of your own. `what` is shown by
    /// [`Display`](fmt::Display), and `source` by [`source`](StdError::source); neither may hold a query string.
    ///
    /// ```
    /// use webex_events::{TransportError, TransportErrorKind};
    ///
    /// let error = TransportError::with_kind(TransportErrorKind::Refused, "no connection to the service", "port 443");
    /// assert_eq!(error.kind(), TransportErrorKind::Refused);
    /// ```
    pub fn with_kind(
        kind: TransportErrorKind,
        what: &'static str,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self { kind, what, attempts: 1, of_renewal: false, is_final: false, source: source.into() }
    }

    /// The same error, after which the request is not sent again.
    pub(crate) fn without_retry(mut self) -> Self {
        self.is_final = true;
        self
    }

    pub(crate) fn after(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// The part of the exchange that failed.
    #[must_use]
    pub fn kind(&self) -> TransportErrorKind {
        self.kind
    }

    /// The number of times that the request was sent.
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
