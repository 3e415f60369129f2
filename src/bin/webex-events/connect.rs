//! The client, from the command line and the environment.

use std::{
    env,
    fs::File,
    io::{self, Read},
    path::Path,
};

use webex_events::{Client, ClientBuilder, RateLimit, RetryPolicy, Token, sandbox::Sandbox};

use crate::{args::Connection, failure::Failure, when::Rate};

const VARIABLE: &str = "WEBEX_ACCESS_TOKEN";
/// More than any token or bundle of certificates has.
const LONGEST_FILE: u64 = 16 << 20;

/// A client of the service.
pub(crate) fn to_service(connection: &Connection) -> Result<Client, Failure> {
    let mut builder = common(connection)?.token(token(connection.token_file.as_deref())?);
    if let Some(url) = &connection.base_url {
        builder = builder.base_url(url);
    }
    if let Some(proxy) = &connection.proxy {
        builder = builder.proxy(proxy);
    }
    builder.build().map_err(|error| Failure::of(&error, None))
}

/// A client of a sandbox.
pub(crate) fn to_sandbox(sandbox: &Sandbox, connection: &Connection) -> Result<Client, Failure> {
    let builder = common(connection)?.base_url(sandbox.base_url()).token(sandbox.token());
    builder.build().map_err(|error| Failure::of(&error, None))
}

fn common(connection: &Connection) -> Result<ClientBuilder, Failure> {
    let retry = RetryPolicy::default().attempts(connection.attempts).max_wait(connection.max_wait);
    let mut builder = Client::builder().retry(retry);
    builder = match connection.rate_limit {
        Some(Rate::PerSecond(requests)) => builder.rate_limit(RateLimit::per_second(requests)),
        Some(Rate::PerMinute(requests)) => builder.rate_limit(RateLimit::per_minute(requests)),
        None => builder,
    };
    for path in &connection.root_certificate {
        let pem = read(path).map_err(|error| {
            Failure::settings(format!(
                "the root certificate {} can't be read: {error}; check --root-certificate",
                path.display()
            ))
        })?;
        builder = builder.root_certificate(&pem);
    }
    Ok(builder)
}

/// The token; no message repeats any of it.
fn token(file: Option<&Path>) -> Result<Token, Failure> {
    let (text, place) = match file {
        Some(path) => {
            let bytes = read(path).map_err(|error| {
                Failure::settings(format!(
                    "the token file {} can't be read: {error}; check --token-file",
                    path.display()
                ))
            })?;
            (String::from_utf8(bytes).ok(), format!("the token file {}", path.display()))
        }
        None => match env::var_os(VARIABLE) {
            Some(value) => (value.into_string().ok(), VARIABLE.to_owned()),
            None => {
                return Err(Failure::settings(format!(
                    "there is no token: set {VARIABLE}, or give --token-file FILE; --sandbox needs none"
                )));
            }
        },
    };
    match text {
        Some(text) if text.trim().is_empty() => {
            Err(Failure::settings(format!("{place} is empty; put the access token there")))
        }
        Some(text) => Ok(text.into()),
        None => Err(Failure::settings(format!("{place} isn't text; put the access token there"))),
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LONGEST_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}
