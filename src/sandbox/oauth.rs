//! Access tokens, and the grants that give them.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use url::form_urlencoded;

use super::{
    login::IssuedCodes,
    random::{Purpose, Random},
};

/// Settings of the token endpoint.
#[derive(Clone, Debug)]
pub(super) struct TokenSettings {
    pub(super) token: Option<String>,
    pub(super) client_id: String,
    pub(super) client_secret: String,
    pub(super) refresh_token: Option<String>,
    pub(super) rotate: bool,
    pub(super) lifetime: Duration,
}

impl Default for TokenSettings {
    fn default() -> Self {
        Self {
            token: None,
            client_id: "sandbox-client".to_owned(),
            client_secret: "sandbox-secret".to_owned(),
            refresh_token: None,
            rotate: false,
            lifetime: Duration::from_secs(14 * 24 * 3600),
        }
    }
}

/// The status and the message of a refused grant.
pub(super) type GrantRefusal = (u16, &'static str);

#[derive(Debug)]
pub(super) struct IssuedTokens {
    settings: TokenSettings,
    seed: u64,
    made: u64,
    /// The valid access tokens, with their expiry in milliseconds since 1970.
    accepted: Vec<(String, i64)>,
    refresh: Option<String>,
}

impl IssuedTokens {
    pub(super) fn new(settings: TokenSettings, seed: u64, now: i64) -> Self {
        let mut tokens = Self { settings, seed, made: 0, accepted: Vec::new(), refresh: None };
        let made = [tokens.make("access"), tokens.make("refresh")];
        let [access, refresh] = made;
        let access = tokens.settings.token.clone().unwrap_or(access);
        tokens.refresh = Some(tokens.settings.refresh_token.clone().unwrap_or(refresh));
        tokens.accept(access, now);
        tokens
    }

    fn make(&mut self, kind: &str) -> String {
        self.made += 1;
        let mut random = Random::new(self.seed, Purpose::Token, self.made);
        format!("sandbox-{kind}-{}-{:032x}", self.made, random.uuid())
    }

    fn accept(&mut self, token: String, now: i64) {
        let lifetime = i64::try_from(self.settings.lifetime.as_millis()).unwrap_or(i64::MAX);
        self.accepted.retain(|&(_, expires)| expires > now);
        self.accepted.push((token, now.saturating_add(lifetime)));
    }

    /// The newest access token.
    pub(super) fn newest(&self) -> Option<&str> {
        self.accepted.last().map(|(token, _)| token.as_str())
    }

    pub(super) fn refresh_token(&self) -> Option<&str> {
        self.refresh.as_deref()
    }

    pub(super) fn client(&self) -> (&str, &str) {
        (&self.settings.client_id, &self.settings.client_secret)
    }

    pub(super) fn accepts(&self, authorization: &[u8], now: i64) -> bool {
        let Some((scheme, token)) = authorization.split_at_checked(7) else { return false };
        let good = |(known, expires): &(String, i64)| known.as_bytes() == token && *expires > now;
        scheme.eq_ignore_ascii_case(b"Bearer ") && self.accepted.iter().any(good)
    }

    pub(super) fn revoke(&mut self) {
        self.accepted.clear();
    }

    pub(super) fn revoke_refresh_token(&mut self) {
        self.refresh = None;
    }

    pub(super) fn replace(&mut self, token: String, now: i64) {
        self.accepted.clear();
        self.accept(token, now);
    }

    /// Returns the reply to a form-encoded grant, of a refresh token or of a code.
    pub(super) fn grant(
        &mut self,
        form: &[u8],
        codes: &mut IssuedCodes,
        now: i64,
    ) -> Result<String, GrantRefusal> {
        let kind = field(form, "grant_type").unwrap_or_default();
        if !["authorization_code", "refresh_token"].contains(&&*kind) {
            return Err((400, "Invalid value for parameter: grant_type"));
        }
        self.check_client(form)?;
        if kind == "authorization_code" {
            codes.redeem(form, now)?;
            return Ok(self.log_in(now));
        }
        if self.refresh.is_none() || field(form, "refresh_token") != self.refresh {
            return Err((400, "The refresh token is unknown, was replaced or was revoked."));
        }
        Ok(self.issue(self.settings.rotate, now))
    }

    /// Checks the client's credentials in a form.
    pub(super) fn check_client(&self, form: &[u8]) -> Result<(), GrantRefusal> {
        let is_client = field(form, "client_id").as_deref() == Some(&*self.settings.client_id)
            && field(form, "client_secret").as_deref() == Some(&*self.settings.client_secret);
        if is_client { Ok(()) } else { Err((401, "The client id or the client secret is wrong.")) }
    }

    /// Checks the client's credentials in a header of Basic authentication (RFC 7617).
    pub(super) fn check_basic(&self, authorization: Option<&[u8]>) -> Result<(), GrantRefusal> {
        let credentials =
            STANDARD.encode(format!("{}:{}", self.settings.client_id, self.settings.client_secret));
        let sent = authorization.and_then(|value| value.strip_prefix(b"Basic "));
        if sent == Some(credentials.as_bytes()) { Ok(()) } else { Err((401, "invalid_client")) }
    }

    /// Returns the reply to a login, which has a new refresh token.
    pub(super) fn log_in(&mut self, now: i64) -> String {
        self.issue(true, now)
    }

    fn issue(&mut self, replaces_refresh_token: bool, now: i64) -> String {
        let access = self.make("access");
        if replaces_refresh_token {
            self.refresh = Some(self.make("refresh"));
        }
        let reply = serde_json::json!({
            "access_token": access,
            "expires_in": self.settings.lifetime.as_secs(),
            "refresh_token": self.refresh,
            "refresh_token_expires_in": 90 * 24 * 3600,
            "token_type": "Bearer",
            "scope": "spark-compliance:events_read",
        });
        self.accept(access, now);
        reply.to_string()
    }
}

/// The value of a field in a form or a query.
pub(super) fn field(form: &[u8], wanted: &str) -> Option<String> {
    form_urlencoded::parse(form).find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
}
