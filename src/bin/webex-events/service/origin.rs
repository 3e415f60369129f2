//! The origin of the token.

use std::{
    env,
    fmt::{self, Display, Formatter},
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};
use webex_events::{OAuth, Token};

use crate::{
    cli::{Connection, Credentials},
    error::{Failure, has_option},
    service::{certificates, file},
};

const TOKEN: &str = "WEBEX_ACCESS_TOKEN";
const CLIENT_ID: &str = "WEBEX_CLIENT_ID";
const CLIENT_SECRET: &str = "WEBEX_CLIENT_SECRET";

#[derive(Clone, Debug)]
pub(crate) enum Origin {
    Variable(Token),
    File(PathBuf),
    Store {
        oauth: OAuth,
        path: PathBuf,
        /// The file with the client secret, if it comes from one.
        secret: Option<PathBuf>,
    },
    Sandbox,
}

impl Origin {
    /// The origin that the command line and the environment name. An option has priority over a variable.
    pub(super) fn of(connection: &Connection) -> Result<Self, Failure> {
        let credentials = &connection.credentials;
        if let Some(path) = &credentials.token_file {
            return Ok(Self::File(path.clone()));
        }
        if let Some(path) = &credentials.oauth_store {
            return store(path, credentials, connection);
        }
        if let Some(token) = variable(TOKEN, "the access token")? {
            return Ok(Self::Variable(token.into()));
        }
        let sandbox = if has_option("--sandbox") { "; --sandbox needs none" } else { "" };
        Err(Failure::settings(format!(
            "there is no token: set {TOKEN}, or give --token-file FILE or --oauth-store FILE{sandbox}"
        )))
    }

    /// The time at which the access token expires, if it is known.
    pub(crate) fn expires_at(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Store { oauth, .. } => oauth.expires_at(),
            Self::Variable(_) | Self::File(_) | Self::Sandbox => None,
        }
    }

    /// The advice for a refused token.
    pub(crate) fn advice(&self) -> String {
        let store = match self {
            Self::Variable(_) => format!("set {TOKEN} to it"),
            Self::File(path) => format!("write it to {}", path.display()),
            Self::Store { path, .. } => {
                return format!(
                    "check the client id and secret, or log in again: webex-events login --oauth-store {}",
                    path.display()
                );
            }
            Self::Sandbox => return "start the sandbox again".to_owned(),
        };
        format!("it is wrong, expired or revoked: get a new one, and {store}")
    }

    /// A file with a secret that other users can read.
    pub(crate) fn exposed(&self) -> Option<&Path> {
        let files = match self {
            Self::File(path) => [Some(path), None],
            Self::Store { path, secret, .. } => [Some(path), secret.as_ref()],
            Self::Variable(_) | Self::Sandbox => [None, None],
        };
        files.into_iter().flatten().map(PathBuf::as_path).find(|path| file::is_exposed(path))
    }
}

impl Display for Origin {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(_) => f.write_str(TOKEN),
            Self::File(path) => write!(f, "the file {}", path.display()),
            Self::Store { path, .. } => write!(f, "the store {}, which renews it", path.display()),
            Self::Sandbox => f.write_str("the sandbox"),
        }
    }
}

/// The id and the secret of the client that renews tokens or logs in.
pub(super) fn client(credentials: &Credentials) -> Result<(String, String), Failure> {
    let id = match &credentials.client_id {
        Some(id) => Some(id.clone()),
        None => variable(CLIENT_ID, "the client id")?,
    };
    let id = id.ok_or_else(|| {
        Failure::settings(format!("--oauth-store needs a client id: set {CLIENT_ID}, or give --client-id ID"))
    })?;
    let secret = match &credentials.client_secret_file {
        Some(path) => {
            Some(file::secret(path, "client secret file", "--client-secret-file", "the client secret")?)
        }
        None => variable(CLIENT_SECRET, "the client secret")?,
    };
    let secret = secret.ok_or_else(|| {
        Failure::settings(format!(
            "--oauth-store needs the client secret: set {CLIENT_SECRET}, or give --client-secret-file FILE"
        ))
    })?;
    Ok((id, secret))
}

/// A source that renews the tokens in the file at `path`.
fn store(path: &Path, credentials: &Credentials, connection: &Connection) -> Result<Origin, Failure> {
    let (client_id, secret) = client(credentials)?;
    let mut oauth = OAuth::new(client_id, secret, path).map_err(|error| Failure::no_store(&error, path))?;
    if let Some(url) = &connection.base_url {
        oauth = oauth.base_url(url);
    }
    if let Some(proxy) = &connection.proxy {
        oauth = oauth.proxy(proxy);
    }
    for pem in certificates(connection)? {
        oauth = oauth.root_certificate(&pem);
    }
    let secret = credentials.client_secret_file.clone();
    Ok(Origin::Store { oauth, path: path.to_owned(), secret })
}

/// The value of an environment variable, if it is set. No message contains any part of it.
fn variable(name: &str, content: &str) -> Result<Option<String>, Failure> {
    let Some(value) = env::var_os(name) else { return Ok(None) };
    match value.into_string() {
        Ok(text) if text.trim().is_empty() => {
            Err(Failure::settings(format!("{name} is empty; set it to {content}")))
        }
        Ok(text) => Ok(Some(text)),
        Err(_) => Err(Failure::settings(format!("{name} isn't text; set it to {content}"))),
    }
}
