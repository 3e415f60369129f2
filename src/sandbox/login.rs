//! The authorization page, and the codes that it gives out: the grants of a login.

use std::fmt::Write;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use url::{Url, form_urlencoded};

use super::{
    oauth::{GrantRefusal, field},
    random::{Purpose, Random, hyphenated},
};
use crate::trusted_url::is_loopback;

/// The lifetime of each code, in milliseconds.
const LIFETIME: i64 = 300_000;
/// The least time between two requests for the tokens of a device, in milliseconds, and what a `slow_down` adds.
const INTERVAL: i64 = 1000;
const SLOWER: i64 = 5000;

/// A response to a person or a program that logs in.
#[derive(Debug)]
pub(super) enum LoginReply {
    Page(u16, String),
    Redirect(String),
    Json(String),
    Refused(GrantRefusal),
}

#[derive(Debug, Default)]
pub(super) struct IssuedCodes {
    seed: u64,
    made: u64,
    codes: Vec<AuthorizationCode>,
    devices: Vec<DeviceCode>,
}

/// A code that is good for one exchange, by the login that it was made for.
#[derive(Debug)]
struct AuthorizationCode {
    code: String,
    /// As it was given: with a default port, for example, which a `Url` omits.
    redirect_uri: String,
    /// The transformed verifier, and whether it is a hash.
    challenge: Option<(String, bool)>,
    expires: i64,
}

#[derive(Debug)]
struct DeviceCode {
    code: String,
    user_code: String,
    scope: String,
    /// True if the user has allowed the access, false if not; none until then.
    decision: Option<bool>,
    expires: i64,
    interval: i64,
    next: i64,
}

impl IssuedCodes {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    fn random(&mut self) -> u128 {
        self.made += 1;
        Random::new(self.seed, Purpose::Login, self.made).uuid()
    }

    /// `GET /v1/authorize`: the page with the decision.
    pub(super) fn page(query: &[u8], client_id: &str) -> LoginReply {
        match Authorization::read(query, client_id) {
            Ok(request) => {
                let scopes: Vec<_> = request.scope.split(' ').collect();
                LoginReply::Page(200, decision_page("/v1/authorize", client_id, &scopes, query, None))
            }
            Err(reply) => reply,
        }
    }

    /// `POST /v1/authorize`: the decision.
    pub(super) fn decide(&mut self, form: &[u8], client_id: &str, now: i64) -> LoginReply {
        let request = match Authorization::read(form, client_id) {
            Ok(request) => request,
            Err(reply) => return reply,
        };
        if field(form, "decision").as_deref() != Some("allow") {
            return request.redirect("error", "access_denied");
        }
        let code = format!("{:032x}_sandbox_{}", self.random(), self.made);
        let reply = request.redirect("code", &code);
        self.codes.retain(|code| code.expires > now);
        self.codes.push(AuthorizationCode {
            code,
            redirect_uri: field(form, "redirect_uri").unwrap_or_default(),
            challenge: request.challenge,
            expires: now.saturating_add(LIFETIME),
        });
        reply
    }

    /// Uses the code in a form, whose client is already checked, up.
    pub(super) fn redeem(&mut self, form: &[u8], now: i64) -> Result<(), GrantRefusal> {
        let wanted = field(form, "code").unwrap_or_default();
        let at = self.codes.iter().position(|code| code.code == wanted && code.expires > now);
        let Some(code) = at.map(|at| self.codes.swap_remove(at)) else {
            return Err((400, "The authorization code is unknown, was used or has expired."));
        };
        if field(form, "redirect_uri").as_deref() != Some(&code.redirect_uri) {
            return Err((400, "The redirect_uri differs from that of the authorization."));
        }
        let verifier = field(form, "code_verifier");
        let is_verified = match &code.challenge {
            None => verifier.is_none(),
            Some((challenge, false)) => verifier.as_ref() == Some(challenge),
            Some((challenge, true)) => verifier
                .is_some_and(|verifier| URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)) == *challenge),
        };
        if is_verified { Ok(()) } else { Err((400, "The code_verifier doesn't match the code_challenge.")) }
    }

    /// `POST /v1/device/authorize`.
    pub(super) fn device(&mut self, form: &[u8], client_id: &str, base_url: &str, now: i64) -> LoginReply {
        if field(form, "client_id").as_deref() != Some(client_id) {
            return LoginReply::Refused((400, "Client Id is invalid"));
        }
        let Some(scope) = field(form, "scope").filter(|scope| !scope.trim().is_empty()) else {
            return LoginReply::Refused((400, "Scope is invalid"));
        };
        let code = String::from_utf8_lossy(&hyphenated(self.random())).into_owned();
        let user_code = format!("{:06}", self.random() % 1_000_000);
        let page = format!("{base_url}/device/verify");
        let reply = serde_json::json!({
            "device_code": code,
            "expires_in": LIFETIME / 1000,
            "user_code": user_code,
            "verification_uri": page,
            "verification_uri_complete": format!("{page}?userCode={user_code}"),
            "interval": INTERVAL / 1000,
        });
        self.devices.retain(|device| device.expires > now);
        self.devices.push(DeviceCode {
            code,
            user_code,
            scope,
            decision: None,
            expires: now.saturating_add(LIFETIME),
            interval: INTERVAL,
            next: now.saturating_add(INTERVAL),
        });
        LoginReply::Json(reply.to_string())
    }

    /// `GET /v1/device/verify`: the page with the decision about a device.
    pub(super) fn device_page(&self, query: &[u8], client_id: &str) -> LoginReply {
        let user_code = field(query, "userCode").unwrap_or_default();
        let known = self.devices.iter().find(|device| device.user_code == user_code);
        let scopes = known
            .map_or_else(|| vec!["the scopes of the device"], |device| device.scope.split(' ').collect());
        LoginReply::Page(200, decision_page("/v1/device/verify", client_id, &scopes, b"", Some(&user_code)))
    }

    /// `POST /v1/device/verify`: the decision.
    pub(super) fn decide_device(&mut self, form: &[u8], now: i64) -> LoginReply {
        let user_code = field(form, "userCode").unwrap_or_default();
        let is_open = |device: &&mut DeviceCode| {
            device.user_code == user_code.trim() && device.expires > now && device.decision.is_none()
        };
        let Some(device) = self.devices.iter_mut().find(is_open) else {
            return LoginReply::Page(400, page("The code is wrong or has expired", ""));
        };
        let is_allowed = field(form, "decision").as_deref() == Some("allow");
        device.decision = Some(is_allowed);
        let title = if is_allowed { "The device has access" } else { "The device has no access" };
        LoginReply::Page(200, page(title, "<p>You can close this page.</p>"))
    }

    /// `POST /v1/device/token`, by a client that is already checked: uses the code up if the access is allowed.
    pub(super) fn poll(&mut self, form: &[u8], now: i64) -> Result<(), GrantRefusal> {
        if field(form, "grant_type").as_deref() != Some("urn:ietf:params:oauth:grant-type:device_code") {
            return Err((400, "unsupported_grant_type"));
        }
        let wanted = field(form, "device_code").unwrap_or_default();
        let Some(at) = self.devices.iter().position(|device| device.code == wanted) else {
            return Err((400, "invalid_grant"));
        };
        let Some(device) = self.devices.get_mut(at) else { return Err((400, "invalid_grant")) };
        if device.expires <= now {
            return Err((400, "expired_token"));
        }
        let is_early = now < device.next;
        if is_early {
            device.interval += SLOWER;
        }
        device.next = now.saturating_add(device.interval);
        match device.decision {
            _ if is_early => Err((400, "slow_down")),
            None => Err((428, "authorization_pending")),
            Some(false) => Err((400, "access_denied")),
            Some(true) => {
                self.devices.swap_remove(at);
                Ok(())
            }
        }
    }
}

