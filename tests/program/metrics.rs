//! `--metrics` during an export or a follower.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use chrono::{TimeDelta, Utc};
use webex_events::sandbox::{Sandbox, When};

use crate::{
    stub::{NEXT, Reply, Stub, answer, page},
    support::{Service, TOKEN, export_from, folder, names, program, run, run_alone, until},
};

/// A running export, and the address of its metrics.
struct Watched {
    child: Child,
    address: String,
}

impl Watched {
    fn start(mut command: Command) -> Self {
        let mut child = command.args(["--metrics", "0", "--from", "1d"]).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.strip_prefix("metrics: http://").expect(&line);
        let address = address.strip_suffix("/metrics\n").expect(&line).to_owned();
        Self { child, address }
    }

    /// The head and the body of the response.
    fn ask(&self, path: &str) -> (String, String) {
        let mut connection = TcpStream::connect(&self.address).unwrap();
        write!(connection, "GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.address).unwrap();
        let mut text = String::new();
        connection.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }

    /// The metrics, once this line is among them.
    fn metrics_with(&self, line: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let (head, body) = self.ask("/metrics");
            assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/plain; version=0.0.4"), "{head}");
            if body.lines().any(|found| found == line) {
                return body;
            }
            assert!(Instant::now() < deadline, "{line} isn't in\n{body}");
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A service that stops responding after a page.
fn silent() -> Stub {
    Stub::start(vec![
        answer(503, "retry-after: 0\r\n", ""),
        answer(200, NEXT, page(&["a", "b", "c"])),
        Reply::Silence,
    ])
}

#[test]
fn an_export_serves_its_progress() {
    let stub = silent();
    let watched = Watched::start(export_from(&stub.base_url, [] as [&str; 0]));
    let metrics = watched.metrics_with("webex_events_events_total 3");
    for line in [
        "webex_events_pages_total 1",
        "webex_events_retries_total 1",
        r#"webex_events_requests_total{status="200"} 1"#,
        r#"webex_events_requests_total{status="503"} 1"#,
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} isn't in\n{metrics}");
    }
    assert!(!metrics.contains(TOKEN));
    let (head, body) = watched.ask("/healthz");
    assert!(head.starts_with("HTTP/1.1 200") && body == "ok\n", "{head}");
}

#[test]
fn a_follower_serves_its_lag_after_every_page() {
    let now = Utc::now();
    let service = Service::start(Sandbox::builder().events(100).period(now - TimeDelta::hours(1), now));
    let mut command = program(["follow", "-o", "-", "--every", "0s", "--base-url", service.base_url()]);
    command.env("WEBEX_ACCESS_TOKEN", TOKEN).stdout(Stdio::null());
    let watched = Watched::start(command);
    watched.metrics_with("webex_events_events_total 100");
    for _ in 0..50 {
        let metrics = watched.ask("/metrics").1;
        assert!(metrics.lines().any(|line| line.starts_with("webex_events_lag_seconds ")), "{metrics}");
    }
}

#[test]
fn health_fails_if_no_page_comes() {
    let stub = silent();
    let watched = Watched::start(export_from(&stub.base_url, ["--max-lag", "1h"]));
    assert!(watched.ask("/healthz").0.starts_with("HTTP/1.1 200"));
    let watched = Watched::start(export_from(&stub.base_url, ["--max-lag", "0s"]));
    let (head, body) = watched.ask("/healthz");
    assert!(head.starts_with("HTTP/1.1 503") && body.contains("no page has arrived"), "{head} {body}");
}

#[test]
fn health_fails_while_the_checkpoint_lies_ahead_of_the_service() {
    let now = Utc::now();
    let service = Service::start(Sandbox::builder().events(100).period(now - TimeDelta::hours(1), now));
    let mut command = program(["follow", "-o", "-", "--every", "0s", "--max-lag", "3s"]);
    command.args(["--base-url", service.base_url()]).env("WEBEX_ACCESS_TOKEN", TOKEN).stdout(Stdio::null());
    let mut watched = Watched::start(command);
    let status = |watched: &Watched| watched.ask("/healthz").0.lines().next().unwrap().to_owned();
    watched.metrics_with("webex_events_events_total 100");
    until("a follower that has caught up is healthy", || status(&watched) == "HTTP/1.1 200 OK");

    service.set_now(service.now() - TimeDelta::minutes(10));
    until("the error of the clock makes it unhealthy", || status(&watched).starts_with("HTTP/1.1 503"));
    let (_, body) = watched.ask("/healthz");
    assert!(body.contains("lags by"), "{body}");
    assert!(watched.child.try_wait().unwrap().is_none(), "it waits for the service's clock");
}

#[cfg(unix)]
#[test]
fn hanging_clients_do_not_delay_an_export() {
    // Time to connect before the first response.
    let slow = Sandbox::builder().events(500).latency(When::next(1), Duration::from_millis(500));
    let service = Service::start(slow);
    let mut watched = Watched::start(service.export(["--page-size", "10", "-o", "/dev/null"]));
    let hanging: Vec<_> = (0..20).map(|_| TcpStream::connect(&watched.address).unwrap()).collect();
    assert!(watched.child.wait().unwrap().success());
    drop(hanging);
}

#[test]
fn idle_clients_do_not_block_health_checks() {
    let stub = silent();
    let watched = Watched::start(export_from(&stub.base_url, [] as [&str; 0]));
    let idle: Vec<_> = (0..100).map(|_| TcpStream::connect(&watched.address).unwrap()).collect();
    let mut connection = TcpStream::connect(&watched.address).unwrap();
    // Less than the time limit after which idle clients are disconnected.
    connection.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
    write!(connection, "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut text = String::new();
    connection.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    drop(idle);
}

#[test]
fn an_address_in_use_is_an_invalid_setting() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = folder();
    let path = folder.path().join("f");
    let address = listener.local_addr().unwrap().to_string();
    let ended = run_alone(["export", "--sandbox", "10", "-o", path.to_str().unwrap(), "--metrics", &address]);
    let (code, line) = ended.failure();
    assert!(code == 78 && line.contains(&address) && line.contains("--metrics"), "{line}");
    assert!(names(&folder).is_empty());
}

#[test]
fn an_invalid_address_or_limit_is_a_usage_error() {
    for (options, word) in [
        (["--metrics", "somewhere"].as_slice(), "IP:PORT"),
        (&["--metrics", "70000"], "--metrics"),
        (&["--max-lag", "5m"], "--metrics"),
        (&["--metrics", "0", "--max-lag", "soon"], "--max-lag"),
    ] {
        let ended = run(program([&["export", "--sandbox", "10"], options].concat()));
        let (code, line) = ended.failure();
        assert!(code == 2 && line.contains(word), "{line}");
    }
}
