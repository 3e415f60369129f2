//! `TokenProvider`: the token for each attempt, and at most one request for another after a 401.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use futures_core::future::BoxFuture;
use futures_util::future::{FutureExt, Shared, WeakShared};

use super::{Token, TokenSource};
use crate::{
    error::{Error, Result},
    sync::lock,
};

/// The credentials of a client.
#[derive(Clone)]
pub(crate) enum ClientCredentials {
    /// A token without a replacement: after a 401 nothing is sent again.
    Fixed(Token),
    Source(Arc<dyn TokenSource>),
}

impl ClientCredentials {
    /// Checks a token that is known already.
    pub(crate) fn check(&self) -> Result<()> {
        match self {
            Self::Fixed(token) => token.check(),
            Self::Source(_) => Ok(()),
        }
    }
}

/// The `Debug` output of a user's own source may show its token.
impl fmt::Debug for ClientCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fixed(_) => "Token(…)",
            Self::Source(_) => "TokenSource(…)",
        })
    }
}

/// Gives a token to every attempt of a client and its clones.
#[derive(Debug)]
pub(crate) struct TokenProvider {
    access: ClientCredentials,
    state: Arc<Mutex<ProviderState>>,
}

#[derive(Debug, Default)]
struct ProviderState {
    /// The number of rejections for which the source has given another token.
    generation: u64,
    latest: Option<TokenRenewal>,
    /// The renewal in flight, which is dropped with the last task that waits for it.
    in_flight: Option<(Token, WeakShared<InFlight>)>,
}

/// The latest token that the source gave for a rejected one.
#[derive(Debug)]
struct TokenRenewal {
    rejected: Token,
    token: Token,
}

/// Any stream that waits for it polls it: a stream that isn't polled must hold up no other.
type InFlight = BoxFuture<'static, Result<Token, SharedError>>;

/// The first stream takes the error; the others call the source again.
type SharedError = Arc<Mutex<Option<Error>>>;

/// A token for one attempt.
#[derive(Debug)]
pub(crate) struct Credential {
    pub(crate) token: Token,
    /// The generation when the token was requested.
    generation: u64,
}

impl TokenProvider {
    pub(crate) fn new(access: ClientCredentials) -> Self {
        Self { access, state: Arc::default() }
    }

    /// False if there is no other token to be had after a 401.
    pub(crate) fn can_renew(&self) -> bool {
        matches!(self.access, ClientCredentials::Source(_))
    }

    /// Returns the token for an attempt.
    pub(crate) async fn credential(&self) -> Result<Credential> {
        // Read first: the token may have missed a renewal that happens after this.
        let generation = lock(&self.state).generation;
        let token = match &self.access {
            ClientCredentials::Fixed(token) => token.clone(),
            ClientCredentials::Source(source) => checked(source.token(None).await)?,
        };
        Ok(Credential { token, generation })
    }

