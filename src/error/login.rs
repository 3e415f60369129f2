//! `LoginError`: the outcome of a login that gave no tokens.

use std::{error::Error as StdError, fmt};

use super::{Error, text::printable};

/// The reason why a login with [`OAuthLogin`](crate::OAuthLogin) gave no tokens, in [`Error::Login`]. Nothing was
/// stored. Start another login.
///
/// ```
/// use webex_events::{Error, LoginError};
///
/// fn is_worth_another_try(error: &Error) -> bool {
///     matches!(error, Error::Login(LoginError::Expired))
/// }
/// # let _ = is_worth_another_try;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoginError {
    /// The user, or an administrator's policy, denied the access (`access_denied`).
    Denied,
    /// The `state` of the redirect is missing or isn't that of this login: the redirect belongs to another login, or
    /// was forged. No code was sent to the service.
    OtherState,
    /// The text isn't a redirect with a code, and isn't a code.
    NoCode,
    /// The device code has expired before the user has allowed the access (RFC 8628 section 3.5).
    Expired,
    /// The authorization page refused the request with another error of RFC 6749 section 4.1.2.1.
    #[non_exhaustive]
    Refused {
        /// The name of the error, such as `invalid_scope`.
        error: Box<str>,
        /// The service's explanation; empty if there is none.
        description: Box<str>,
    },
}

impl fmt::Display for LoginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied => f.write_str("the access was denied"),
            Self::OtherState => f.write_str("the redirect doesn't belong to this login: its `state` differs"),
            Self::NoCode => f.write_str("the text holds no authorization code"),
            Self::Expired => f.write_str("the device code has expired before the access was allowed"),
            Self::Refused { error, description } => {
                write!(f, "the authorization page refused the request: {}", printable(error, 100))?;
                match &**description {
                    "" => Ok(()),
                    description => write!(f, ": {}", printable(description, 300)),
                }
            }
        }
    }
}

impl StdError for LoginError {}

impl From<LoginError> for Error {
    fn from(error: LoginError) -> Self {
        Self::Login(error)
    }
}
