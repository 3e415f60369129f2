//! `Token`, and `TokenSource`, which provides it.

use std::{fmt, sync::Arc};

use futures_core::future::BoxFuture;

use crate::error::{Error, Result};

mod provider;

pub(crate) use provider::{ClientCredentials, TokenProvider};

/// An access token. It can't be read back: it has no `Display` and no serialization, and its [`Debug`] output
/// is redacted.
///
/// Leading and trailing white space is removed, so that the content of a file can be passed as it is.
///
/// ```
/// use webex_events::Token;
///
/// let token = Token::from("NGRjZmQ5ZDAt\n");
/// assert_eq!(token, Token::from("NGRjZmQ5ZDAt"));
/// assert_eq!(format!("{token:?}"), "Token(…)");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Arc<str>);

impl Token {
    pub(crate) fn secret(&self) -> &str {
        &self.0
    }

    /// Checks that the token can be sent. RFC 6750 section 2.1 allows less than visible ASCII.
    pub(crate) fn check(&self) -> Result<()> {
        if self.0.is_empty() {
            return Err(Error::config("the token is empty"));
        }
        if self.0.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("bearer ")) {
            return Err(Error::config("the token begins with `Bearer `; that word isn't part of it"));
        }
        if !self.0.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::config("the token holds spaces, control characters or non-ASCII characters"));
        }
        Ok(())
    }
}

impl From<&str> for Token {
    fn from(token: &str) -> Self {
        Self(token.trim().into())
    }
}

