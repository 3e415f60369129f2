//! The token of each attempt, and who asks for another after a 401: one at a time.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_core::future::BoxFuture;
use futures_util::future::{FutureExt, Shared, WeakShared};

use super::{Token, TokenSource};
use crate::error::{Error, Result};

/// What a client was given to authorize itself.
#[derive(Clone)]
pub(crate) enum Access {
    /// A token that is all there is: after a 401 nothing is sent again.
    Fixed(Token),
    Source(Arc<dyn TokenSource>),
}

impl Access {
    /// Whether what is known of it can be sent at all.
    pub(crate) fn check(&self) -> Result<()> {
        match self {
            Self::Fixed(token) => token.check(),
            Self::Source(_) => Ok(()),
        }
    }
}

/// A source of a user's own may show its token.
impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fixed(_) => "Token(…)",
            Self::Source(_) => "TokenSource(…)",
        })
    }
}

/// What every attempt of a client and its clones gets its token from.
#[derive(Debug)]
pub(crate) struct TokenProvider {
    access: Access,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// How many times the source has answered a rejection.
    generation: u64,
    latest: Option<Renewal>,
    /// The renewal in flight, which is dropped with the last task that waits for it.
    in_flight: Option<(Token, WeakShared<InFlight>)>,
}

/// The latest answer of the source to a rejection.
#[derive(Debug)]
struct Renewal {
    rejected: Token,
    token: Token,
}

/// It goes on with whoever is polled: a stream that isn't must hold up no other.
type InFlight = BoxFuture<'static, Result<Token, Failure>>;

/// For the first who takes it; the others ask again.
type Failure = Arc<Mutex<Option<Error>>>;

/// A token for one attempt.
#[derive(Debug)]
pub(crate) struct Credential {
    pub(crate) token: Token,
    /// The generation at the time that the token was asked for.
    generation: u64,
}

impl TokenProvider {
    pub(crate) fn new(access: Access) -> Self {
        Self { access, state: Arc::default() }
    }

    /// The token for an attempt.
    pub(crate) async fn credential(&self) -> Result<Credential> {
        // Noted first: a renewal from here on is one that the token may have missed.
        let generation = lock(&self.state).generation;
        let token = match &self.access {
            Access::Fixed(token) => token.clone(),
            Access::Source(source) => checked(source.token(None).await)?,
        };
        Ok(Credential { token, generation })
    }

