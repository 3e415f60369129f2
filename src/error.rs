//! `Error` and its parts.

use std::{error::Error as StdError, fmt, time::Duration};

mod api;
mod decode;
mod item;
mod login;
mod text;
mod transport;

pub(crate) use self::item::MalformedItems;
pub(crate) use self::text::{retry_cause, root_cause, without_queries};
pub use self::{
    api::ApiError,
    decode::DecodeError,
    item::MalformedItem,
    login::LoginError,
    transport::{TransportError, TransportErrorKind},
};

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

/// Everything that can go wrong.
///
/// [`Display`](fmt::Display) is one line about this level only; [`source`](StdError::source) has the
/// next. Neither they nor [`Debug`] show a token or the query string of a URL.
///
/// [`Error::Item`] is about one item of a list, and the list continues after it. Every other error
/// ends a stream, which can be resumed where it stopped:
///
/// ```
/// # use futures::TryStreamExt;
/// # use webex_events::{Client, Error, ListEvents, Result};
/// # async fn example(client: Client) -> Result<()> {
/// let mut events = client.list(ListEvents::new());
/// loop {
///     match events.try_next().await {
///         Ok(Some(event)) => println!("{}", event.id()),
///         Ok(None) => break,
///         Err(Error::Item(item)) => eprintln!("not an event: {}", item.raw()),
///         Err(error) if error.is_transient() => events.resume(),
///         Err(error) => return Err(error),
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The service responded with another status than 200.
    ///
    /// 408, 423, 429, 500, 502, 503 and 504 have been retried as often as the
    /// [`RetryPolicy`](crate::RetryPolicy) allows; no other status is.
    #[error(transparent)]
    Api(Box<ApiError>),

    /// No complete response arrived: no connection, a timeout, a body that broke off. The request has been
    /// retried as often as the [`RetryPolicy`](crate::RetryPolicy) allows.
    #[error(transparent)]
    Transport(Box<TransportError>),

    /// The body of a 200 isn't of the requested form. It is never retried.
    #[error(transparent)]
    Decode(Box<DecodeError>),

    /// One item of a page isn't an event. The stream continues after it.
    #[error(transparent)]
    Item(Box<MalformedItem>),

    /// The link to a page can't be followed, or must not be. Nothing was sent to it.
    #[error("{kind}: {detail}")]
    #[non_exhaustive]
    Link {
        /// The fault of the link.
        kind: LinkErrorKind,
        /// One line about this link, without its query string.
        detail: Box<str>,
    },

    /// The text of a cursor is damaged, or the service no longer knows its page: it responded with 400,
    /// 404 or 410, and that response is the [`source`](StdError::source).
    #[error("{reason}")]
    #[non_exhaustive]
    Cursor {
        /// The fault of the cursor.
        reason: Box<str>,
        /// The response of the service, an [`ApiError`], if a request was sent.
        source: Option<BoxError>,
    },

    /// The query is invalid. Nothing was sent.
    #[error("{0}")]
    Query(Box<str>),

    /// A setting of the client is invalid. Nothing was sent.
    #[error("{0}")]
    Config(Box<str>),

    /// The file that [`OAuth`](crate::OAuth) keeps its tokens in can't be read, locked or written: a
    /// full disk, a folder that can't be written to. The [`source`](StdError::source) is the system's
    /// own error. No token was lost: once the file can be written again, the same call succeeds. The
    /// [`RetryPolicy`](crate::RetryPolicy) doesn't retry it, because a disk seldom recovers within seconds.
    #[error("{detail}")]
    #[non_exhaustive]
    Store {
        /// The operation that failed, and its file.
        detail: Box<str>,
        /// The error of the system, a [`std::io::Error`].
        source: BoxError,
    },

    /// The checkpoint of a follower lies ahead of the service's time, on which three responses have agreed. Events
    /// that the service creates until then would be taken for old ones. Either the clock by which the checkpoint
    /// was made was wrong, or the service's clock is. The same call succeeds once the clock is correct, or the
    /// service's time has reached the checkpoint.
    #[error(
        "the checkpoint lies {} s ahead of the service's clock: correct the clock that is wrong, or follow from an earlier checkpoint",
        ahead.as_secs()
    )]
    #[non_exhaustive]
    Clock {
        /// The time by which the checkpoint lies ahead of the service.
        ahead: Duration,
    },

    /// A login with [`OAuthLogin`](crate::OAuthLogin) gave no tokens.
    #[error(transparent)]
    Login(LoginError),
}

