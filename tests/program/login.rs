//! `login` and `logout`, with a plain HTTP client in place of the browser. `tests/desktop` has a real browser.

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    net::TcpStream,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;
use webex_events::sandbox::{Response, Route, Sandbox, When};

use crate::support::{Ended, Running, Service, folder, names, program, run, run_alone};

/// An integration without tokens.
struct Integration {
    service: Service,
    folder: TempDir,
    port: u16,
}

/// A response to the browser.
struct Page {
    status: u16,
    location: Option<String>,
    body: String,
}

/// Sends a request as a browser does, without following a redirect.
fn browse(method: &str, url: &str, form: &str) -> Page {
    let (authority, target) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut connection = TcpStream::connect(authority).unwrap();
    let request = format!(
        "{method} /{target} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\ncontent-length: {}\r\n\
         content-type: application/x-www-form-urlencoded\r\n\r\n{form}",
        form.len()
    );
    connection.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    connection.read_to_string(&mut response).unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    Page {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        location: head.lines().find_map(|line| line.strip_prefix("location: ").map(str::to_owned)),
        body: body.to_owned(),
    }
}

/// Decides on the page, and returns the URL to which the browser is redirected.
fn decide(url: &str, decision: &str) -> String {
    let (page, query) = url.split_once('?').unwrap();
    let page = browse("POST", page, &format!("{query}&decision={decision}"));
    assert_eq!(page.status, 302);
    page.location.unwrap()
}

/// A port that is free now.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Integration {
    fn start() -> Self {
        Self { service: Service::start(Sandbox::builder().events(10)), folder: folder(), port: free_port() }
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("token.json")
    }

    fn command(&self, options: &[&str]) -> Command {
        let mut command = program(["login", "--base-url", self.service.base_url(), "--oauth-store"]);
        command.arg(self.store()).args(options);
        if !options.contains(&"--device") {
            command.args(["--redirect-port", &self.port.to_string()]);
        }
        command.env("WEBEX_CLIENT_ID", self.service.client_id());
        command.env("WEBEX_CLIENT_SECRET", self.service.client_secret());
        command
    }

    fn begin(&self, options: &[&str]) -> (Running, String) {
        let mut running = Running::start(self.command(options));
        let url = running.line().trim_end().to_owned();
        (running, url)
    }

    /// Begins a login whose person pastes.
    fn begin_pasted(&self) -> (Running, String) {
        let mut command = self.command(&["--no-browser"]);
        command.stdin(Stdio::piped());
        let mut running = Running::start(command);
        let url = running.line().trim_end().to_owned();
        (running, url)
    }

    #[track_caller]
    fn has_logged_in(&self, ended: &Ended) {
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let stored: Value = serde_json::from_str(&fs::read_to_string(self.store()).unwrap()).unwrap();
        assert_eq!(stored["refresh_token"], self.service.refresh_token().unwrap());
        assert!(!ended.stderr.contains(&self.service.client_secret()), "{}", ended.stderr);
        assert!(!ended.stderr.contains(stored["access_token"].as_str().unwrap()), "{}", ended.stderr);
    }

    /// Checks the failure, and that nothing is stored.
    #[track_caller]
    fn has_failed(&self, ended: &Ended, code: i32, words: &[&str]) {
        assert_eq!(ended.code, code, "{}", ended.stderr);
        let message = ended.stderr.lines().last().unwrap();
        assert!(words.iter().all(|word| message.contains(word)), "{words:?} aren't in {message}");
        assert!(
            names(&self.folder).iter().all(|name| name == "token.json.lock"),
            "{:?}",
            names(&self.folder)
        );
    }
}

#[test]
fn an_allowed_access_is_stored_and_used() {
    let integration = Integration::start();
    let (running, url) = integration.begin(&[]);
    assert!(url.starts_with(&format!("{}/authorize?", integration.service.base_url())), "{url}");
    // A browser asks for this, too.
    let icon = format!("http://127.0.0.1:{}/favicon.ico", integration.port);
    assert_eq!(browse("GET", &icon, "").status, 404);
    let page = browse("GET", &decide(&url, "allow"), "");
    assert!(page.status == 200 && page.body.contains("login is complete"), "{}", page.body);
    let ended = running.end();
    integration.has_logged_in(&ended);
    assert!(ended.success().contains("webex-events doctor --oauth-store"), "{}", ended.stderr);

    let store = integration.store();
    let mut export = program(["export", "--base-url", integration.service.base_url(), "--oauth-store"]);
    export.arg(&store).env("WEBEX_CLIENT_ID", integration.service.client_id());
    export.env("WEBEX_CLIENT_SECRET", integration.service.client_secret());
    assert_eq!(run(export).stdout, integration.service.lines());
    assert_eq!(integration.service.counts().refreshes, 1);
}

