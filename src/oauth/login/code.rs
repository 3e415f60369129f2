//! `CodeLogin`: the authorization code grant.

use std::{borrow::Cow, fmt};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use url::{Url, form_urlencoded};

use super::{OAuthLogin, Secrets, refused, secret};
use crate::{
    error::{LoginError, Result},
    oauth::OAuth,
    token::Token,
    trusted_url::trusted_url,
};

/// A login that has begun with [`OAuthLogin::by_code`]: the user opens [`url`](Self::url), and the browser is then
/// redirected to the redirect URI with a code.
///
/// [`OAuthLogin`] has an example of the whole login.
///
/// ```
/// use webex_events::OAuthLogin;
///
/// # let folder = tempfile::tempdir()?;
/// # let file = folder.path().join("webex-token.json");
/// let login = OAuthLogin::new("Cabc", "secret", &file)?.by_code("http://127.0.0.1:8930/callback")?;
/// assert!(login.url().starts_with("https://webexapis.com/v1/authorize?"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a login ends with `finish`"]
pub struct CodeLogin {
    login: OAuthLogin,
    redirect_uri: String,
    url: Url,
    state: String,
    /// RFC 7636 section 4.1.
    verifier: String,
}

impl CodeLogin {
    pub(super) fn new(login: OAuthLogin, redirect_uri: String) -> Result<Self> {
        trusted_url("redirect URI", &redirect_uri)?;
        let (state, verifier) = (secret()?, secret()?);
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier));
        let mut url = login.endpoint.url("authorize")?;
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("response_type", "code")
            .append_pair("client_id", &login.client_id)
            .append_pair("redirect_uri", &redirect_uri)
            .append_pair("scope", &login.scope)
            .append_pair("state", &state)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256")
            .finish();
        // A space is `+` in forms only.
        url.set_query(Some(&query.replace('+', "%20")));
        Ok(Self { login, redirect_uri, url, state, verifier })
    }

    /// Returns the URL of the page on which the user allows the access. It is different for each login.
    #[must_use]
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Exchanges the code for tokens, and stores them.
    ///
    /// `redirected` is the URL to which the browser was redirected, or its query, or the code alone. The `state` of a
    /// URL or a query must be that of this login. A code alone has none; use it only for what the user has pasted. A
    /// program that listens on the redirect URI passes the whole URL.
    ///
    /// # Errors
    ///
    /// [`Error::Login`](crate::Error::Login) if the access was denied, the `state` differs or there is no code, without
    /// a request. [`Error::Api`](crate::Error::Api) if the service refuses the code: it has expired, the redirect URI
    /// differs, or the client id or secret is wrong. [`Error::Transport`](crate::Error::Transport) without a response,
    /// [`Error::Decode`](crate::Error::Decode) for an unusable one, [`Error::Store`](crate::Error::Store) if the file
    /// can't be written. Nothing is retried: start another login.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the login; the code may have been used.
    pub async fn finish(self, redirected: &str) -> Result<OAuth> {
        let code = Token::from(&*code(redirected, &self.state)?);
        let login = self.login;
        let mut lock = login.lock().await?;
        let (commit, former) = login.prepare(&mut lock)?;
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "authorization_code")
            .append_pair("client_id", &login.client_id)
            .append_pair("client_secret", login.client_secret.secret())
            .append_pair("code", code.secret())
            .append_pair("code_verifier", &self.verifier)
            .append_pair("redirect_uri", &self.redirect_uri)
            .finish();
        let verifier = Token::from(self.verifier);
        let secrets = Secrets::new([Some(&login.client_secret), Some(&code), Some(&verifier)]);
        let response = login.post("access_token", form, None, &secrets).await?;
        if response.0.status != 200 {
            return Err(refused(&response.0, &secrets));
        }
        login.store(response, &secrets, Some((lock, commit, former))).await
    }
}

impl fmt::Debug for CodeLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CodeLogin")
            .field("login", &self.login)
            .field("redirect_uri", &self.redirect_uri)
            .finish_non_exhaustive()
    }
}

/// The code in a redirect (RFC 6749 section 4.1.2).
fn code<'a>(redirected: &'a str, state: &str) -> Result<Cow<'a, str>, LoginError> {
    let text = redirected.trim();
    let query = match text.split_once('?') {
        Some((_, query)) => query.split('#').next().unwrap_or_default(),
        None if ["code=", "error=", "state="].iter().any(|name| text.contains(name)) => text,
        // Visible ASCII, by RFC 6749 appendix A.11, without what only other texts have.
        None => {
            let is_code = !text.is_empty()
                && text.bytes().all(|byte| byte.is_ascii_graphic())
                && !text.contains(['/', '<', '"', '{']);
            return if is_code { Ok(text.into()) } else { Err(LoginError::NoCode) };
        }
    };
    let value = |wanted: &str| {
        form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == wanted).map(|(_, value)| value)
    };
    let (code, error) = (value("code").filter(|code| !code.trim().is_empty()), value("error"));
    if code.is_none() && error.is_none() {
        return Err(LoginError::NoCode);
    }
    if value("state").as_deref() != Some(state) {
        return Err(LoginError::OtherState);
    }
    match (error, code) {
        (Some(error), _) if error == "access_denied" => Err(LoginError::Denied),
        (Some(error), _) => {
            let description = value("error_description").unwrap_or_default();
            Err(LoginError::Refused { error: (*error).into(), description: (*description).into() })
        }
        (None, code) => code.ok_or(LoginError::NoCode),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_in_each_form_of_a_redirect() {
        for text in [
            "http://127.0.0.1:8930/callback?code=c0de%2B_P&state=st",
            "http://127.0.0.1:8930/callback?state=st&code=c0de%2B_P#fragment",
            " /callback?code=c0de%2B_P&state=st\r\n",
            "?state=st&code=c0de%2B_P",
            "code=c0de%2B_P&state=st",
            "c0de+_P\n",
        ] {
            assert_eq!(code(text, "st").as_deref(), Ok("c0de+_P"), "{text}");
        }
    }

    #[test]
    fn a_redirect_without_the_right_state_is_refused() {
        for text in [
            "http://127.0.0.1/?code=c",
            "?code=c&state=",
            "?code=c&state=ST",
            "code=c&state=st%20",
            "?error=access_denied",
            "?error=access_denied&state=x",
        ] {
            assert_eq!(code(text, "st"), Err(LoginError::OtherState), "{text}");
        }
    }

    #[test]
    fn a_refusal_says_its_reason() {
        assert_eq!(code("?error=access_denied&state=st&code=c", "st"), Err(LoginError::Denied));
        let refused =
            code("?error=invalid_scope&error_description=no%0Asuch+scope&state=st", "st").unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the authorization page refused the request: invalid_scope: no such scope"
        );
    }

    #[test]
    fn a_text_without_a_code_is_refused() {
        for text in [
            "",
            " \n",
            "two words",
            "http://127.0.0.1:8930/callback",
            "?code=&state=st",
            "?state=st",
            "<html>",
        ] {
            assert_eq!(code(text, "st"), Err(LoginError::NoCode), "{text}");
        }
    }
}