impl Error {
    /// Returns the status of the response that this error is about.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Decode(error) => Some(error.status()),
            _ => self.answer().map(ApiError::status),
        }
    }

    /// Returns the tracking id of that response, which the service's support needs.
    #[must_use]
    pub fn tracking_id(&self) -> Option<&str> {
        match self {
            Self::Decode(error) => error.tracking_id(),
            _ => self.answer().and_then(ApiError::tracking_id),
        }
    }

    /// Returns the wait that the service requested (`Retry-After`, RFC 9110 section 10.2.3).
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.answer().and_then(ApiError::retry_after)
    }

    /// True if the same call, unchanged, can succeed later: the responses that are retried
    /// (408, 423, 429, 500, 502, 503, 504), every [`Error::Transport`], every [`Error::Store`] and
    /// [`Error::Clock`].
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Api(error) => is_retried(error.status()),
            Self::Transport(_) | Self::Store { .. } | Self::Clock { .. } => true,
            _ => false,
        }
    }

    /// True if getting a token failed, and not the request for events: an [`Error::Api`], [`Error::Transport`] or
    /// [`Error::Decode`] from a [`TokenSource`](crate::TokenSource), and every [`Error::Store`].
    ///
    /// An [`Error::Config`] says the same in both cases and isn't marked.
    #[must_use]
    pub fn is_renewal(&self) -> bool {
        match self {
            Self::Api(error) => error.of_renewal,
            Self::Transport(error) => error.of_renewal,
            Self::Decode(error) => error.of_renewal,
            Self::Store { .. } => true,
            _ => false,
        }
    }

    /// Returns the fault of the link, for [`Error::Link`].
    #[must_use]
    pub fn link_kind(&self) -> Option<LinkErrorKind> {
        match self {
            Self::Link { kind, .. } => Some(*kind),
            _ => None,
        }
    }

    /// True if the service doesn't accept the token.
    ///
    /// Either the status is 401: the token is missing, wrong, expired or revoked; the service doesn't say which. With
    /// a [`TokenSource`](crate::TokenSource) it is the second 401, to a token that the source gave after the
    /// first.
    ///
    /// Or the source's own request for a token was refused, with 400, 401 or 403
    /// ([`is_renewal`](Self::is_renewal) tells): the refresh token was revoked, was replaced or has expired, or the
    /// client secret is wrong. The same request can't succeed until there are other credentials. The
    /// [`status`](Self::status) is that of the refusal, but [`is_forbidden`](Self::is_forbidden),
    /// [`is_not_found`](Self::is_not_found) and the like are false, because they are about the requested events.
    #[must_use]
    pub fn is_auth(&self) -> bool {
        match self.answer() {
            Some(answer) if answer.of_renewal => matches!(answer.status(), 400 | 401 | 403),
            _ => self.status() == Some(401),
        }
    }

    /// True for a 403: the token's scopes or its owner's role don't permit the request.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        self.has_status(403)
    }

    /// True for a 404.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.has_status(404)
    }

    /// True for a 409.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.has_status(409)
    }

    /// True for a 410.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.has_status(410)
    }

    /// True for a 423: the service can't respond now, and may say when to retry.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.has_status(423)
    }

    /// True for a 428.
    #[must_use]
    pub fn is_precondition_required(&self) -> bool {
        self.has_status(428)
    }

    /// True for a 429: too many requests for this user, from this client or another.
    #[must_use]
    pub fn is_rate_limited(&self) -> bool {
        self.status() == Some(429)
    }

    /// True for a status from 500 to 599.
    #[must_use]
    pub fn is_server_error(&self) -> bool {
        self.status().is_some_and(|status| (500..600).contains(&status))
    }

    /// True for the 403 to a list that reaches back further than this organization may search:
    /// 90 days, without the Pro Pack. Use a later `from`.
    #[must_use]
    pub fn is_beyond_retention(&self) -> bool {
        self.is_forbidden()
            && self.answer().is_some_and(|answer| answer.body().contains("authorized to search within past"))
    }

    /// Returns the status of the response to the request itself, not to one for a token.
    pub(crate) fn page_status(&self) -> Option<u16> {
        match self.answer() {
            Some(answer) if answer.of_renewal => None,
            _ => self.status(),
        }
    }

    /// True if the retry policy repeats the request.
    pub(crate) fn is_retryable(&self) -> bool {
        match self {
            Self::Transport(error) => !error.is_final,
            Self::Store { .. } => false,
            _ => self.is_transient(),
        }
    }

    /// The same error, marked as one of a token source.
    pub(crate) fn of_renewal(self) -> Self {
        match self {
            Self::Api(mut response) => {
                response.of_renewal = true;
                Self::Api(response)
            }
            Self::Transport(mut error) => {
                error.of_renewal = true;
                Self::Transport(error)
            }
            Self::Decode(mut error) => {
                error.of_renewal = true;
                Self::Decode(error)
            }
            error => error,
        }
    }

    /// The number of times that the failed request was sent, as far as this error knows.
    pub(crate) fn attempts(&self) -> u32 {
        match self {
            Self::Transport(error) => error.attempts(),
            _ => self.answer().map_or(1, ApiError::attempts),
        }
    }

    fn has_status(&self, status: u16) -> bool {
        self.page_status() == Some(status)
    }

    fn answer(&self) -> Option<&ApiError> {
        match self {
            Self::Api(error) => Some(error),
            Self::Cursor { source, .. } => source.as_deref()?.downcast_ref(),
            _ => None,
        }
    }

    pub(crate) fn link(kind: LinkErrorKind, detail: impl Into<Box<str>>) -> Self {
        Self::Link { kind, detail: detail.into() }
    }

    pub(crate) fn cursor(reason: impl Into<Box<str>>) -> Self {
        Self::Cursor { reason: reason.into(), source: None }
    }

    pub(crate) fn query(reason: impl Into<Box<str>>) -> Self {
        Self::Query(reason.into())
    }

    pub(crate) fn config(reason: impl Into<Box<str>>) -> Self {
        Self::Config(reason.into())
    }
}