impl From<String> for Token {
    fn from(token: String) -> Self {
        token.as_str().into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// A source of access tokens, for a client that outlives a token.
///
/// [`OAuth`](crate::OAuth) renews its token. A [`Token`] never changes. [`token_fn`] makes a source of a
/// closure. A source of your own may query a vault, or read a file that another process updates. To share a source
/// or to choose one at run time, pass an `Arc<T>` or a `Box<dyn TokenSource>`.
///
/// The client calls the source before every attempt, so the source should return a token from memory while it can.
/// `rejected` is the token that just got a 401. Only one such call is in flight at a time for a client and its
/// clones, however many streams they have; all streams whose token was rejected meanwhile get the same result. A
/// call without a rejected token can come at any time.
///
/// Each request waits for the pace and for pauses first, gets its token then, and is sent immediately after that, the
/// second request after a 401 included. A source may therefore refuse: this is the way to stop a client between two
/// requests, such as when a lease has ended. An [`Error::Config`] isn't retried and ends the stream.
///
/// # Errors
///
/// The attempt fails with the error of the source. A transient error
/// ([`is_transient`](Error::is_transient)) is retried as the [`RetryPolicy`](crate::RetryPolicy) says, so a source
/// needs no loop of its own; [`TransportError::new`](crate::TransportError::new) makes one. An [`Error::Store`] is
/// transient, but it ends the stream, which can be resumed. So does any other error; [`Error::Config`] can carry the
/// reason. [`Error::is_renewal`] tells these errors from those of the
/// list. The text of an error is shown and logged: put no secret into it.
///
/// # Cancel safety
///
/// The future is dropped with the last stream that waits for it; until then any of these streams can poll it. Do
/// work that must not be lost, such as storing a new token, in a task of its own. The source must not wait for the
/// client that calls it.
///
/// ```
/// use std::{path::PathBuf, sync::Mutex};
/// use futures::future::BoxFuture;
/// use webex_events::{Error, Result, Token, TokenSource};
///
/// /// A file that another process updates, read again when its token is rejected.
/// #[derive(Debug)]
/// struct TokenFile {
///     path: PathBuf,
///     token: Mutex<Option<Token>>,
/// }
///
/// impl TokenSource for TokenFile {
///     fn token<'a>(&'a self, rejected: Option<&'a Token>) -> BoxFuture<'a, Result<Token>> {
///         Box::pin(async move {
///             let known = self.token.lock().unwrap().clone();
///             if let Some(token) = known.filter(|token| Some(token) != rejected) {
///                 return Ok(token);
///             }
///             let text = std::fs::read_to_string(&self.path)
///                 .map_err(|error| Error::Config(format!("{}: {error}", self.path.display()).into()))?;
///             let token = Token::from(text);
///             *self.token.lock().unwrap() = Some(token.clone());
///             Ok(token)
///         })
///     }
/// }
///
/// # let path = std::env::temp_dir().join(format!("webex-events-doc-{}", std::process::id()));
/// # std::fs::write(&path, "NGRjZmQ5ZDAt\n").unwrap();
/// let source = TokenFile { path, token: Mutex::default() };
/// # let path = source.path.clone();
/// let client = webex_events::Client::builder().token_source(source).build()?;
/// # std::fs::remove_file(path).unwrap();
/// # drop(client);
/// # Ok::<(), Error>(())
/// ```
pub trait TokenSource: fmt::Debug + Send + Sync + 'static {
    /// Returns a token to send. `rejected` is the token that just got a 401, if any.
    fn token<'a>(&'a self, rejected: Option<&'a Token>) -> BoxFuture<'a, Result<Token>>;
}

/// Returns the same token each time, rejected or not.
impl TokenSource for Token {
    fn token<'a>(&'a self, _: Option<&'a Token>) -> BoxFuture<'a, Result<Token>> {
        Box::pin(std::future::ready(Ok(self.clone())))
    }
}

impl<T: TokenSource + ?Sized> TokenSource for Arc<T> {
    fn token<'a>(&'a self, rejected: Option<&'a Token>) -> BoxFuture<'a, Result<Token>> {
        (**self).token(rejected)
    }
}

impl<T: TokenSource + ?Sized> TokenSource for Box<T> {
    fn token<'a>(&'a self, rejected: Option<&'a Token>) -> BoxFuture<'a, Result<Token>> {
        (**self).token(rejected)
    }
}

/// Makes a [`TokenSource`] of an async closure. The closure gets the token that was just rejected, if any.
///
/// It is called before every attempt, so it should return a token from memory while it can; see [`TokenSource`].
///
/// ```
/// use std::sync::Arc;
/// use tokio::sync::Mutex;
/// use webex_events::{Client, Result, Token, token_fn};
///
/// async fn from_vault() -> Result<Token> {
///     // …
///     Ok(Token::from("NGRjZmQ5ZDAt"))
/// }
///
/// let known: Arc<Mutex<Option<Token>>> = Arc::default();
/// let source = token_fn(move |rejected| {
///     let known = Arc::clone(&known);
///     async move {
///         let mut known = known.lock().await;
///         if let Some(token) = known.clone().filter(|token| Some(token) != rejected.as_ref()) {
///             return Ok(token);
///         }
///         Ok(known.insert(from_vault().await?).clone())
///     }
/// });
/// let client = Client::builder().token_source(source).build()?;
/// # drop(client);
/// # Ok::<(), webex_events::Error>(())
/// ```
pub fn token_fn<F, Fut>(f: F) -> impl TokenSource
where
    F: Fn(Option<Token>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Token>> + Send + 'static,
{
    TokenFn(f)
}

struct TokenFn<F>(F);

impl<F, Fut> TokenSource for TokenFn<F>
where
    F: Fn(Option<Token>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Token>> + Send + 'static,
{
    fn token<'a>(&'a self, rejected: Option<&'a Token>) -> BoxFuture<'a, Result<Token>> {
        Box::pin((self.0)(rejected.cloned()))
    }
}

impl<F> fmt::Debug for TokenFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("token_fn(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_can_not_be_sent_is_refused_without_showing_it() {
        for token in ["", " \n", "sec\u{7}ret", "sec ret", "sécret", "Bearer secret", "sec\nret"] {
            let error = Token::from(token).check().unwrap_err();
            assert!(matches!(&error, Error::Config(text) if !text.contains("ret")), "{error}");
        }
        assert!(Token::from(" a-token_0~+/.== ").check().is_ok());
    }
}
