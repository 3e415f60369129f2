//! A `TokenSource` of one's own: a token that a vault hands out, renewed after a 401.
//!
//! ```sh
//! cargo run --features sandbox --example token_source
//! ```

#![expect(clippy::print_stdout, reason = "examples print")]

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use futures::{TryStreamExt, future::BoxFuture};
use webex_events::{Client, ListEvents, Result, Token, TokenSource, sandbox::Sandbox};

/// Keeps the token in memory, and asks the vault again only when the service has rejected it.
#[derive(Debug)]
struct Vault {
    /// Stands for the vault: the sandbox itself knows which token is valid.
    sandbox: Arc<Sandbox>,
    latest: Mutex<Option<Token>>,
    requests: AtomicU32,
}

impl TokenSource for Vault {
    fn token<'a>(&'a self, rejected: Option<&'a Token>) -> BoxFuture<'a, Result<Token>> {
        Box::pin(async move {
            let known = self.latest.lock().map_or(None, |latest| latest.clone());
            if let Some(token) = known.filter(|token| Some(token) != rejected) {
                return Ok(token);
            }
            self.requests.fetch_add(1, Relaxed);
            let token = Token::from(self.sandbox.token());
            if let Ok(mut latest) = self.latest.lock() {
                *latest = Some(token.clone());
            }
            Ok(token)
        })
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let sandbox = Arc::new(Sandbox::builder().events(5_000).start().await?);
    let vault = Arc::new(Vault {
        sandbox: Arc::clone(&sandbox),
        latest: Mutex::new(Some(Token::from("an-old-token"))),
        requests: AtomicU32::new(0),
    });
    let client = Client::builder().base_url(sandbox.base_url()).token_source(Arc::clone(&vault)).build()?;

    let mut events = client.list(ListEvents::new());
    let mut count = 0;
    while let Some(_event) = events.try_next().await? {
        count += 1;
    }
    println!("{count} events, {} request(s) to the vault", vault.requests.load(Relaxed));
    assert_eq!(vault.requests.load(Relaxed), 1, "one renewal, after the first 401");
    Ok(())
}
