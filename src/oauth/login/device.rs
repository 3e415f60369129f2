//! `DeviceLogin`: the device authorization grant.

use std::{
    fmt,
    time::{Duration, Instant},
};

use http::header::{DATE, RETRY_AFTER};
use serde_json::{Map, Value};
use url::{Url, form_urlencoded};

use super::{OAuthLogin, Secrets, refused, unusable};
use crate::{
    error::{LoginError, Result},
    oauth::OAuth,
    retry::retry_after,
    token::Token,
    transport::CompleteResponse,
    trusted_url::is_loopback,
};

/// The interval between requests if the service names none (RFC 8628 section 3.2), and what `slow_down` adds to it
/// (section 3.5).
const INTERVAL: Duration = Duration::from_secs(5);
/// The lifetime of a code if the service names none or a longer one.
const LONGEST_LIFETIME: Duration = Duration::from_secs(3600);
/// The interval doubles after a request without a usable response, up to this.
const LONGEST_INTERVAL: Duration = Duration::from_secs(60);

/// A login that has begun with [`OAuthLogin::by_device`]: the user opens [`url`](Self::url) on any device, and enters
/// [`user_code`](Self::user_code) there.
///
/// ```no_run
/// use webex_events::{Client, OAuthLogin};
///
/// # async fn example() -> webex_events::Result<()> {
/// let login = OAuthLogin::new("Cabc", "secret", "/var/lib/exporter/webex-token.json")?.by_device().await?;
/// println!("open {} and enter {}", login.url(), login.user_code());
/// let client = Client::builder().token_source(login.finish().await?).build()?;
/// # let _ = client;
/// # Ok(())
/// # }
/// ```
#[must_use = "a login ends with `finish`"]
pub struct DeviceLogin {
    login: OAuthLogin,
    device_code: Token,
    user_code: String,
    url: String,
    complete_url: Option<String>,
    expires_in: Duration,
    end: Option<Instant>,
    interval: Duration,
}

impl DeviceLogin {
    pub(super) async fn request(login: OAuthLogin) -> Result<Self> {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("client_id", &login.client_id)
            .append_pair("scope", &login.scope)
            .finish();
        let secrets = Secrets::new([Some(&login.client_secret)]);
        let (response, _) = login.post("device/authorize", form, None, &secrets).await?;
        if response.status != 200 {
            return Err(refused(&response, &secrets));
        }
        let missing = |name: &str| unusable(&response, &secrets, &format!("it holds no valid `{name}`"));
        let reply: Map<String, Value> =
            serde_json::from_slice(&response.body).map_err(|_| unusable(&response, &secrets, NO_OBJECT))?;
        let text = |name: &str| {
            let text = reply.get(name).and_then(Value::as_str).unwrap_or_default();
            let is_plain =
                !text.is_empty() && text.len() <= 4096 && text.bytes().all(|b| b.is_ascii_graphic());
            is_plain.then(|| text.to_owned())
        };
        let page = |name: &str| text(name).filter(|text| is_page(text));
        let seconds = |name: &str| {
            reply.get(name).and_then(Value::as_f64).and_then(|s| Duration::try_from_secs_f64(s).ok())
        };
        let device_code = text("device_code").ok_or_else(|| missing("device_code"))?;
        let user_code = text("user_code").ok_or_else(|| missing("user_code"))?;
        let url = page("verification_uri").ok_or_else(|| missing("verification_uri"))?;
        let expires_in = seconds("expires_in").unwrap_or(LONGEST_LIFETIME).min(LONGEST_LIFETIME);
        let interval =
            seconds("interval").unwrap_or(INTERVAL).clamp(Duration::from_secs(1), LONGEST_INTERVAL);
        let complete_url = page("verification_uri_complete");
        let device_code = device_code.into();
        let end = login.clock.now().checked_add(expires_in);
        Ok(Self { login, device_code, user_code, url, complete_url, expires_in, end, interval })
    }

    /// Returns the short code that the user enters.
    #[must_use]
    pub fn user_code(&self) -> &str {
        &self.user_code
    }

    /// Returns the URL of the page on which the user enters the code. It is the service's choice, and may be on another
    /// host.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the URL of the same page with the code filled in, if the service has one. It fits a QR code.
    #[must_use]
    pub fn complete_url(&self) -> Option<&str> {
        self.complete_url.as_deref()
    }

    /// Returns the lifetime of the code, from the response that it came with: 5 min as the service documents it.
    #[must_use]
    pub fn expires_in(&self) -> Duration {
        self.expires_in
    }