/// Returns whether a response of this status is retried.
pub(crate) fn is_retried(status: u16) -> bool {
    matches!(status, 408 | 423 | 429 | 500 | 502 | 503 | 504)
}

/// The fault of a link to a page.
///
/// ```
/// use webex_events::{Error, LinkErrorKind};
///
/// fn advice(error: &Error) -> &'static str {
///     match error.link_kind() {
///         Some(LinkErrorKind::CrossOrigin) => "allow that origin, or correct the base URL",
///         Some(_) => "list the range again",
///         None => "",
///     }
/// }
/// # let _ = advice;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LinkErrorKind {
    /// A `Link` header that violates RFC 8288, or a target that can't be sent as it is.
    Malformed,
    /// Two `next` links with different targets.
    Ambiguous,
    /// A target outside the base URL's origin and the allowed ones.
    CrossOrigin,
    /// A page that this list has already read.
    Cycle,
    /// 1,000 empty pages in a row.
    NoProgress,
}

impl fmt::Display for LinkErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "a link that can't be read or sent as it is",
            Self::Ambiguous => "two different next links",
            Self::CrossOrigin => "a link to a foreign origin",
            Self::Cycle => "a link back to a page already read",
            Self::NoProgress => "no end of empty pages",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(status: u16, body: &str) -> ApiError {
        ApiError::new(status, None, None, body.to_owned(), 1)
    }

    #[test]
    fn an_error_body_is_read_in_each_of_its_forms() {
        let json = api(
            401,
            r#"{"message":"No","errors":[{"description":"a"},{"errorCode":1},"b"],"trackingId":"T_1"}"#,
        );
        assert_eq!((json.message(), json.tracking_id()), ("No", Some("T_1")));
        assert_eq!(json.errors(), ["a", "b"]);
        for body in ["", "<html>Bad Gateway</html>", "[]", r#"{"message":7,"errors":{"text":{"code":"x"}}}"#]
        {
            let error = api(502, body);
            assert_eq!((error.message(), error.errors().len(), error.body()), ("Bad Gateway", 0, body));
        }
    }

    #[test]
    fn an_error_is_one_line_without_a_query_string() {
        let error =
            api(400, "{\"message\":\"POST failed\\n(url = https://a/b?cursor=SECRET, error = 'no')\"}");
        let text = format!("{error} {error:?}");
        assert!(!text.contains("SECRET") && !text.contains('\n'), "{text}");
        assert!(text.contains("https://a/b?…"), "{text}");
    }

    #[test]
    fn the_cause_of_a_retry_is_the_same_for_each_attempt() {
        let body = r#"{"message":"No capacity","trackingId":"T_1"}"#;
        let causes = [1, 2].map(|attempts| {
            let error = Error::from(ApiError::new(503, None, None, body.to_owned(), attempts));
            assert!(error.to_string().contains("T_1"));
            retry_cause(&error)
        });
        assert_eq!(causes, ["the service responded with 503 Service Unavailable: No capacity"; 2]);
    }

    #[test]
    fn the_retention_limit_is_told_from_other_refusals() {
        let limit = Error::from(api(
            403,
            r#"{"message":"error = 'User is only authorized to search within past 90 days.'"}"#,
        ));
        assert!(limit.is_beyond_retention() && limit.is_forbidden() && !limit.is_transient());
        assert!(!Error::from(api(403, "{}")).is_beyond_retention());
    }

    #[test]
    fn a_refused_renewal_is_an_error_of_authorization_only() {
        for status in [400, 401, 403, 404, 410, 429, 503, 504] {
            let error =
                Error::from(api(status, r#"{"message":"authorized to search within past"}"#)).of_renewal();
            assert!(error.is_renewal());
            assert_eq!(error.is_auth(), status <= 403, "{status}");
            assert_eq!(error.is_transient(), is_retried(status), "{status}");
            assert_eq!((error.status(), error.page_status()), (Some(status), None));
            assert!(!error.is_forbidden() && !error.is_beyond_retention() && !error.is_not_found());
            assert_eq!((error.is_rate_limited(), error.is_server_error()), (status == 429, status >= 500));
            assert!(error.to_string().starts_with("the access token couldn't be renewed: "), "{error}");
        }
        let page = Error::from(api(403, "{}"));
        assert!(page.is_forbidden() && !page.is_auth() && page.page_status() == Some(403));
        assert!(Error::from(api(401, "{}")).is_auth() && !Error::from(api(400, "{}")).is_auth());
    }

    #[test]
    fn retried_errors_are_transient() {
        let transient: Vec<u16> = (100..600).filter(|&s| Error::from(api(s, "")).is_transient()).collect();
        assert_eq!(transient, [408, 423, 429, 500, 502, 503, 504]);
        assert!(Error::from(TransportError::new("no response", "refused")).is_transient());
        let store = Error::Store { detail: "".into(), source: "a full disk".into() };
        assert!(store.is_transient() && !store.is_retryable());
        assert!(!Error::config("").is_transient());
    }

    #[test]
    fn an_error_of_a_token_source_is_told_from_one_of_the_list() {
        let errors = || {
            [
                Error::from(api(503, "")),
                TransportError::new("no response", "refused").into(),
                DecodeError::new(200, None, None, "", "no token").into(),
            ]
        };
        assert!(errors().into_iter().all(|error| !error.is_renewal()));
        assert!(errors().into_iter().all(|error| error.of_renewal().is_renewal()));
        assert!(Error::Store { detail: "".into(), source: "a full disk".into() }.is_renewal());
    }

    #[test]
    fn an_error_is_small_enough_to_travel_with_every_event() {
        assert!(size_of::<Error>() <= 40, "{}", size_of::<Error>());
    }
}