/// A request for a person's decision, whose client and redirect URI are valid.
struct Authorization {
    redirect_uri: Url,
    state: Option<String>,
    scope: String,
    challenge: Option<(String, bool)>,
}

impl Authorization {
    /// Reads a query or a form. Without a valid redirect URI the person gets a page; other faults are redirected (RFC
    /// 6749 section 4.1.2.1).
    fn read(query: &[u8], client_id: &str) -> Result<Self, LoginReply> {
        let refuse = |reason: &str| LoginReply::Page(400, page(reason, ""));
        if field(query, "client_id").as_deref() != Some(client_id) {
            return Err(refuse("The client_id is unknown"));
        }
        let redirect_uri = field(query, "redirect_uri").and_then(|uri| Url::parse(&uri).ok()).filter(|uri| {
            // Every loopback address counts as registered.
            matches!(uri.scheme(), "http" | "https") && is_loopback(uri)
        });
        let redirect_uri = redirect_uri.ok_or_else(|| refuse("The redirect_uri isn't registered"))?;
        let scope = field(query, "scope").unwrap_or_default();
        let mut request = Self { redirect_uri, state: field(query, "state"), scope, challenge: None };
        if field(query, "response_type").as_deref() != Some("code") {
            return Err(request.redirect("error", "unsupported_response_type"));
        }
        if request.scope.trim().is_empty() {
            return Err(request.redirect("error", "invalid_scope"));
        }
        if let Some(challenge) = field(query, "code_challenge") {
            let is_hash = match field(query, "code_challenge_method").as_deref() {
                Some("S256") => true,
                None | Some("plain") => false,
                Some(_) => return Err(request.redirect("error", "invalid_request")),
            };
            request.challenge = Some((challenge, is_hash));
        }
        Ok(request)
    }

    fn redirect(&self, name: &str, value: &str) -> LoginReply {
        let mut url = self.redirect_uri.clone();
        url.query_pairs_mut().append_pair(name, value);
        if let Some(state) = &self.state {
            url.query_pairs_mut().append_pair("state", state);
        }
        LoginReply::Redirect(url.into())
    }
}

/// A page with a button for each decision. The fields of `query` are sent with it; a device has a field for its code.
fn decision_page(
    action: &str,
    client_id: &str,
    scopes: &[&str],
    query: &[u8],
    user_code: Option<&str>,
) -> String {
    let mut form = format!("<p>The integration <b>{}</b> requests:</p><ul>", escaped(client_id));
    for scope in scopes {
        let _ = write!(form, "<li>{}</li>", escaped(scope));
    }
    let _ = write!(form, "</ul><form method=\"post\" action=\"{action}\">");
    for (name, value) in form_urlencoded::parse(query).filter(|(name, _)| name != "decision") {
        let (name, value) = (escaped(&name), escaped(&value));
        let _ = write!(form, "<input type=\"hidden\" name=\"{name}\" value=\"{value}\">");
    }
    if let Some(user_code) = user_code {
        let value = escaped(user_code);
        let _ = write!(form, "<p><label>Code: <input name=\"userCode\" value=\"{value}\"></label></p>");
    }
    form.push_str(
        "<button id=\"allow\" name=\"decision\" value=\"allow\">Allow</button> \
         <button id=\"deny\" name=\"decision\" value=\"deny\">Deny</button></form>",
    );
    page("Sandbox: allow access?", &form)
}

fn page(title: &str, content: &str) -> String {
    let title = escaped(title);
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title></head>\
         <body><h1>{title}</h1>{content}</body></html>\n"
    )
}

fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
    html
}