    /// Waits until the user has allowed the access, and stores the tokens. It requests them at the interval that the
    /// service sets, 5 s more after each `slow_down`. After a temporary failure the interval doubles, up to 60 s.
    ///
    /// # Errors
    ///
    /// [`Error::Login`](crate::Error::Login) if the access was denied or the code has expired; [`Error::Api`](crate::Error::Api) for another refusal: the client
    /// id or secret is wrong. [`Error::Decode`](crate::Error::Decode) for a response without tokens, [`Error::Store`](crate::Error::Store) if the file can't be
    /// written. Start another login then.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the login.
    pub async fn finish(self) -> Result<OAuth> {
        let (authorization, credentials) = self.login.basic()?;
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "urn:ietf:params:oauth:grant-type:device_code")
            .append_pair("device_code", self.device_code.secret())
            .append_pair("client_id", &self.login.client_id)
            .finish();
        let secrets =
            Secrets::new([Some(&self.login.client_secret), Some(&credentials), Some(&self.device_code)]);
        let mut interval = self.interval;
        let mut wait = interval;
        loop {
            let next = self.login.clock.now().checked_add(wait);
            if next.is_none() || next > self.end {
                return Err(LoginError::Expired.into());
            }
            self.login.clock.sleep(wait).await;
            let sent = self.login.post("device/token", form.clone(), Some(&authorization), &secrets).await;
            let step = match &sent {
                Ok((response, _)) => DeviceStep::after(response),
                Err(error) if error.is_transient() => DeviceStep::Failed(None),
                Err(_) => DeviceStep::End,
            };
            match step {
                DeviceStep::Pending => wait = interval,
                DeviceStep::SlowDown => {
                    interval += INTERVAL;
                    wait = interval;
                }
                DeviceStep::Failed(pause) => {
                    tracing::debug!("a request for the tokens of a login failed; it is repeated");
                    interval = interval.saturating_mul(2).min(LONGEST_INTERVAL);
                    wait = interval.max(pause.unwrap_or_default());
                }
                DeviceStep::Denied => return Err(LoginError::Denied.into()),
                DeviceStep::Expired => return Err(LoginError::Expired.into()),
                DeviceStep::End => {
                    let response = sent?;
                    if response.0.status != 200 {
                        return Err(refused(&response.0, &secrets));
                    }
                    return self.login.store(response, &secrets, None).await;
                }
            }
        }
    }
}

const NO_OBJECT: &str = "it isn't a JSON object";

/// The meaning of a response to a request for the tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DeviceStep {
    /// The user hasn't decided.
    Pending,
    SlowDown,
    /// A temporary failure, and the pause that the service requests.
    Failed(Option<Duration>),
    Denied,
    Expired,
    /// The tokens, or a refusal.
    End,
}

impl DeviceStep {
    fn after(response: &CompleteResponse) -> Self {
        let pause = || {
            let value = response.header(RETRY_AFTER.as_str())?;
            retry_after(value, response.header(DATE.as_str()))
        };
        match response.status {
            200 => Self::End,
            408 | 423 | 429 | 500 | 502..=504 => Self::Failed(pause()),
            status => Self::of(status, &response.body),
        }
    }

    /// The service documents the names as messages of an error (RFC 8628 section 3.5 has them in `error`), and a 428
    /// while the user hasn't decided.
    fn of(status: u16, body: &[u8]) -> Self {
        let json: Value = serde_json::from_slice(body).unwrap_or_default();
        let details = json.get("errors").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let details = details.iter().filter_map(|error| error.get("description"));
        let texts: Vec<_> =
            [json.get("error"), json.get("message")].into_iter().flatten().chain(details).collect();
        let has = |name: &str| texts.iter().any(|text| text.as_str().is_some_and(|text| text.contains(name)));
        match status {
            _ if has("slow_down") => Self::SlowDown,
            _ if has("access_denied") => Self::Denied,
            _ if has("expired_token") => Self::Expired,
            428 => Self::Pending,
            _ if has("authorization_pending") => Self::Pending,
            _ => Self::End,
        }
    }
}

/// Returns whether a person can be sent to this URL.
fn is_page(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| match url.scheme() {
        "https" => true,
        "http" => is_loopback(&url),
        _ => false,
    })
}

impl fmt::Debug for DeviceLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceLogin")
            .field("login", &self.login)
            .field("url", &self.url)
            .field("expires_in", &self.expires_in)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_understood_in_the_services_form_and_in_that_of_the_rfc() {
        let detail =
            |name: &str| format!(r#"{{"message":"bad request","errors":[{{"description":"{name}"}}]}}"#);
        let rfc = |name: &str| format!(r#"{{"error":"{name}"}}"#);
        for (name, expected) in [
            ("authorization_pending", DeviceStep::Pending),
            ("slow_down", DeviceStep::SlowDown),
            ("access_denied", DeviceStep::Denied),
            ("expired_token", DeviceStep::Expired),
            ("invalid_client", DeviceStep::End),
        ] {
            for body in [detail(name), rfc(name)] {
                assert_eq!(DeviceStep::of(400, body.as_bytes()), expected, "{body}");
            }
        }
        assert_eq!(DeviceStep::of(428, b"<html>"), DeviceStep::Pending);
        assert_eq!(DeviceStep::of(428, rfc("slow_down").as_bytes()), DeviceStep::SlowDown);
        assert_eq!(DeviceStep::of(401, b""), DeviceStep::End);
    }

    #[test]
    fn a_person_is_sent_to_https_and_to_this_machine_only() {
        for (url, expected) in [
            ("https://oauth-helper-r.wbx2.com/verify?userCode=1", true),
            ("http://127.0.0.1:8080/v1/device/verify", true),
            ("http://example.com/verify", false),
            ("javascript:alert(1)", false),
            ("verify", false),
        ] {
            assert_eq!(is_page(url), expected, "{url}");
        }
    }
}