    /// The token to send the request with once more, now that the one of `credential` was rejected; none if
    /// there is no other to be had.
    pub(crate) async fn renew(&self, credential: &Credential) -> Result<Option<Token>> {
        let Access::Source(source) = &self.access else { return Ok(None) };
        loop {
            let (rejected, in_flight) = {
                let mut state = lock(&self.state);
                if let Some(token) = state.answer(credential) {
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
                // It was about another token.
                Ok(_) => {}
                Err(failure) => {
                    if let Some(error) = lock(&failure).take() {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// Asks the source for another token than `rejected`.
    fn in_flight(&self, source: Arc<dyn TokenSource>, rejected: Token) -> Shared<InFlight> {
        let state = Arc::clone(&self.state);
        let in_flight = async move {
            let answer = checked(source.token(Some(&rejected)).await);
            let mut state = lock(&state);
            state.in_flight = None;
            let token = answer.map_err(|error| Arc::new(Mutex::new(Some(error))))?;
            state.latest = Some(Renewal { rejected, token: token.clone() });
            state.generation += 1;
            Ok(token)
        };
        in_flight.boxed().shared()
    }
}

impl State {
    /// The source's answer to the rejection of the token of `credential`, if it has been given since.
    fn answer(&self, credential: &Credential) -> Option<Token> {
        let is_since = self.generation > credential.generation;
        let renewal = self.latest.as_ref().filter(|latest| is_since && latest.rejected == credential.token);
        renewal.map(|renewal| renewal.token.clone())
    }

    fn under_way(&self) -> Option<(Token, Shared<InFlight>)> {
        let (rejected, in_flight) = self.in_flight.as_ref()?;
        Some((rejected.clone(), in_flight.upgrade()?))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn checked(answer: Result<Token>) -> Result<Token> {
    // What the source was answered isn't what the service answered.
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
        asked: StdMutex<Vec<Token>>,
        answers: Semaphore,
    }

    impl TokenSource for Scripted {
        fn token<'a>(&'a self, rejected: Option<&'a Token>) -> BoxFuture<'a, Result<Token>> {
            Box::pin(async move {
                let Some(rejected) = rejected else { return Ok(self.first.clone()) };
                self.asked.lock().unwrap().push(rejected.clone());
                self.answers.acquire().await.unwrap().forget();
                self.next.lock().unwrap().pop_front().unwrap()
            })
        }
    }

    fn scripted(next: impl IntoIterator<Item = Result<Token>>) -> (Arc<Scripted>, TokenProvider) {
        let source = Arc::new(Scripted {
            first: Token::from("a"),
            next: StdMutex::new(next.into_iter().collect()),
            asked: StdMutex::default(),
            answers: Semaphore::new(0),
        });
        (Arc::clone(&source), TokenProvider::new(Access::Source(source)))
    }

    fn asked(source: &Scripted) -> Vec<Token> {
        source.asked.lock().unwrap().clone()
    }

    #[tokio::test]
    async fn those_rejected_together_share_one_question() {
        let (source, provider) = scripted([Ok("b".into())]);
        let credentials = [provider.credential().await.unwrap(), provider.credential().await.unwrap()];
        let mut first = Box::pin(provider.renew(&credentials[0]));
        let mut second = Box::pin(provider.renew(&credentials[1]));
        assert!((&mut first).now_or_never().is_none() && (&mut second).now_or_never().is_none());
        source.answers.add_permits(1);
        assert_eq!(first.await.unwrap(), Some("b".into()));
        assert_eq!(second.await.unwrap(), Some("b".into()));
        assert_eq!(asked(&source), ["a".into()]);
    }

    #[tokio::test]
    async fn a_rejection_of_a_later_attempt_is_a_question_of_its_own() {
        let (source, provider) = scripted([Ok("b".into()), Ok("c".into())]);
        source.answers.add_permits(2);
        let early = provider.credential().await.unwrap();
        assert_eq!(provider.renew(&early).await.unwrap(), Some("b".into()));
        // The source still gives the old token, which is rejected once more.
        let late = provider.credential().await.unwrap();
        assert_eq!(late.token, "a".into());
        assert_eq!(provider.renew(&late).await.unwrap(), Some("c".into()));
        assert_eq!(asked(&source), ["a".into(), "a".into()]);
    }

    #[tokio::test]
    async fn another_token_than_the_replaced_one_is_not_answered_from_memory() {
        let (source, provider) = scripted([Ok("b".into()), Ok("c".into())]);
        source.answers.add_permits(2);
        let first = provider.credential().await.unwrap();
        let other = Credential { token: "x".into(), generation: first.generation };
        assert_eq!(provider.renew(&first).await.unwrap(), Some("b".into()));
        assert_eq!(provider.renew(&other).await.unwrap(), Some("c".into()));
        assert_eq!(asked(&source), ["a".into(), "x".into()]);
    }

    #[tokio::test]
    async fn a_failure_is_not_kept_and_a_dropped_question_blocks_no_other() {
        let (source, provider) = scripted([Err(Error::config("no")), Ok("b".into())]);
        let credential = provider.credential().await.unwrap();
        assert!(provider.renew(&credential).now_or_never().is_none(), "it waits and is dropped");
        source.answers.add_permits(2);
        assert!(provider.renew(&credential).await.is_err());
        assert_eq!(provider.renew(&credential).await.unwrap(), Some("b".into()));
        assert_eq!(asked(&source).len(), 3);
    }

    #[tokio::test]
    async fn a_question_that_nobody_polls_holds_up_no_other() {
        let (source, provider) = scripted([Ok("b".into())]);
        let credentials = [provider.credential().await.unwrap(), provider.credential().await.unwrap()];
        let mut left = Box::pin(provider.renew(&credentials[0]));
        assert!((&mut left).now_or_never().is_none());
        source.answers.add_permits(1);
        assert_eq!(provider.renew(&credentials[1]).now_or_never().unwrap().unwrap(), Some("b".into()));
        assert_eq!(left.await.unwrap(), Some("b".into()));
        assert_eq!(asked(&source), ["a".into()]);
    }

    #[tokio::test]
    async fn a_token_that_can_not_be_sent_is_refused_each_time() {
        let (source, provider) = scripted([Ok("b\nb".into())]);
        source.answers.add_permits(1);
        let credential = provider.credential().await.unwrap();
        assert!(matches!(provider.renew(&credential).await, Err(Error::Config(_))));
        let empty = TokenProvider::new(Access::Source(Arc::new(Token::from(""))));
        assert!(matches!(empty.credential().await, Err(Error::Config(_))));
    }

    #[tokio::test]
    async fn a_fixed_token_has_no_other() {
        let provider = TokenProvider::new(Access::Fixed("a".into()));
        let credential = provider.credential().await.unwrap();
        assert_eq!(provider.renew(&credential).await.unwrap(), None);
    }
}
