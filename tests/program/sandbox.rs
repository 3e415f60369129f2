//! The options of `sandbox`, from the view of a client.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use serde_json::Value;
use webex_events::sandbox::Sandbox;

use crate::support::{Running, Service, TOKEN, export_from, program, run, run_alone};

/// A sandbox in a process of its own.
struct Served {
    running: Running,
    base_url: String,
}

impl Served {
    fn start(options: &[&str]) -> Self {
        let events: &[&str] = if options.contains(&"--events") { &[] } else { &["--events", "10"] };
        let mut running = Running::start(program([&["sandbox", "--token", TOKEN], events, options].concat()));
        let base_url = running.line().trim_start_matches("base URL: ").trim_end().to_owned();
        assert_eq!(running.line(), format!("token: {TOKEN}\n"));
        running.line();
        running.line();
        Self { running, base_url }
    }

    /// The head and the body of its response.
    fn ask(&self, head: &str, body: &str) -> (String, Vec<u8>) {
        let address = self.base_url.trim_start_matches("http://").trim_end_matches("/v1");
        let mut connection = TcpStream::connect(address).unwrap();
        let length = body.len();
        let head =
            format!("{head}\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
        connection.write_all((head + body).as_bytes()).unwrap();
        let mut answer = Vec::new();
        // A connection that is closed without a response may be reset.
        let _ = connection.read_to_end(&mut answer);
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
        let body = end.map_or_else(Vec::new, |end| answer.split_off(end + 4));
        (String::from_utf8(answer).unwrap(), body)
    }

    fn list(&self, query: &str) -> (String, Vec<u8>) {
        self.ask(&format!("GET /v1/events?{query} HTTP/1.1\r\nauthorization: Bearer {TOKEN}"), "")
    }

    fn status(&self, query: &str) -> u16 {
        let (head, _) = self.list(query);
        head.split(' ').nth(1).map_or(0, |status| status.parse().unwrap())
    }

    fn statuses(&self, count: usize) -> Vec<u16> {
        (0..count).map(|_| self.status("max=1")).collect()
    }

    /// The query of the next link of its first page.
    fn next(&self) -> String {
        let (head, _) = self.list("max=1");
        head.split_once("/v1/events?").unwrap().1.split('>').next().unwrap().to_owned()
    }
}

fn items(body: &[u8]) -> usize {
    let page: Value = serde_json::from_slice(body).unwrap();
    page["items"].as_array().unwrap().len()
}

#[test]
fn the_same_options_give_the_same_events() {
    let (from, to) = ("2026-01-05", "2026-01-06T12:00:00Z");
    let served = Served::start(&["--events", "300", "--seed", "7", "--from", from, "--to", to]);
    let here = Service::start(
        Sandbox::builder()
            .events(300)
            .seed(7)
            .period("2026-01-05T00:00:00Z".parse().unwrap(), to.parse().unwrap()),
    );
    let ended = run(export_from(&served.base_url, [] as [&str; 0]));
    ended.success();
    assert!(ended.stdout == here.lines());
}

#[test]
fn an_invalid_period_is_a_usage_error() {
    for arguments in [
        ["--from", "2026-02-01", "--to", "2026-01-01"].as_slice(),
        &["--from", "2999-01-01"],
        &["--to", "99999999w"],
    ] {
        let ended = run_alone([&["sandbox"], arguments].concat());
        let (code, line) = ended.failure();
        assert!(code == 2 && line.contains(arguments[0]) && line.contains("choose"), "{code} {line}");
    }
}

#[test]
fn without_a_from_events_reach_back_30_days() {
    let served = Served::start(&["--events", "1000", "--to", "2026-01-31"]);
    let (_, body) = served.list("max=1000&from=2025-12-31T00:00:00.000Z&to=2026-01-02T00:00:00.000Z");
    assert!((20..60).contains(&items(&body)), "{}", items(&body));
    let (_, body) = served.list("max=1000");
    assert_eq!(items(&body), 1000);
}

#[test]
fn a_valid_token_is_refused_at_intervals() {
    assert_eq!(Served::start(&["--unauthorized-every", "2"]).statuses(4), [200, 401, 200, 401]);
}

#[test]
fn a_connection_is_closed_at_intervals() {
    assert_eq!(Served::start(&["--drop-every", "2"]).statuses(4), [200, 0, 200, 0]);
}

#[test]
fn cursors_expire() {
    let served = Served::start(&["--cursor-uses", "1"]);
    let next = served.next();
    assert_eq!([served.status(&next), served.status(&next)], [200, 404]);
    let served = Served::start(&["--cursor-lifetime", "0s"]);
    assert_eq!(served.status(&served.next()), 404);
    let served = Served::start(&["--cursor-lifetime", "1h"]);
    assert_eq!(served.status(&served.next()), 200);
}

#[test]
fn events_come_late() {
    let served = Served::start(&["--late", "2", "--late-every", "2"]);
    let counts: Vec<_> = (0..6).map(|_| items(&served.list("max=100").1)).collect();
    assert_eq!(counts, [10, 10, 11, 11, 12, 12]);
    // One option without the other would do nothing.
    for arguments in [["--late", "2"], ["--late-every", "2"]] {
        let (code, line) = {
            let ended = run_alone([["sandbox"].as_slice(), &arguments].concat());
            (ended.code, ended.stderr)
        };
        assert!(code == 2 && line.contains("--late"), "{line}");
    }
}

#[test]
fn a_list_that_reaches_too_far_back_is_refused() {
    let served = Served::start(&["--retention", "90"]);
    let (head, body) = served.list("from=2020-01-01T00:00:00.000Z");
    assert!(head.starts_with("HTTP/1.1 403"), "{head}");
    assert!(String::from_utf8(body).unwrap().contains("90 days"));
}

#[test]
fn responses_are_compressed_on_request() {
    let request =
        format!("GET /v1/events HTTP/1.1\r\naccept-encoding: gzip\r\nauthorization: Bearer {TOKEN}");
    for (options, gzip) in [(["--gzip"].as_slice(), true), (&[], false)] {
        let (head, body) = Served::start(options).ask(&request, "");
        assert_eq!(head.contains("content-encoding: gzip"), gzip, "{head}");
        assert_eq!(body.starts_with(&[0x1f, 0x8b]), gzip);
    }
}

#[test]
fn bodies_are_sent_slowly() {
    let served = Served::start(&["--slow", "10000"]);
    let started = Instant::now();
    let (_, body) = served.list("max=5");
    // Ten bytes a millisecond, in pieces of 50 ms.
    let least = Duration::from_millis(body.len() as u64 / 10 - 100);
    assert!(started.elapsed() >= least && body.len() > 2000, "{} bytes", body.len());
}

#[test]
fn a_token_expires_and_the_printed_credentials_renew_it() {
    let mut served = Served::start(&["--token-lifetime", "0s", "--oauth", "--rotate-refresh-tokens"]);
    assert_eq!(served.statuses(1), [401]);
    let mut printed = |name: &str| {
        let line = served.running.line();
        line.strip_prefix(name).and_then(|line| line.strip_suffix('\n')).expect(&line).to_owned()
    };
    let [id, secret, refresh] = ["client id: ", "client secret: ", "refresh token: "].map(&mut printed);
    let form =
        format!("grant_type=refresh_token&client_id={id}&client_secret={secret}&refresh_token={refresh}");
    let grant = || {
        let head = "POST /v1/access_token HTTP/1.1\r\ncontent-type: application/x-www-form-urlencoded";
        let (head, body) = served.ask(head, &form);
        (head, serde_json::from_slice::<Value>(&body).unwrap())
    };
    let (head, tokens) = grant();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(tokens["expires_in"], 0);
    assert_ne!(tokens["refresh_token"], refresh);
    // The previous one was replaced.
    assert!(grant().0.starts_with("HTTP/1.1 400"));
}