#[cfg(unix)]
#[test]
fn only_its_owner_can_read_the_stored_tokens() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let integration = Integration::start();
    fs::write(integration.store(), r#"{"refresh_token":"old","account":"bob"}"#).unwrap();
    fs::set_permissions(integration.store(), fs::Permissions::from_mode(0o644)).unwrap();
    let (running, url) = integration.begin(&[]);
    browse("GET", &decide(&url, "allow"), "");
    integration.has_logged_in(&running.end());
    assert_eq!(fs::metadata(integration.store()).unwrap().mode() & 0o777, 0o600);
    assert!(fs::read_to_string(integration.store()).unwrap().contains(r#""account": "bob""#));
    assert_eq!(names(&integration.folder), ["token.json", "token.json.lock"]);
}

#[test]
fn a_denied_access_says_so_in_the_browser_and_in_the_terminal() {
    let integration = Integration::start();
    let (running, url) = integration.begin(&[]);
    let page = browse("GET", &decide(&url, "deny"), "");
    assert!(page.status == 400 && page.body.contains("has failed"), "{}", page.body);
    integration.has_failed(&running.end(), 77, &["the access was denied", "compliance officer"]);
}

/// Every page in the browser can request the redirect URI.
#[test]
fn a_redirect_of_another_login_does_not_end_this_one() {
    let integration = Integration::start();
    let (running, url) = integration.begin(&[]);
    for query in ["", "?code=c0de", "?code=c0de&state=forged", "?error=access_denied&state="] {
        let other = format!("http://127.0.0.1:{}/callback{query}", integration.port);
        let page = browse("GET", &other, "");
        assert!(page.status == 409 && page.body.contains("No login waits for this page"), "{}", page.body);
    }
    assert_eq!(integration.service.counts().refreshes, 0);
    assert_eq!(browse("GET", &decide(&url, "allow"), "").status, 200);
    let ended = running.end();
    integration.has_logged_in(&ended);
    assert_eq!(ended.stderr.matches("came back from another login").count(), 1, "{}", ended.stderr);
    assert!(!ended.stderr.contains("c0de"), "{}", ended.stderr);
}

#[test]
fn a_pasted_redirect_of_another_login_is_refused_without_a_request() {
    let integration = Integration::start();
    let (mut running, _url) = integration.begin_pasted();
    running.paste("http://127.0.0.1:8930/callback?code=c0de&state=forged\n");
    let ended = running.end();
    integration.has_failed(&ended, 77, &["`state` differs", "log in again"]);
    assert!(integration.service.counts().refreshes == 0 && !ended.stderr.contains("c0de"));
}

/// No option of the command makes it wait.
#[test]
fn a_service_that_asks_to_wait_is_tried_again_by_another_login() {
    for (reply, words) in [
        (Response::status(429).retry_after(90), "log in again in 90 s"),
        (Response::status(503), "log in again later"),
    ] {
        let integration = Integration::start();
        integration.service.fail(When::always().on(Route::DeviceAuthorization), reply);
        let ended = run(integration.command(&["--device"]));
        integration.has_failed(&ended, 69, &[words]);
        assert!(!ended.stderr.contains("--max-wait"), "{}", ended.stderr);
    }
}

/// Opening a pipe waits for another process, and a device would be replaced.
#[cfg(unix)]
#[test]
fn a_store_that_is_no_regular_file_is_refused_and_left_as_it_is() {
    let integration = Integration::start();
    assert!(Command::new("mkfifo").arg(integration.store()).status().unwrap().success());
    let store = integration.store();
    let logout = program(["logout", "--oauth-store", store.to_str().unwrap()]);
    for command in [integration.command(&["--device"]), logout] {
        let ended = run(command);
        let (code, line) = ended.failure();
        assert!(code == 78 && line.contains("isn't a regular file"), "{line}");
        assert_eq!(names(&integration.folder), ["token.json"]);
    }
}

#[test]
fn a_refused_scope_is_named_with_what_to_check() {
    let integration = Integration::start();
    let (running, url) = integration.begin(&["--scope", "first", "--scope", "second"]);
    assert!(url.contains("&scope=first%20second&"), "{url}");
    // The service redirects a request for scopes that the integration doesn't have.
    let redirected = browse("GET", &url.replace("first%20second", ""), "").location.unwrap();
    assert_eq!(browse("GET", &redirected, "").status, 400);
    integration.has_failed(&running.end(), 77, &["invalid_scope", "check the scopes"]);
}

#[test]
fn a_pasted_url_is_enough() {
    let integration = Integration::start();
    let (mut running, url) = integration.begin_pasted();
    let redirected = decide(&url, "allow");
    running.paste(format!("{redirected}\n"));
    integration.has_logged_in(&running.end());
}

#[test]
fn a_pasted_code_is_enough() {
    let integration = Integration::start();
    let (mut running, url) = integration.begin_pasted();
    let redirected = decide(&url, "allow");
    let (_, code) = redirected.split_once("code=").unwrap();
    running.paste(format!("  {}\r\n", code.split('&').next().unwrap()));
    integration.has_logged_in(&running.end());
}

#[test]
fn a_pasted_text_without_a_code_is_a_usage_error() {
    for text in [b"the whole page\n".as_slice(), b"\n", b"", b"\xff\n"] {
        let integration = Integration::start();
        let (mut running, _url) = integration.begin_pasted();
        running.paste(text);
        integration.has_failed(&running.end(), 2, &["no authorization code", "paste the whole URL"]);
    }
}

#[test]
fn a_wrong_secret_is_refused_with_the_settings_to_check() {
    let integration = Integration::start();
    let mut command = integration.command(&[]);
    command.env("WEBEX_CLIENT_SECRET", "wr0ng-secret");
    let mut running = Running::start(command);
    let url = running.line().trim_end().to_owned();
    browse("GET", &decide(&url, "allow"), "");
    let ended = running.end();
    let uri = format!("http://127.0.0.1:{}/callback", integration.port);
    integration.has_failed(&ended, 77, &["401", "check the client id and secret", &uri]);
    assert!(!ended.stderr.contains("wr0ng-secret"), "{}", ended.stderr);
}

#[test]
fn a_device_is_allowed_on_the_page_that_is_printed() {
    let integration = Integration::start();
    let (mut running, page) = integration.begin(&["--device"]);
    let code = running.line().trim_end().to_owned();
    assert_eq!(browse("POST", &page, &format!("userCode={code}&decision=allow")).status, 200);
    integration.has_logged_in(&running.end());
}

#[test]
fn a_denied_device_gets_no_tokens() {
    let integration = Integration::start();
    let (mut running, page) = integration.begin(&["--device"]);
    let code = running.line().trim_end().to_owned();
    browse("POST", &page, &format!("userCode={code}&decision=deny"));
    integration.has_failed(&running.end(), 77, &["the access was denied"]);
}

#[test]
fn a_device_code_that_expires_can_be_requested_again() {
    let integration = Integration::start();
    let (running, _page) = integration.begin(&["--device"]);
    integration.service.advance(Duration::from_secs(301));
    integration.has_failed(&running.end(), 75, &["the device code has expired", "log in again"]);
}

#[test]
fn an_unknown_client_gets_no_device_code() {
    let integration = Integration::start();
    let mut command = integration.command(&["--device"]);
    command.env("WEBEX_CLIENT_ID", "unknown");
    integration.has_failed(
        &run(command),
        77,
        &["Client Id is invalid", "check the client id", "login --help"],
    );
}

#[test]
fn a_decision_that_never_comes_ends_the_wait_with_what_to_check() {
    let integration = Integration::start();
    let (running, _url) = integration.begin(&["--timeout", "1s"]);
    let uri = format!("http://127.0.0.1:{}/callback", integration.port);
    integration.has_failed(&running.end(), 75, &["within 1 s", &uri, "--timeout"]);
}

#[test]
fn a_port_in_use_is_reported_before_a_page_is_shown() {
    let integration = Integration::start();
    let _taken = TcpListener::bind(("127.0.0.1", integration.port)).unwrap();
    let ended = run(integration.command(&[]));
    assert_eq!(ended.stdout, "");
    integration.has_failed(&ended, 78, &[&integration.port.to_string(), "--redirect-port", "--no-browser"]);
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_each_kind_of_login() {
    for options in [[].as_slice(), &["--no-browser"], &["--device"]] {
        let integration = Integration::start();
        let mut command = integration.command(options);
        command.stdin(Stdio::piped());
        let mut running = Running::start(command);
        running.line();
        running.signal("INT");
        integration.has_failed(&running.end(), 130, &["nothing was stored"]);
    }
}

#[test]
fn a_service_that_can_not_be_reached_is_named_as_the_cause() {
    let integration = Integration::start();
    let mut command = program(["login", "--device", "--client-id", "c", "--oauth-store"]);
    command.arg(integration.store()).env("WEBEX_CLIENT_SECRET", "s");
    command.args(["--base-url", &format!("http://127.0.0.1:{}/v1", free_port())]);
    integration.has_failed(&run(command), 69, &["no connection to the service", "check --base-url"]);
}

#[test]
fn a_store_in_a_missing_folder_is_reported_before_a_page_is_shown() {
    let integration = Integration::start();
    let store = integration.folder.path().join("none/token.json");
    let mut command = program(["login", "--client-id", "c", "--oauth-store"]);
    command.arg(store).env("WEBEX_CLIENT_SECRET", "s");
    let ended = run(command);
    assert_eq!(ended.stdout, "");
    integration.has_failed(&ended, 74, &["none/token.json", "create the folder"]);
}

#[test]
fn missing_credentials_are_named_before_a_page_is_shown() {
    let folder = folder();
    let store = folder.path().join("token.json");
    for (id, word) in [(None, "WEBEX_CLIENT_ID"), (Some("c"), "WEBEX_CLIENT_SECRET")] {
        let mut command = program(["login", "--oauth-store"]);
        command.arg(&store);
        if let Some(id) = id {
            command.args(["--client-id", id]);
        }
        let ended = run(command);
        let (code, line) = ended.failure();
        assert!(code == 78 && line.contains(word), "{line}");
    }
    let ended = run_alone(["login", "--client-id", "c"]);
    assert!(ended.code == 2 && ended.stderr.contains("--oauth-store"), "{}", ended.stderr);
}

#[test]
fn a_missing_store_is_reported_with_the_login_that_makes_it() {
    let folder = folder();
    let mut command = program(["export", "--client-id", "c", "--oauth-store"]);
    command.arg(folder.path().join("token.json")).env("WEBEX_CLIENT_SECRET", "s");
    let ended = run(command);
    let (code, line) = ended.failure();
    assert!(code == 78 && line.contains("or run `webex-events login --oauth-store "), "{line}");
}

#[test]
fn a_logout_removes_the_tokens_and_says_what_the_service_still_accepts() {
    let folder = folder();
    let store = folder.path().join("token.json");
    fs::write(&store, "refresh").unwrap();
    fs::write(folder.path().join("token.json.lock"), "").unwrap();
    let logout = || run(program(["logout".as_ref(), "--oauth-store".as_ref(), store.as_os_str()]));
    assert!(logout().success().contains("accepts its tokens until they expire"));
    assert!(names(&folder).is_empty());
    assert!(logout().success().contains("there is no token file"));
    fs::write(&store, "two words").unwrap();
    let ended = logout();
    let (code, line) = ended.failure();
    assert!(code == 78 && line.contains("isn't a token file"), "{line}");
    assert_eq!(names(&folder), ["token.json"]);
}

#[cfg(unix)]
#[test]
fn the_login_that_the_sandbox_prints_works() {
    let folder = folder();
    let mut served = Running::start(program(["sandbox", "--events", "10"]));
    let lines: Vec<_> = (0..6).map(|_| served.line()).collect();
    assert_eq!(lines[4], "log in to it:\n");
    let command = lines[5].trim_end();
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{command} --no-browser")]).current_dir(folder.path());
    shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = Running::start(shell);
    let url = running.line().trim_end().to_owned();
    running.paste(decide(&url, "allow"));
    running.end().success();
    assert!(folder.path().join("tokens.json").exists());
}
