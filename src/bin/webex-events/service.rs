//! The client, from the command line and the environment.

use std::{
    fs::File,
    io::{self, Read},
    num::NonZeroU32,
    path::Path,
    time::Duration,
};

use webex_events::{Client, ClientBuilder, OAuth, OAuthLogin, RateLimit, RetryPolicy, sandbox::Sandbox};

pub(crate) use self::origin::Origin;
use crate::{
    cli::{ATTEMPTS, Connection, values::Rate},
    error::{Failure, reason},
    service::file::TokenFile,
};

mod file;
mod origin;
pub(crate) mod redirect;

/// The maximum size of a file with a token or certificates.
const LONGEST_FILE: u64 = 16 << 20;
/// The maximum time that the program waits at its end for a renewal in flight.
const RENEWAL: Duration = Duration::from_secs(10);
/// The default number of attempts until the service has responded once: the address may be wrong.
const FIRST_ATTEMPTS: NonZeroU32 = NonZeroU32::MIN.saturating_add(2);
const WEBEX: &str = "https://webexapis.com/v1";

/// A renewal of tokens that may still be in flight when the command has ended.
#[derive(Debug, Default)]
pub(crate) struct PendingRenewal(Option<OAuth>);

impl PendingRenewal {
    /// Waits for a renewal in flight, so that its tokens aren't lost with this process.
    pub(crate) async fn finish(self) {
        if let Some(oauth) = self.0 {
            let _ = tokio::time::timeout(RENEWAL, oauth.renewed()).await;
        }
    }
}

/// A client, with the origin of its token.
#[derive(Clone, Debug)]
pub(crate) struct Connected {
    pub(crate) client: Client,
    pub(crate) base_url: String,
    pub(crate) origin: Origin,
}

/// Connects to the service that the command line names.
pub(crate) fn connect(connection: &Connection, renewal: &mut PendingRenewal) -> Result<Connected, Failure> {
    let origin = Origin::of(connection)?;
    let mut builder = common(connection)?;
    builder = match &origin {
        Origin::Variable(token) => builder.token(token.clone()),
        Origin::File(path) => builder.token_source(TokenFile::open(path)?),
        Origin::Store { oauth, .. } => {
            renewal.0 = Some(oauth.clone());
            builder.token_source(oauth.clone())
        }
        Origin::Sandbox => builder,
    };
    if let Some(url) = &connection.base_url {
        builder = builder.base_url(url);
    }
    if let Some(proxy) = &connection.proxy {
        builder = builder.proxy(proxy);
    }
    let client = builder.build()?;
    let base_url = connection.base_url.clone().unwrap_or_else(|| WEBEX.to_owned());
    Ok(Connected { client, base_url, origin })
}

/// A login for the integration and the service that the command line names.
pub(crate) fn login(connection: &Connection, scope: &str) -> Result<OAuthLogin, Failure> {
    let (id, secret) = origin::client(&connection.credentials)?;
    let store = connection.credentials.oauth_store.clone().unwrap_or_default();
    let mut login = OAuthLogin::new(id, secret, store)?.scope(scope);
    if let Some(url) = &connection.base_url {
        login = login.base_url(url);
    }
    if let Some(proxy) = &connection.proxy {
        login = login.proxy(proxy);
    }
    for pem in certificates(connection)? {
        login = login.root_certificate(&pem);
    }
    Ok(login)
}

/// Connects to a sandbox.
pub(crate) fn sandbox(sandbox: &Sandbox, connection: &Connection) -> Result<Connected, Failure> {
    let builder = common(connection)?.base_url(sandbox.base_url()).token(sandbox.token());
    let client = builder.build()?;
    Ok(Connected { client, base_url: sandbox.base_url().to_owned(), origin: Origin::Sandbox })
}

fn common(connection: &Connection) -> Result<ClientBuilder, Failure> {
    let (attempts, first) = match connection.attempts {
        Some(attempts) => (attempts, attempts),
        None => (ATTEMPTS, FIRST_ATTEMPTS),
    };
    let retry =
        RetryPolicy::default().attempts(attempts).connect_attempts(first).max_wait(connection.max_wait);
    let mut builder = Client::builder().retry(retry);
    builder = match connection.rate_limit {
        Some(Rate::PerSecond(requests)) => builder.rate_limit(RateLimit::per_second(requests)),
        Some(Rate::PerMinute(requests)) => builder.rate_limit(RateLimit::per_minute(requests)),
        None => builder,
    };
    for (name, value) in connection.headers()? {
        builder = builder.header(name, value);
    }
    for pem in certificates(connection)? {
        builder = builder.root_certificate(&pem);
    }
    Ok(builder)
}

fn certificates(connection: &Connection) -> Result<Vec<Vec<u8>>, Failure> {
    let read = |path| {
        read(path).map_err(|error| {
            Failure::settings(format!(
                "the root certificate {} can't be read: {}; check --root-certificate",
                path.display(),
                reason(&error)
            ))
        })
    };
    connection.root_certificate.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LONGEST_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}
