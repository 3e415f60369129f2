//! The refresh grant: one POST to the service, and the part of its response that may be shown.

use std::time::Duration;

use http::header::{CONTENT_TYPE, DATE, RETRY_AFTER};
use serde_json::Value;
use url::{Url, form_urlencoded};

use super::{
    renewal_error::{RenewalError, UnusableReply},
    tokens::Tokens,
};
use crate::{
    clock::Clock,
    error::{ApiError, Error, Result},
    mask::Mask,
    retry::retry_after,
    token::Token,
    transport::{CompleteResponse, Transport, TransportSettings},
    trusted_url::trusted_url,
};

/// The token endpoint.
#[derive(Debug)]
pub(super) struct GrantEndpoint {
    pub(super) base_url: String,
    pub(super) settings: TransportSettings,
}

/// A grant that failed.
#[derive(Debug)]
pub(super) struct GrantError {
    pub(super) error: RenewalError,
    /// The tokens with a new refresh token, if the response held one all the same. The one before may be void.
    pub(super) salvaged: Option<Tokens>,
}

impl From<RenewalError> for GrantError {
    fn from(error: RenewalError) -> Self {
        Self { error, salvaged: None }
    }
}

impl GrantEndpoint {
    pub(super) fn new() -> Self {
        let settings = TransportSettings {
            read_timeout: Duration::from_secs(30),
            attempt_timeout: Duration::from_secs(60),
            max_page_bytes: 64 << 10,
            ..TransportSettings::default()
        };
        Self { base_url: "https://webexapis.com/v1".to_owned(), settings }
    }

    /// Checks the settings. The transport isn't kept: grants are days apart, and each has a runtime of its own.
    pub(super) fn connect(&self) -> Result<(Url, Transport), RenewalError> {
        let setting = |error| match error {
            Error::Config(reason) => RenewalError::Setting(reason),
            error => RenewalError::Setting(error.to_string().into()),
        };
        let url = self.url("access_token").map_err(setting)?;
        let transport = self.transport(&url).map_err(setting)?;
        Ok((url, transport))
    }

    /// The URL of this path below the base URL.
    pub(super) fn url(&self, path: &str) -> Result<Url> {
        let mut url = trusted_url("base URL of the token source", &self.base_url)?;
        let path = format!("{}/{path}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        Ok(url)
    }

    /// A transport for requests to the origin of `url`.
    pub(super) fn transport(&self, url: &Url) -> Result<Transport> {
        Transport::new(&self.settings, std::slice::from_ref(url))
    }
}

/// Requests new tokens in exchange for `held`.
pub(super) async fn request(
    (url, transport): (Url, Transport),
    (id, secret): (&str, &Token),
    held: &Tokens,
    clock: &dyn Clock,
) -> Result<Tokens, GrantError> {
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "refresh_token")
        .append_pair("client_id", id)
        .append_pair("client_secret", secret.secret())
        .append_pair("refresh_token", held.refresh.secret())
        .finish();
    let secrets = Secrets::new([Some(secret), Some(&held.refresh), held.access.as_ref()]);
    // The lifetime of a token begins no earlier.
    let sent_at = clock.utc();
    let response = transport.post_form(&url, form, None, clock, |text| secrets.hide(text)).await;
    let response = response.map_err(|interrupted| {
        let error = match interrupted.error {
            Error::Transport(error) => RenewalError::no_response(error),
            Error::Decode(error) => RenewalError::Unusable(Box::new(UnusableReply {
                content_type: error.content_type().map(Into::into),
                tracking_id: error.tracking_id().map(Into::into),
                body: LEFT_OUT.to_owned(),
                reason: "the response is too long".to_owned(),
            })),
            error => RenewalError::Setting(error.to_string().into()),
        };
        GrantError { error, salvaged: held.salvaged(&interrupted.received) }
    })?;
    tracing::debug!(path = url.path(), status = response.status, "response to a refresh grant");
    let salvaged = || if matches!(response.status, 200..300) { held.salvaged(&response.body) } else { None };
    if response.status != 200 {
        let error = RenewalError::Refused(Box::new(refusal(&response, &secrets)));
        return Err(GrantError { error, salvaged: salvaged() });
    }
    held.granted(&response.body, sent_at).map_err(|reason| {
        let text = |text: Option<&str>| text.map(|text| secrets.hide(text).into());
        let error = RenewalError::Unusable(Box::new(UnusableReply {
            content_type: text(response.header(CONTENT_TYPE.as_str())),
            tracking_id: text(response.tracking_id().as_deref()),
            body: secrets.hide(&String::from_utf8_lossy(&response.body)),
            reason: reason.to_owned(),
        }));
        GrantError { error, salvaged: salvaged() }
    })
}

