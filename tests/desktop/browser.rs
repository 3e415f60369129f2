//! `login` with a real browser, which clicks on the sandbox's page.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use webex_events::sandbox::Sandbox;

use crate::chromium::Chromium;

/// A login in progress.
struct Login {
    program: Child,
    url: String,
    /// The code for a device.
    code: String,
    folder: TempDir,
    sandbox: Sandbox,
    _runtime: Runtime,
}

impl Login {
    fn begin(is_on_device: bool) -> Self {
        let port = free_port();
        let options = if is_on_device { vec!["--device"] } else { vec!["--redirect-port", &port] };
        let mut login = Self::start(None, &options);
        let mut lines = BufReader::new(login.program.stdout.take().unwrap()).lines();
        login.url = lines.next().unwrap().unwrap();
        if is_on_device {
            login.code = lines.next().unwrap().unwrap();
        }
        login
    }

    /// Starts the program, in a terminal if there is a name of a display. Its system opens a page by writing the URL to
    /// the file `opened`.
    fn start(display: Option<&str>, options: &[&str]) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let sandbox = runtime.block_on(Sandbox::builder().events(1).start()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        let mut script = "exec \"$PROGRAM\" login --base-url \"$URL\" --oauth-store \"$STORE\" $OPTIONS";
        if let Some(display) = display {
            let launcher = folder.path().join("xdg-open");
            let text = "#!/bin/sh\nprintf %s \"$1\" > \"$OPENED.new\" && mv \"$OPENED.new\" \"$OPENED\"\n";
            fs::write(&launcher, text).unwrap();
            fs::set_permissions(&launcher, fs::Permissions::from_mode(0o755)).unwrap();
            command.env("DISPLAY", display).env_remove("WAYLAND_DISPLAY").env_remove("WSL_DISTRO_NAME");
            command.env("LAUNCHERS", folder.path()).env("SCRIPT", script);
            script = "PATH=\"$LAUNCHERS:$PATH\" exec script -qec \"$SCRIPT\" /dev/null >&2";
        }
        command.args(["-c", script]);
        command.env("PROGRAM", env!("CARGO_BIN_EXE_webex-events")).env("URL", sandbox.base_url());
        command.env("STORE", folder.path().join("token.json")).env("OPTIONS", options.join(" "));
        command.env("OPENED", folder.path().join("opened")).env("WEBEX_CLIENT_ID", sandbox.client_id());
        command.env("WEBEX_CLIENT_SECRET", sandbox.client_secret());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let program = command.spawn().unwrap();
        Self { program, url: String::new(), code: String::new(), folder, sandbox, _runtime: runtime }
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("token.json")
    }

    /// Waits for the end of the program, and checks its exit code.
    #[track_caller]
    fn ends_with(&mut self, code: i32) {
        let mut text = String::new();
        self.program.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(self.program.wait().unwrap().code(), Some(code), "{text}");
    }

    #[track_caller]
    fn has_logged_in(&self) {
        let stored: Value = serde_json::from_str(&fs::read_to_string(self.store()).unwrap()).unwrap();
        assert_eq!(stored["refresh_token"], self.sandbox.refresh_token().unwrap());
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

fn free_port() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string()
}

#[test]
#[ignore = "it needs chromium"]
fn a_click_on_allow_completes_the_login() {
    let mut login = Login::begin(false);
    let mut browser = Chromium::start();
    browser.open(&login.url);
    browser.wait_for_text("spark-compliance:events_read");
    browser.click("#allow");
    browser.wait_for_text("The login is complete");
    login.ends_with(0);
    login.has_logged_in();
}

#[test]
#[ignore = "it needs chromium"]
fn a_click_on_deny_ends_the_login_without_tokens() {
    let mut login = Login::begin(false);
    let mut browser = Chromium::start();
    browser.open(&login.url);
    browser.click("#deny");
    browser.wait_for_text("The login has failed");
    login.ends_with(77);
    assert!(!login.store().exists());
}

#[test]
#[ignore = "it needs chromium"]
fn a_code_that_is_typed_on_the_page_of_a_device_completes_its_login() {
    let mut login = Login::begin(true);
    let mut browser = Chromium::start();
    browser.open(&login.url);
    browser.click("input[name=userCode]");
    browser.type_text(&login.code);
    browser.click("#allow");
    browser.wait_for_text("The device has access");
    login.ends_with(0);
    login.has_logged_in();
}

#[test]
#[ignore = "it needs chromium and the terminal of `script`"]
fn a_login_in_a_terminal_with_a_display_opens_its_page() {
    let mut login = Login::start(Some(":99"), &["--redirect-port", &free_port()]);
    let opened = login.folder.path().join("opened");
    let end = Instant::now() + Duration::from_secs(60);
    while !opened.exists() {
        assert!(Instant::now() < end, "no page was opened");
        thread::sleep(Duration::from_millis(10));
    }
    let url = fs::read_to_string(opened).unwrap();
    let mut browser = Chromium::start();
    browser.open(&url);
    browser.click("#allow");
    browser.wait_for_text("The login is complete");
    login.ends_with(0);
    login.has_logged_in();
}

#[test]
#[ignore = "it needs the terminal of `script`"]
fn a_login_in_a_terminal_without_a_display_opens_nothing() {
    let mut login = Login::start(Some(""), &["--timeout", "1s", "--redirect-port", &free_port()]);
    login.ends_with(75);
    assert!(!login.folder.path().join("opened").exists());
}
