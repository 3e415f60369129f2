//! Chromium without a window, controlled by its `DevTools` protocol over two pipes.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A time limit that no test needs.
const DEADLINE: Duration = Duration::from_secs(60);
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// A browser with one page. It ends when it is dropped.
pub(crate) struct Chromium {
    child: Child,
    commands: ChildStdin,
    messages: Receiver<Value>,
    sent: u64,
    session: Option<String>,
    _profile: TempDir,
}

impl Chromium {
    #[track_caller]
    pub(crate) fn start() -> Self {
        let has_version = |name: &&str| {
            let version = Command::new(name).arg("--version").stdin(Stdio::null()).output();
            version.is_ok_and(|output| output.status.success())
        };
        let name = NAMES.into_iter().find(has_version).expect("a browser: install chromium");
        let profile = tempfile::tempdir().unwrap();
        // The protocol uses the descriptors 3 and 4. The sandbox of Chromium doesn't work for root and in containers.
        let script = "exec \"$0\" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
             --no-proxy-server --user-data-dir=\"$1\" --remote-debugging-pipe \
             3<&0 4>&1 </dev/null >/dev/null 2>&1";
        let mut child = Command::new("sh")
            .args(["-c", script, name])
            .arg(profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let commands = child.stdin.take().unwrap();
        let output = child.stdout.take().unwrap();
        let (sender, messages) = mpsc::channel();
        thread::spawn(move || {
            for message in BufReader::new(output).split(0).map_while(Result::ok) {
                let _ = sender.send(serde_json::from_slice(&message).unwrap());
            }
        });
        let mut browser = Self { child, commands, messages, sent: 0, session: None, _profile: profile };
        let target = browser.call("Target.createTarget", &json!({"url": "about:blank"}));
        let attached = json!({"targetId": target["targetId"], "flatten": true});
        let session = browser.call("Target.attachToTarget", &attached);
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        browser
    }

    /// Sends a command and waits for its result.
    #[track_caller]
    fn call(&mut self, method: &str, params: &Value) -> Value {
        self.sent += 1;
        let id = self.sent;
        let mut command = json!({"id": id, "method": method, "params": params});
        if let Some(session) = &self.session {
            command["sessionId"] = session.as_str().into();
        }
        self.commands.write_all(format!("{command}\0").as_bytes()).unwrap();
        let end = Instant::now() + DEADLINE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let mut message = self.messages.recv_timeout(left).expect("the browser responds");
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].take();
            }
        }
    }

    #[track_caller]
    pub(crate) fn open(&mut self, url: &str) {
        let opened = self.call("Page.navigate", &json!({"url": url}));
        assert!(opened["errorText"].is_null(), "{url}: {opened}");
    }

    /// The value of an expression in the page; none while a page is being replaced.
    fn evaluate(&mut self, expression: &str) -> Value {
        let call = json!({"expression": expression, "returnByValue": true});
        self.call("Runtime.evaluate", &call)["result"]["value"].take()
    }

    /// Waits until an expression has another value than null.
    #[track_caller]
    fn wait_for(&mut self, expression: &str) -> Value {
        let end = Instant::now() + DEADLINE;
        loop {
            let value = self.evaluate(expression);
            if !value.is_null() {
                return value;
            }
            assert!(Instant::now() < end, "{expression}: the page is {}", self.text());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// The visible text of the page.
    pub(crate) fn text(&mut self) -> String {
        self.evaluate("document.body.innerText").as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the page has this text.
    #[track_caller]
    pub(crate) fn wait_for_text(&mut self, text: &str) {
        let text = json!(text);
        self.wait_for(&format!("document.body?.innerText.includes({text}) ? true : null"));
    }

    /// Waits for an element, and clicks on its middle with the mouse.
    #[track_caller]
    pub(crate) fn click(&mut self, selector: &str) {
        let selector = json!(selector);
        let middle = self.wait_for(&format!(
            "(() => {{ const box = document.readyState === 'complete' \
             && document.querySelector({selector})?.getBoundingClientRect(); \
             return box ? [box.x + box.width / 2, box.y + box.height / 2] : null; }})()"
        ));
        for event in ["mousePressed", "mouseReleased"] {
            let mouse =
                json!({"type": event, "x": middle[0], "y": middle[1], "button": "left", "clickCount": 1});
            self.call("Input.dispatchMouseEvent", &mouse);
        }
    }

    /// Types a text into the element that has the focus.
    pub(crate) fn type_text(&mut self, text: &str) {
        self.call("Input.insertText", &json!({"text": text}));
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
