//! The grants that give the first tokens, against the sandbox. A plain HTTP client is the user's browser.

use std::{fs, path::PathBuf};

use futures::TryStreamExt;
use serde_json::Value;
use tempfile::TempDir;
use url::Url;
use webex_events::{
    Client, CodeLogin, Error, ListEvents, LoginError, OAuth, OAuthLogin, Result,
    sandbox::{Response, Route, Sandbox, When},
};

const REDIRECT: &str = "http://127.0.0.1:8930/callback";

struct Setting {
    sandbox: Sandbox,
    folder: TempDir,
}

impl Setting {
    async fn start() -> Self {
        let sandbox = Sandbox::builder().events(10).start().await.unwrap();
        Self { sandbox, folder: tempfile::tempdir().unwrap() }
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("token.json")
    }

    fn login(&self) -> OAuthLogin {
        let (id, secret) = (self.sandbox.client_id(), self.sandbox.client_secret());
        OAuthLogin::new(id, secret, self.store()).unwrap().base_url(self.sandbox.base_url())
    }

    fn by_code(&self) -> CodeLogin {
        self.login().by_code(REDIRECT).unwrap()
    }

    /// The members of the token file.
    fn stored(&self) -> Value {
        serde_json::from_str(&fs::read_to_string(self.store()).unwrap()).unwrap()
    }

    /// Checks that there is neither a token file nor a part of one.
    #[track_caller]
    fn stored_nothing(&self) {
        let names: Vec<_> =
            fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(names.iter().all(|name| name == "token.json.lock"), "{names:?}");
    }

    /// Decides on the page at `url`, and returns the redirect.
    async fn decide(&self, url: &str, decision: &str) -> String {
        let page = Url::parse(url).unwrap();
        let form = format!("{}&decision={decision}", page.query().unwrap());
        let response = post(&format!("{}/authorize", self.sandbox.base_url()), form).await;
        assert_eq!(response.status(), 302);
        response.headers()["location"].to_str().unwrap().to_owned()
    }
}

async fn post(url: &str, form: String) -> reqwest::Response {
    let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let request = browser.post(url).header("content-type", "application/x-www-form-urlencoded").body(form);
    request.send().await.unwrap()
}