pub(super) fn refusal(response: &CompleteResponse, secrets: &Secrets) -> ApiError {
    let date = response.header(DATE.as_str());
    let wait = response.header(RETRY_AFTER.as_str()).and_then(|value| retry_after(value, date));
    let body = String::from_utf8_lossy(&response.body).into_owned();
    let secrets = secrets.and_those_of(&body);
    ApiError::new(response.status, response.tracking_id(), wait, body, 1).with_texts(|text| secrets.cut(text))
}

const LEFT_OUT: &str = "(left out, since it may hold tokens)";

/// The secrets that no text about a grant may show: the credentials that were sent, and tokens that are still unknown.
#[derive(Clone)]
pub(super) struct Secrets(Mask);

impl Secrets {
    pub(super) fn new<const N: usize>(secrets: [Option<&Token>; N]) -> Self {
        Self(secrets.into_iter().flatten().fold(Mask::default(), Mask::token))
    }

    /// With the tokens that a response holds beside a refusal.
    fn and_those_of(&self, body: &str) -> Self {
        let json = serde_json::from_str::<Value>(body).unwrap_or_default();
        let tokens = ["access_token", "refresh_token"].map(|name| json.get(name)?.as_str().map(Token::from));
        Self(tokens.iter().flatten().fold(self.0.clone(), Mask::token))
    }

    /// `text` without the secrets, or nothing of it if it may hold others.
    fn cut(&self, text: &str) -> String {
        let masked = self.0.apply(text);
        let marks = ['\\', '"', '\'', ' '];
        let holds_others = masked.match_indices("_token").any(|(at, name)| {
            let rest = masked.get(at + name.len()..).unwrap_or_default().trim_start_matches(marks);
            let value = rest.strip_prefix([':', '=']).map(|value| value.trim_start_matches(marks));
            value.is_some_and(|value| !value.starts_with('…'))
        });
        if holds_others { LEFT_OUT.to_owned() } else { masked }
    }

    /// The same for a response that should have held tokens, under whatever names.
    pub(super) fn hide(&self, text: &str) -> String {
        if text.contains(['{', '[']) { LEFT_OUT.to_owned() } else { self.cut(text) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> Secrets {
        Secrets::new([Some(&Token::from("s3c/ret")), None, Some(&Token::from("r3fresh"))])
    }

    #[test]
    fn the_credentials_that_were_sent_are_masked_in_the_response() {
        for text in [
            "client_secret=s3c%2Fret&x",
            "s3c/ret",
            r"s3c\/ret",
            "grant_type=refresh_token&refresh_token=r3fresh",
            r#"{"refresh_token": "r3fresh"}"#,
        ] {
            let cut = secrets().cut(text);
            assert!(cut.contains('…') && !cut.contains("3c") && !cut.contains("3fresh"), "{cut}");
        }
        assert_eq!(
            secrets().cut("Invalid value for parameter: grant_type"),
            "Invalid value for parameter: grant_type"
        );
        assert_eq!(secrets().cut("the refresh_token was revoked"), "the refresh_token was revoked");
    }

    #[test]
    fn a_response_with_unknown_tokens_is_left_out() {
        for text in [
            r#"{"access_token":"n3w"#,
            r#"{\"access_token\" : \"n3w\"}"#,
            "refresh_token=r3fresh&access_token=n3w",
        ] {
            assert_eq!(secrets().cut(text), LEFT_OUT, "{text}");
        }
        let body = r#"{"message":"n3w is not for you","access_token":"n3w"}"#;
        let cut = secrets().and_those_of(body).cut(body);
        assert!(cut.contains("is not for you") && !cut.contains("n3w"), "{cut}");
        assert_eq!(secrets().hide(r#"{"token":"n3w"}"#), LEFT_OUT);
        assert_eq!(secrets().hide("<h1>Please sign in</h1>"), "<h1>Please sign in</h1>");
    }
}