    /// Returns the token to send the request with once more, after the one of `credential` was rejected; none if
    /// there is no other.
    pub(crate) async fn renew(&self, credential: &Credential) -> Result<Option<Token>> {
        let ClientCredentials::Source(source) = &self.access else { return Ok(None) };
        loop {
            let (rejected, in_flight) = {
                let mut state = lock(&self.state);
                if let Some(token) = state.replacement(credential) {
                    return Ok(Some(token));
                }
                state.under_way().unwrap_or_else(|| {
                    let in_flight = self.in_flight(Arc::clone(source), credential.token.clone());
                    state.in_flight =
                        in_flight.downgrade().map(|in_flight| (credential.token.clone(), in_flight));
                    (credential.token.clone(), in_flight)
                })
            };
            match in_flight.await {
                Ok(token) if rejected == credential.token => return Ok(Some(token)),
                // It replaced another token.
                Ok(_) => {}
                Err(failure) => {
                    if let Some(error) = lock(&failure).take() {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// Requests a token other than `rejected` from the source.
    fn in_flight(&self, source: Arc<dyn TokenSource>, rejected: Token) -> Shared<InFlight> {
        let state = Arc::clone(&self.state);
        let in_flight = async move {
            let answer = checked(source.token(Some(&rejected)).await);
            let mut state = lock(&state);
            state.in_flight = None;
            let token = answer.map_err(|error| Arc::new(Mutex::new(Some(error))))?;
            state.latest = Some(TokenRenewal { rejected, token: token.clone() });
            state.generation += 1;
            Ok(token)
        };
        in_flight.boxed().shared()
    }
}

impl ProviderState {
    /// The replacement for the token of `credential`, if the source has given it since.
    fn replacement(&self, credential: &Credential) -> Option<Token> {
        let is_since = self.generation > credential.generation;
        let renewal = self.latest.as_ref().filter(|latest| is_since && latest.rejected == credential.token);
        renewal.map(|renewal| renewal.token.clone())
    }

    fn under_way(&self) -> Option<(Token, Shared<InFlight>)> {
        let (rejected, in_flight) = self.in_flight.as_ref()?;
        Some((rejected.clone(), in_flight.upgrade()?))
    }
}

fn checked(answer: Result<Token>) -> Result<Token> {
    // The error isn't about the request for events.
    let token = answer.map_err(Error::of_renewal)?;
    token.check()?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, sync::Mutex as StdMutex};

    use futures::{FutureExt, future::BoxFuture};
    use tokio::sync::Semaphore;

    use super::*;

    /// Responds to each request when the test lets it: `None` always with the first token.
    #[derive(Debug)]
    struct Scripted {
        first: Token,
        next: StdMutex<VecDeque<Result<Token>>>,
        requests: StdMutex<Vec<Token>>,
        answers: Semaphore,
    }

    impl TokenSource for Scripted {
        fn token<'a>(&'a self, rejected: Option<&'a Token>) -> BoxFuture<'a, Result<Token>> {
            Box::pin(async move {
                let Some(rejected) = rejected else { return Ok(self.first.clone()) };
                self.requests.lock().unwrap().push(rejected.clone());
                self.answers.acquire().await.unwrap().forget();
                self.next.lock().unwrap().pop_front().unwrap()
            })
        }
    }

    fn scripted(next: impl IntoIterator<Item = Result<Token>>) -> (Arc<Scripted>, TokenProvider) {
        let source = Arc::new(Scripted {
            first: Token::from("a"),
            next: StdMutex::new(next.into_iter().collect()),
            requests: StdMutex::default(),
            answers: Semaphore::new(0),
        });
        (Arc::clone(&source), TokenProvider::new(ClientCredentials::Source(source)))
    }

    fn requests(source: &Scripted) -> Vec<Token> {
        source.requests.lock().unwrap().clone()
    }

    #[tokio::test]
    async fn streams_rejected_together_share_one_call() {
        let (source, provider) = scripted([Ok("b".into())]);
        let credentials = [provider.credential().await.unwrap(), provider.credential().await.unwrap()];
        let mut first = Box::pin(provider.renew(&credentials[0]));
        let mut second = Box::pin(provider.renew(&credentials[1]));
        assert!((&mut first).now_or_never().is_none() && (&mut second).now_or_never().is_none());
        source.answers.add_permits(1);
        assert_eq!(first.await.unwrap(), Some("b".into()));
        assert_eq!(second.await.unwrap(), Some("b".into()));
        assert_eq!(requests(&source), ["a".into()]);
    }

    #[tokio::test]
    async fn a_rejection_of_a_later_attempt_is_a_call_of_its_own() {
        let (source, provider) = scripted([Ok("b".into()), Ok("c".into())]);
        source.answers.add_permits(2);
        let early = provider.credential().await.unwrap();
        assert_eq!(provider.renew(&early).await.unwrap(), Some("b".into()));
        // The source still gives the old token, which is rejected once more.
        let late = provider.credential().await.unwrap();
        assert_eq!(late.token, "a".into());
        assert_eq!(provider.renew(&late).await.unwrap(), Some("c".into()));
        assert_eq!(requests(&source), ["a".into(), "a".into()]);
    }

    #[tokio::test]
    async fn a_token_other_than_the_replaced_one_is_renewed_again() {
        let (source, provider) = scripted([Ok("b".into()), Ok("c".into())]);
        source.answers.add_permits(2);
        let first = provider.credential().await.unwrap();
        let other = Credential { token: "x".into(), generation: first.generation };
        assert_eq!(provider.renew(&first).await.unwrap(), Some("b".into()));
        assert_eq!(provider.renew(&other).await.unwrap(), Some("c".into()));
        assert_eq!(requests(&source), ["a".into(), "x".into()]);
    }

    #[tokio::test]
    async fn a_failure_is_not_kept_and_a_dropped_question_blocks_no_other() {
        let (source, provider) = scripted([Err(Error::config("no")), Ok("b".into())]);
        let credential = provider.credential().await.unwrap();
        assert!(provider.renew(&credential).now_or_never().is_none(), "it waits and is dropped");
        source.answers.add_permits(2);
        assert!(provider.renew(&credential).await.is_err());
        assert_eq!(provider.renew(&credential).await.unwrap(), Some("b".into()));
        assert_eq!(requests(&source).len(), 3);
    }

    #[tokio::test]
    async fn a_call_that_nobody_polls_holds_up_no_other() {
        let (source, provider) = scripted([Ok("b".into())]);
        let credentials = [provider.credential().await.unwrap(), provider.credential().await.unwrap()];
        let mut left = Box::pin(provider.renew(&credentials[0]));
        assert!((&mut left).now_or_never().is_none());
        source.answers.add_permits(1);
        assert_eq!(provider.renew(&credentials[1]).now_or_never().unwrap().unwrap(), Some("b".into()));
        assert_eq!(left.await.unwrap(), Some("b".into()));
        assert_eq!(requests(&source), ["a".into()]);
    }

    #[tokio::test]
    async fn an_invalid_token_is_refused_each_time() {
        let (source, provider) = scripted([Ok("b\nb".into())]);
        source.answers.add_permits(1);
        let credential = provider.credential().await.unwrap();
        assert!(matches!(provider.renew(&credential).await, Err(Error::Config(_))));
        let empty = TokenProvider::new(ClientCredentials::Source(Arc::new(Token::from(""))));
        assert!(matches!(empty.credential().await, Err(Error::Config(_))));
    }

    #[tokio::test]
    async fn a_fixed_token_has_no_replacement() {
        let provider = TokenProvider::new(ClientCredentials::Fixed("a".into()));
        let credential = provider.credential().await.unwrap();
        assert_eq!(provider.renew(&credential).await.unwrap(), None);
    }
}