fn login_error(result: Result<OAuth>) -> LoginError {
    match result {
        Err(Error::Login(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_code_gives_tokens_that_are_renewed_later() {
    let setting = Setting::start().await;
    let login = setting.by_code();
    let redirected = setting.decide(login.url(), "allow").await;
    let oauth = login.finish(&redirected).await.unwrap();
    assert_eq!(setting.stored()["refresh_token"], setting.sandbox.refresh_token().unwrap());
    assert!(oauth.expires_at().is_some());

    let client = Client::builder().base_url(setting.sandbox.base_url()).token_source(oauth).build().unwrap();
    let list = || client.list(ListEvents::new()).try_collect::<Vec<_>>();
    assert_eq!(list().await.unwrap().len(), 10);
    assert_eq!(setting.sandbox.counts().refreshes, 1);
    setting.sandbox.revoke_tokens();
    assert_eq!(list().await.unwrap().len(), 10);
    assert_eq!(setting.sandbox.counts().refreshes, 2);
}

#[tokio::test]
async fn the_url_has_what_the_service_documents() {
    let setting = Setting::start().await;
    let login = setting.login().scope("spark-compliance:events_read spark:kms").by_code(REDIRECT).unwrap();
    let (url, other) = (Url::parse(login.url()).unwrap(), setting.by_code());
    assert_eq!(url.path(), "/v1/authorize");
    let pairs: std::collections::BTreeMap<_, _> = url.query_pairs().collect();
    assert_eq!(pairs["response_type"], "code");
    assert_eq!(pairs["client_id"], setting.sandbox.client_id());
    assert_eq!(pairs["redirect_uri"], REDIRECT);
    assert_eq!(pairs["scope"], "spark-compliance:events_read spark:kms");
    assert_eq!(pairs["code_challenge_method"], "S256");
    assert_eq!((pairs["code_challenge"].len(), pairs["state"].len()), (43, 43));
    assert!(!url.as_str().contains('+') && url.as_str().contains("%20spark"), "{url}");
    assert_ne!(login.url(), other.url());
    assert_eq!(setting.sandbox.counts().requests, 0);
    assert!(!format!("{login:?}").contains(&*pairs["state"]), "{login:?}");
}

#[tokio::test]
async fn a_denied_access_is_an_error_of_its_own() {
    let setting = Setting::start().await;
    let login = setting.by_code();
    let redirected = setting.decide(login.url(), "deny").await;
    assert_eq!(login_error(login.finish(&redirected).await), LoginError::Denied);
    setting.stored_nothing();
}

/// The service compares it byte for byte, and a URL parser would omit the port.
#[tokio::test]
async fn a_redirect_uri_is_sent_as_it_was_given() {
    let setting = Setting::start().await;
    let login = setting.login().by_code("http://127.0.0.1:80/callback").unwrap();
    let redirected = setting.decide(login.url(), "allow").await;
    let _ = login.finish(&redirected).await.unwrap();
}

#[tokio::test]
async fn a_redirect_of_another_login_is_not_used() {
    let setting = Setting::start().await;
    let (login, other) = (setting.by_code(), setting.by_code());
    let redirected = setting.decide(other.url(), "allow").await;
    assert_eq!(login_error(login.finish(&redirected).await), LoginError::OtherState);
    assert_eq!(setting.sandbox.counts().refreshes, 0);
    setting.stored_nothing();
}

#[tokio::test]
async fn a_code_of_another_login_is_refused_because_of_its_verifier() {
    let setting = Setting::start().await;
    let (login, other) = (setting.by_code(), setting.by_code());
    let redirected = Url::parse(&setting.decide(other.url(), "allow").await).unwrap();
    let code = redirected.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let error = login.finish(&code).await.unwrap_err();
    assert!(error.status() == Some(400) && error.to_string().contains("code_verifier"), "{error}");
    assert!(!error.to_string().contains(&code));
    setting.stored_nothing();
    // It is used up.
    let error = other.finish(redirected.as_str()).await.unwrap_err();
    assert!(error.to_string().contains("unknown, was used or has expired"), "{error}");
}

#[tokio::test]
async fn a_code_expires_with_the_clock_of_the_service() {
    let setting = Setting::start().await;
    let login = setting.by_code();
    let redirected = setting.decide(login.url(), "allow").await;
    setting.sandbox.advance(std::time::Duration::from_secs(301));
    assert_eq!(login.finish(&redirected).await.unwrap_err().status(), Some(400));
}

#[tokio::test]
async fn a_wrong_client_is_refused() {
    let setting = Setting::start().await;
    let login = OAuthLogin::new(setting.sandbox.client_id(), "wr0ng", setting.store()).unwrap();
    let login = login.base_url(setting.sandbox.base_url()).by_code(REDIRECT).unwrap();
    let redirected = setting.decide(login.url(), "allow").await;
    let error = login.finish(&redirected).await.unwrap_err();
    assert!(error.status() == Some(401) && !error.to_string().contains("wr0ng"), "{error}");
    setting.stored_nothing();

    let login = OAuthLogin::new("other", "wr0ng", setting.store()).unwrap();
    let login = login.base_url(setting.sandbox.base_url());
    let page = reqwest::get(login.by_code(REDIRECT).unwrap().url()).await.unwrap();
    assert_eq!(page.status(), 400);
    assert!(page.text().await.unwrap().contains("client_id is unknown"));
}

#[tokio::test]
async fn a_reply_without_a_refresh_token_stores_nothing() {
    let setting = Setting::start().await;
    for body in [r#"{"access_token":"a"}"#, "<html>", ""] {
        let reply = Response::status(200).body("application/json", body);
        setting.sandbox.fail(When::next(1).on(Route::AccessToken), reply);
        let login = setting.by_code();
        let redirected = setting.decide(login.url(), "allow").await;
        let error = login.finish(&redirected).await.unwrap_err();
        assert!(matches!(error, Error::Decode(_)), "{body}: {error}");
        setting.stored_nothing();
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_login_replaces_a_token_file_atomically_and_keeps_its_other_members() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let setting = Setting::start().await;
    fs::write(setting.store(), r#"{"refresh_token":"old","access_token":"old","account":"bob"}"#).unwrap();
    fs::set_permissions(setting.store(), fs::Permissions::from_mode(0o644)).unwrap();
    let open = fs::File::open(setting.store()).unwrap();
    let login = setting.by_code();
    let redirected = setting.decide(login.url(), "allow").await;
    let _ = login.finish(&redirected).await.unwrap();
    let stored = setting.stored();
    assert_eq!(stored["account"], "bob");
    assert_eq!(stored["refresh_token"], setting.sandbox.refresh_token().unwrap());
    assert_ne!(stored["access_token"], "old");
    let metadata = fs::metadata(setting.store()).unwrap();
    assert_eq!(metadata.mode() & 0o777, 0o600);
    assert_ne!(metadata.ino(), open.metadata().unwrap().ino());
}

#[tokio::test]
async fn a_file_that_is_no_token_file_is_left_alone() {
    let setting = Setting::start().await;
    let text = "a letter to the\nbank";
    fs::write(setting.store(), text).unwrap();
    for error in [
        OAuthLogin::new("id", "secret", setting.store()).unwrap_err(),
        OAuth::remove(setting.store()).unwrap_err(),
    ] {
        assert!(
            matches!(error, Error::Config(_)) && error.to_string().contains("isn't a token file"),
            "{error}"
        );
    }
    assert_eq!(fs::read_to_string(setting.store()).unwrap(), text);
    // One that was only created is used.
    fs::write(setting.store(), "").unwrap();
    let login = setting.by_code();
    let redirected = setting.decide(login.url(), "allow").await;
    let _ = login.finish(&redirected).await.unwrap();
    assert!(OAuth::remove(setting.store()).unwrap());
}

#[tokio::test]
async fn a_store_without_its_folder_is_an_error_before_a_page_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let error = OAuthLogin::new("id", "secret", folder.path().join("none/token.json")).unwrap_err();
    assert!(matches!(error, Error::Store { .. }), "{error}");
}

#[tokio::test]
async fn secrets_and_codes_go_to_https_and_loopback_hosts_only() {
    let setting = Setting::start().await;
    for redirect in ["http://example.com/", "not a URL", "http://127.0.0.1/?a=b", "https://user@example.com/"]
    {
        assert!(matches!(setting.login().by_code(redirect), Err(Error::Config(_))), "{redirect}");
    }
    assert!(setting.login().by_code("https://example.com/callback").is_ok());
    let login = setting.login().base_url("http://example.com/v1");
    assert!(matches!(login.by_code(REDIRECT), Err(Error::Config(_))));
    assert!(matches!(
        setting.login().base_url("http://example.com/v1").by_device().await,
        Err(Error::Config(_))
    ));
}

#[tokio::test]
async fn a_redirect_of_the_token_endpoint_is_not_followed() {
    let setting = Setting::start().await;
    setting.sandbox.fail(When::next(1).on(Route::AccessToken), Response::status(307));
    let login = setting.by_code();
    let redirected = setting.decide(login.url(), "allow").await;
    assert_eq!(login.finish(&redirected).await.unwrap_err().status(), Some(307));
    assert_eq!(setting.sandbox.counts().refreshes, 1);
}

#[tokio::test]
async fn a_device_gets_tokens_once_its_user_allows_it() {
    let setting = Setting::start().await;
    let device = setting.login().by_device().await.unwrap();
    let page = reqwest::get(device.complete_url().unwrap()).await.unwrap().text().await.unwrap();
    assert!(page.contains(device.user_code()) && page.contains("spark-compliance:events_read"), "{page}");
    let decided = post(device.url(), format!("userCode={}&decision=allow", device.user_code())).await;
    assert_eq!(decided.status(), 200);
    let _ = device.finish().await.unwrap();
    assert_eq!(setting.stored()["refresh_token"], setting.sandbox.refresh_token().unwrap());
}

#[tokio::test]
async fn the_sandbox_holds_a_device_to_its_interval_and_its_lifetime() {
    let setting = Setting::start().await;
    setting.sandbox.set_now(setting.sandbox.now());
    let base_url = setting.sandbox.base_url();
    let reply =
        post(&format!("{base_url}/device/authorize"), "client_id=sandbox-client&scope=s".to_owned()).await;
    let reply: Value = serde_json::from_str(&reply.text().await.unwrap()).unwrap();
    let poll = async |secret: &str| {
        let form = format!(
            "grant_type=urn:ietf:params:oauth:grant-type:device_code&client_id=sandbox-client&device_code={}",
            reply["device_code"].as_str().unwrap()
        );
        let request = reqwest::Client::new().post(format!("{base_url}/device/token"));
        let request = request.basic_auth("sandbox-client", Some(secret)).body(form);
        let response =
            request.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap();
        let status = response.status().as_u16();
        let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        (status, body["message"].as_str().unwrap_or_default().to_owned())
    };
    let second = std::time::Duration::from_secs(1);
    assert_eq!(poll("wrong").await.0, 401);
    setting.sandbox.advance(second);
    assert_eq!(poll("sandbox-secret").await, (428, "authorization_pending".to_owned()));
    assert_eq!(poll("sandbox-secret").await, (400, "slow_down".to_owned()));
    setting.sandbox.advance(6 * second);
    assert_eq!(poll("sandbox-secret").await.0, 428);
    setting.sandbox.advance(300 * second);
    assert_eq!(poll("sandbox-secret").await, (400, "expired_token".to_owned()));
}

#[tokio::test]
async fn the_page_of_the_sandbox_shows_no_markup_of_its_query() {
    let setting = Setting::start().await;
    let login = setting.login().scope("<script>alert('1')</script>").by_code(REDIRECT).unwrap();
    let page = reqwest::get(login.url()).await.unwrap().text().await.unwrap();
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script"), "{page}");
}

#[test]
fn a_removed_store_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("token.json");
    assert!(!OAuth::remove(&store).unwrap());
    fs::write(&store, "refresh").unwrap();
    fs::write(folder.path().join("token.json.new"), "left over by a crash").unwrap();
    assert!(OAuth::remove(&store).unwrap());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_store_that_another_process_locks_is_not_removed() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("token.json");
    fs::write(&store, "refresh").unwrap();
    let lock = fs::File::create(folder.path().join("token.json.lock")).unwrap();
    lock.lock().unwrap();
    let error = OAuth::remove(&store).unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("locked by another process"), "{error}");
    drop(lock);
    assert!(OAuth::remove(&store).unwrap());
}
