//! `Renewer`: gives access tokens, and renews them in a thread of its own. The table in `oauth.rs` has its rules.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    thread,
    time::Duration,
};

use tokio::sync::watch;

use super::{
    grant::{self, GrantEndpoint, GrantError},
    renewal_error::RenewalError,
    state::{RenewalReceiver, RenewalResult, RenewalStep, TokenState},
    store::{PreparedCommit, ReadError, StoreLock, TokenStore},
    tokens::Tokens,
};
use crate::{clock::Clock, error::Result, sync::lock, token::Token};

/// The longest wait for the lock of another process.
pub(super) const LOCK_TIMEOUT: Duration = Duration::from_secs(120);
const LOCK_INTERVAL: Duration = Duration::from_millis(100);

pub(super) struct Renewer {
    pub(super) client_id: String,
    pub(super) client_secret: Token,
    pub(super) store: TokenStore,
    pub(super) endpoint: Mutex<GrantEndpoint>,
    pub(super) state: Mutex<TokenState>,
    pub(super) clock: Box<dyn Clock>,
}

impl Renewer {
    pub(super) fn state(&self) -> MutexGuard<'_, TokenState> {
        lock(&self.state)
    }

    pub(super) fn endpoint(&self) -> MutexGuard<'_, GrantEndpoint> {
        lock(&self.endpoint)
    }

    pub(super) async fn token(self: &Arc<Self>, rejected: Option<&Token>) -> Result<Token> {
        let mut pending = {
            let mut state = self.state();
            if let Some(rejected) = rejected {
                state.on_rejected(rejected);
            }
            match state.in_progress() {
                Some(pending) => pending,
                None => match state.usable(self.clock.utc(), self.clock.now()) {
                    Some(token) => return Ok(token),
                    None => self.start(&mut state),
                },
            }
        };
        let result = pending.wait_for(Option::is_some).await.ok().and_then(|result| result.clone());
        match result.unwrap_or_else(|| Err(RenewalError::no_response("the renewal ended early"))) {
            Ok(token) => Ok(token),
            // It may have been ahead of time.
            Err(error) => self.state().unexpired(self.clock.utc()).ok_or_else(|| error.error()),
        }
    }

    /// Starts a renewal in a thread of its own: the runtime of whoever waits for it may stop.
    fn start(self: &Arc<Self>, state: &mut TokenState) -> RenewalReceiver {
        let (sender, pending) = watch::channel(None);
        let sender = Arc::new(sender);
        let (renewer, result) = (Arc::clone(self), Arc::clone(&sender));
        let log = tracing::dispatcher::get_default(Clone::clone);
        let renewal = move || {
            tracing::dispatcher::with_default(&log, || {
                let outcome = renewer.run();
                renewer.state().on_finished(&outcome, renewer.clock.now());
                if let Err(error) = &outcome {
                    let error = error.error();
                    let source = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(source, "no new access token: {error}");
                }
                result.send_replace(Some(outcome));
            });
        };
        state.pending = Some(pending.clone());
        if let Err(error) = thread::Builder::new().name("webex-oauth".to_owned()).spawn(renewal) {
            state.pending = None;
            sender.send_replace(Some(Err(RenewalError::no_response(error))));
        }
        pending
    }

    fn run(&self) -> RenewalResult {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(RenewalError::no_response)?;
        let result = runtime.block_on(self.renew());
        // A name look-up that doesn't end must not hold up the result.
        runtime.shutdown_background();
        result
    }

    /// Gets a token from the file or the service, as the table in `oauth.rs` says.
    async fn renew(&self) -> RenewalResult {
        let mut lock = self.locked().await?;
        let text = match self.store.read(self.clock.utc()) {
            Ok((tokens, text)) => {
                self.state().on_file(tokens);
                Some(text)
            }
            Err(ReadError::Missing) => {
                tracing::warn!("the token file {} is missing; it will be written again", self.path());
                None
            }
            Err(ReadError::Invalid(reason)) => {
                tracing::warn!("{} isn't a token file any more, and will be replaced: {reason}", self.path());
                None
            }
            Err(ReadError::Io(error)) => return Err(RenewalError::file("read", self.store.path(), error)),
        };
        loop {
            let step = self.state().next_step(self.clock.utc());
            match step {
                RenewalStep::Done(token) => return Ok(token),
                RenewalStep::Fail(error) => return Err(error),
                RenewalStep::Store(tokens) => {
                    let commit = self.store.prepare(&tokens)?;
                    self.commit(&mut lock, commit, &tokens)?;
                }
                RenewalStep::Grant(held) => {
                    let endpoint = self.endpoint().connect()?;
                    let text = text.clone().unwrap_or_else(|| held.to_file());
                    let commit = self.store.rehearse(&mut lock, &text)?;
                    let client = (&*self.client_id, &self.client_secret);
                    match grant::request(endpoint, client, &held, &*self.clock).await {
                        Ok(tokens) => {
                            self.state().on_granted(tokens.clone(), true);
                            self.commit(&mut lock, commit, &tokens)?;
                            tracing::info!(expires_at = ?tokens.expires_at, "the access token was renewed");
                            let missing = || RenewalError::no_response("the reply holds no access token");
                            return tokens.access.ok_or_else(missing);
                        }
                        Err(GrantError { error, salvaged: Some(tokens) }) => {
                            self.state().on_granted(tokens.clone(), false);
                            self.commit(&mut lock, commit, &tokens)?;
                            return Err(error);
                        }
                        Err(GrantError { error, salvaged: None }) => {
                            if !error.is_final() || !self.state().on_refused(&error) {
                                return Err(error);
                            }
                            let path = self.path();
                            tracing::warn!("the refresh token in {path} was refused: using the one before");
                        }
                    }
                }
            }
        }
    }

    fn commit(
        &self,
        lock: &mut StoreLock,
        commit: PreparedCommit,
        tokens: &Tokens,
    ) -> Result<(), RenewalError> {
        self.store.commit(lock, commit, tokens)?;
        self.state().on_stored();
        Ok(())
    }

    /// Takes the lock that keeps other processes out, until it is dropped.
    async fn locked(&self) -> Result<StoreLock, RenewalError> {
        let path = self.path();
        locked(&self.store, &*self.clock)
            .await?
            .ok_or_else(|| RenewalError::no_response(format!("another process holds the lock of {path}")))
    }

    fn path(&self) -> std::path::Display<'_> {
        self.store.path().display()
    }
}

/// Takes the lock of a file; none if another process has it for too long.
pub(super) async fn locked(store: &TokenStore, clock: &dyn Clock) -> Result<Option<StoreLock>, RenewalError> {
    let start = clock.now();
    loop {
        if let Some(lock) = store.try_lock()? {
            return Ok(Some(lock));
        }
        if clock.now().saturating_duration_since(start) >= LOCK_TIMEOUT {
            return Ok(None);
        }
        clock.sleep(LOCK_INTERVAL).await;
    }
}
