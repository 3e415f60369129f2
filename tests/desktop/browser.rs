//! `login` with a real browser, which clicks on the sandbox's page.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
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
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let sandbox = runtime.block_on(Sandbox::builder().events(1).start()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(env!("CARGO_BIN_EXE_webex-events"));
        command.args(["login", "--base-url", sandbox.base_url(), "--oauth-store"]);
        command.arg(folder.path().join("token.json"));
        if is_on_device {
            command.arg("--device");
        } else {
            command.args(["--redirect-port", &port.to_string()]);
        }
        command.env("WEBEX_CLIENT_ID", sandbox.client_id());
        command.env("WEBEX_CLIENT_SECRET", sandbox.client_secret()).env_remove("WEBEX_BASE_URL");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut program = command.spawn().unwrap();
        let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
        let url = lines.next().unwrap().unwrap();
        let code = if is_on_device { lines.next().unwrap().unwrap() } else { String::new() };
        Self { program, url, code, folder, sandbox, _runtime: runtime }
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("token.json")
    }

    /// Waits for the end of the program, and returns its exit code.
    #[track_caller]
    fn end(&mut self) -> Option<i32> {
        let mut text = String::new();
        self.program.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        print!("{text}");
        self.program.wait().unwrap().code()
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

#[test]
#[ignore = "it needs chromium"]
fn a_click_on_allow_completes_the_login() {
    let mut login = Login::begin(false);
    let mut browser = Chromium::start();
    browser.open(&login.url);
    browser.wait_for_text("spark-compliance:events_read");
    browser.click("#allow");
    browser.wait_for_text("The login is complete");
    assert_eq!(login.end(), Some(0));
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
    assert_eq!(login.end(), Some(77));
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
    assert_eq!(login.end(), Some(0));
    login.has_logged_in();
}
