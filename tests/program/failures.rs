//! All that a person sees when something fails: a table of situations, commands and messages, which is compared with
//! `fixtures/failures.md`. To accept other messages, run the test with `UPDATE_FAILURES=1` and
//! read the difference. With `EXACT_FAILURES=FILE` it writes the texts to that file as they are, with their numbers.

use std::{
    fmt::Write as _,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;
use webex_events::sandbox::{LinkFault, Response, Sandbox, SandboxBuilder, When};

use crate::{
    stub::{NEXT, Stub, answer, page},
    support::{Service, TOKEN, program, run},
};

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/program/fixtures/failures.md");

/// The rows so far, and the folder that the commands run in.
struct Table {
    folder: TempDir,
    rows: Vec<String>,
    /// True if the texts are kept as they are.
    is_exact: bool,
}

/// The service of a situation.
enum Serves<'a> {
    Nothing,
    Url(&'a str),
    Sandbox(Box<SandboxBuilder>),
}

impl Table {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_webex-events"), folder.path().join("webex-events"))
            .unwrap();
        Self { folder, rows: Vec::new(), is_exact: std::env::var_os("EXACT_FAILURES").is_some() }
    }

    /// A folder of its own for one situation.
    fn place(&self) -> PathBuf {
        let place = self.folder.path().join(self.rows.len().to_string());
        fs::create_dir(&place).unwrap();
        place
    }

    /// Adds a situation. `before` is run first, by a shell, and its output is ignored.
    fn add(&mut self, situation: &str, from: Serves<'_>, before: &str, command: &str) {
        let place = self.place();
        let (_service, url) = match from {
            Serves::Nothing => (None, None),
            Serves::Url(url) => (None, Some(url.to_owned())),
            Serves::Sandbox(builder) => {
                let service = Service::start(*builder);
                let url = service.base_url().to_owned();
                (Some(service), Some(url))
            }
        };
        if !before.is_empty() {
            self.shell(before, &place, url.as_deref());
        }
        let (code, text) = self.shell(command, &place, url.as_deref());
        let text = if self.is_exact { text } else { plain(&text, &place, url.as_deref()) };
        let cell = |text: &str| text.replace('|', "\\|").replace('\n', "<br>");
        let number = self.rows.len() + 1;
        self.rows.push(format!(
            "| {number} | {situation} | `{}` | {code} | {} |",
            cell(command),
            cell(text.trim_end())
        ));
    }

    fn shell(&self, script: &str, place: &Path, url: Option<&str>) -> (i32, String) {
        // The program's environment, without the settings of this process.
        let mut shell = program([] as [&str; 0]);
        let path = format!("{}:{}", self.folder.path().display(), std::env::var("PATH").unwrap());
        let variables: Vec<_> = shell.get_envs().map(|(name, _)| name.to_owned()).collect();
        shell = Command::new("sh");
        for name in variables {
            shell.env_remove(name);
        }
        shell.args(["-c", &format!("{{ {script}\n}} 2>&1")]).current_dir(place).env("PATH", path);
        shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if !script.contains("no token") {
            shell.env("WEBEX_ACCESS_TOKEN", TOKEN);
        }
        if let Some(url) = url {
            shell.env("WEBEX_BASE_URL", url);
        }
        let ended = run(shell);
        (ended.code, ended.stdout)
    }
}

/// The text without what differs from run to run.
fn plain(text: &str, place: &Path, url: Option<&str>) -> String {
    let mut text =
        text.replace(&format!("{}/", place.display()), "").replace(&place.display().to_string(), ".");
    if let Some(url) = url {
        text = text.replace(url.trim_end_matches("/v1"), "http://SERVICE");
    }
    // The numbers of pages and requests depend on how far the program has read ahead.
    while let Some((start, end)) = progress(&text) {
        text.replace_range(start..end, " (PROGRESS)");
    }
    let mut out = String::new();
    let mut words = text.split_inclusive([' ', '\n', ',', ';', ')']).peekable();
    while let Some(word) = words.next() {
        let bare = word.trim_end_matches([' ', '\n', ',', ';', ')']);
        let end = &word[bare.len()..];
        let is_unit = |next: &&str| next.trim_end_matches([' ', '\n', ',', ';', ')']) == "s";
        let has_digit = bare.contains(|c: char| c.is_ascii_digit());
        let is_date =
            |text: &str| has_digit && text.len() == 10 && text.split('-').map(str::len).eq([4, 2, 2]);
        let is_instant =
            |text: &str| text.len() >= 20 && text.ends_with('Z') && text.as_bytes().get(10) == Some(&b'T');
        let bare = if is_date(bare) {
            "DATE"
        } else if bare.starts_with("ROUTER_") {
            "ROUTER_ID"
        } else if is_instant(bare) || (bare.len() == 8 && bare.as_bytes().get(2) == Some(&b':')) {
            "TIME"
        } else if bare.starts_with("127.0.0.1:") {
            if bare.ends_with(':') { "127.0.0.1:PORT:" } else { "127.0.0.1:PORT" }
        } else if has_digit && words.peek().is_some_and(is_unit) {
            "N"
        } else {
            bare
        };
        out.push_str(bare);
        out.push_str(end);
    }
    out
}

/// A service with these settings.
fn served(builder: SandboxBuilder) -> Serves<'static> {
    Serves::Sandbox(Box::new(builder))
}

/// The bounds of a group in parentheses with numbers of requests.
fn progress(text: &str) -> Option<(usize, usize)> {
    let is_progress = |group: &str| group.contains(" request") && !group.contains("(PROGRESS");
    let starts = text.match_indices(" (").map(|(start, _)| start);
    starts
        .filter_map(|start| Some((start, start + text[start..].find(')')? + 1)))
        .find(|(start, end)| is_progress(&text[*start..*end]))
}

fn sandbox() -> SandboxBuilder {
    Sandbox::builder().events(100)
}

/// The same in a fixed month: how its events fall into slices doesn't depend on the time of day.
fn january() -> SandboxBuilder {
    let day = |day| format!("2026-01-{day}T00:00:00Z").parse().unwrap();
    sandbox().period(day("01"), day("31"))
}

/// A sandbox without a `Retry-After`, which fails from this request on.
fn failing(at: u64, status: u16) -> SandboxBuilder {
    january().fail(When::at(at..1000), Response::status(status).retry_after(0))
}

fn arguments(table: &mut Table) {
    for (situation, command) in [
        ("a misspelt command", "webex-events exprot"),
        ("a misspelt option", "webex-events export --form 7d"),
        ("an option of another command", "webex-events get x --from 7d"),
        ("a misspelt value", "webex-events export --compress zst -o f"),
        ("a misspelt resource", "webex-events export --resource mesages -o f"),
        ("a missing argument", "webex-events verify"),
        ("an unknown time", "webex-events export --from lastweek -o f"),
        ("a start after the end", "webex-events export --from 1d --to 2d -o f"),
        ("an unknown rate", "webex-events export --rate-limit fast -o f"),
        ("too large a page", "webex-events export --page-size 5000 -o f"),
        ("slices without a folder", "webex-events export --from 1d --slice 6h"),
        ("a folder without a start", "webex-events export -o d/"),
        ("a maximum for a folder", "webex-events export --from 1d --take 5 -o d/"),
        ("two services", "webex-events export --sandbox 5 --base-url https://example.com/v1"),
        ("a suffix that contradicts the compression", "webex-events export --compress gzip -o f.ndjson.zst"),
        ("one path for two files", "webex-events export -o f --summary f"),
        ("a checkpoint for a folder", "webex-events follow -o d --checkpoint c.json"),
        ("a follower into a file", "touch f; webex-events follow -o f"),
        ("an unknown help topic", "webex-events help exit-code"),
    ] {
        table.add(situation, Serves::Url("http://127.0.0.1:1/v1"), "", command);
    }
}

fn settings(table: &mut Table) {
    for (situation, command) in [
        ("no token", "unset WEBEX_ACCESS_TOKEN; webex-events export -o f # no token"),
        ("no token for another command", "unset WEBEX_ACCESS_TOKEN; webex-events get x # no token"),
        ("an empty token", "WEBEX_ACCESS_TOKEN= webex-events export -o f"),
        ("a token file that is missing", "webex-events export -o f --token-file t"),
        (
            "a token file with more than a token",
            "echo Bearer abc > t; webex-events export -o f --token-file t",
        ),
        ("no client id", "webex-events export -o f --oauth-store s"),
        (
            "no store of tokens",
            "WEBEX_CLIENT_ID=i WEBEX_CLIENT_SECRET=s webex-events export -o f --oauth-store s",
        ),
        ("an invalid base URL", "webex-events export -o f --base-url webexapis.com"),
        ("a base URL without encryption", "webex-events export -o f --base-url http://webexapis.com/v1"),
        ("an unknown kind of proxy", "webex-events export -o f --proxy ftp://proxy:1"),
        ("a certificate that isn't one", "echo x > c; webex-events export -o f --root-certificate c"),
        ("an unknown filter of logs", "RUST_LOG=a=b=c webex-events export --sandbox 5 -o f"),
    ] {
        table.add(situation, Serves::Nothing, "", command);
    }
}

fn service(table: &mut Table) {
    // No program listens on this port.
    let nothing = "http://127.0.0.1:1/v1";
    let export = "webex-events export -o f --from 7d";
    let pages = "webex-events export -o f --page-size 20 --from 2026-01-01";
    table.add("nothing listens", Serves::Url(nothing), "", export);
    table.add("nothing listens, for `get`", Serves::Url(nothing), "", "webex-events get x");
    table.add("nothing listens, for `doctor`", Serves::Url(nothing), "", "webex-events doctor");
    let proxied = "webex-events export -o f --proxy http://127.0.0.1:1 --base-url https://webexapis.com/v1";
    table.add("a proxy that isn't there", Serves::Nothing, "", proxied);
    let plain = Service::start(sandbox());
    let url = plain.base_url().replace("http:", "https:");
    table.add("no TLS", Serves::Url(&url), "", export);
    table.add("a refused token", served(failing(0, 401)), "", export);
    table.add("a token that expires during an export", served(failing(3, 401)), "", pages);
    table.add("no permission", served(failing(0, 403)), "", export);
    let limited = sandbox().retention(90);
    table.add("older than the service has", served(limited), "", "webex-events export -o f --from 120d");
    let followed = "webex-events follow -o d --from 120d";
    table.add("a follower from before the service has", served(sandbox().retention(90)), "", followed);
    table.add("a wrong path of the base URL", served(failing(0, 404)), "", export);
    table.add("an unknown event", served(sandbox()), "", "webex-events get nope");
    table.add("a request that the service refuses", served(failing(0, 400)), "", export);
    let slow = |wait| Response::status(429).retry_after(wait);
    table.add("a pause that is too long", served(january().fail(When::always(), slow(7200))), "", export);
    table.add("a short pause", served(january().fail(When::at([2]), slow(2))), "", pages);
    let twice = "webex-events export -o f --from 7d --attempts 2";
    table.add("a service that fails", served(failing(0, 503)), "", twice);
    let later = "webex-events export -o f --page-size 20 --from 2026-01-01 --attempts 2";
    table.add("a service that fails during an export", served(failing(3, 502)), "", later);
    let cut = january().cut_bodies(When::at(2..1000), 0.5);
    table.add("responses that break off", served(cut), "", later);
    let html = Stub::start(vec![answer(200, "content-type: text/html\r\n", "<html><h1>Sign in</h1>")]);
    table.add("a page of a captive portal", Serves::Url(&html.base_url), "", export);
    let wrapped = r#"{"message":"GET failed: HTTP/1.1 400 Bad Request (url = https://conv.example/v1?x=1, request/response TrackingId = ROUTER_1, error = 'Invalid value for filter: roomId')","trackingId":"ROUTER_1"}"#;
    let wrapped = Stub::start(vec![answer(400, "trackingid: ROUTER_1\r\n", wrapped)]);
    table.add("a reason within a wrapper", Serves::Url(&wrapped.base_url), "", export);
    let foreign = january().links(When::at([1]), LinkFault::Foreign);
    table.add("a link to another host", served(foreign), "", pages);
    let malformed = january().malformed_every(30);
    table.add("malformed items", served(malformed), "", pages);
    let gone = Stub::start(vec![answer(200, NEXT, page(&["a"])), answer(404, "", "")]);
    table.add("a cursor that the service forgot", Serves::Url(&gone.base_url), "", "webex-events export > f");
    let slices = "webex-events export -o d/ --from 2026-01-05 --to 2026-01-09 --slice 1d --concurrency 1";
    let one = || january().fail(When::at([3]), Response::status(400));
    let other = "webex-events verify d --against-service --base-url https://example.com/v1";
    let exported = "webex-events export --from 2026-01-05 --to 2026-01-06 -o d/";
    table.add("another service, for `verify`", served(january()), exported, other);
    table.add("a slice that can't be read", served(one()), "", slices);
    let export = "webex-events export --from 2026-01-05 --to 2026-01-07 --slice 1d -o d/";
    let other = "webex-events export --from 2026-01-04 --to 2026-01-07 --slice 1d -o d/";
    table.add("a folder of another command", served(january()), export, other);
    table.add("a complete export that is repeated", served(january()), export, export);
    let unknown = "mkdir d; touch d/events_20260101T000000Z_20260101T060000Z.ndjson";
    table.add("an unknown file in the folder", served(january()), unknown, export);
    let removed = format!("{export}; rm d/*_20260106T000000Z.ndjson");
    table.add("a file that is gone", served(january()), &removed, "webex-events verify d");
    let stopped = format!("ulimit -f 2; {export}");
    table.add("a folder that isn't complete", served(january()), &stopped, "webex-events verify d");
}

fn output(table: &mut Table) {
    let export = "webex-events export --sandbox 5000 -o f";
    for (situation, before, command) in [
        ("a folder that is missing", "", "webex-events export --sandbox 5 -o no/such/f"),
        ("a folder in place of a file", "mkdir d", "webex-events export --sandbox 5 -o d"),
        ("a read-only file", "touch f; chmod 400 f", export),
        ("a full device", "", "webex-events export --sandbox 5 -o /dev/full"),
        ("a full stdout", "", "webex-events export --sandbox 5 > /dev/full"),
        ("a closed stdout", "", "webex-events export --sandbox 5 >&-"),
        ("a limit of the size of files", "", "ulimit -f 64; webex-events export --sandbox 5000 -o f"),
        (
            "an interrupted export that is continued with other arguments",
            "ulimit -f 64; webex-events export --sandbox 5000 -o f",
            "webex-events export --sandbox 5000 --resource rooms -o f",
        ),
        (
            "a damaged ledger of a file",
            "(ulimit -f 64; webex-events export --sandbox 5000 -o f); echo x >> f.cursor",
            export,
        ),
        (
            "a damaged part of a file",
            "(ulimit -f 64; webex-events export --sandbox 5000 --page-size 20 -o f); echo > f.part",
            "webex-events export --sandbox 5000 --page-size 20 -o f",
        ),
        ("an unwritable summary", "", "webex-events export --sandbox 5 -o f --summary no/s.json"),
        ("a folder without a ledger", "mkdir d", "webex-events verify d"),
        ("a folder that is missing, for `verify`", "", "webex-events verify d"),
        ("a checkpoint that isn't one", "echo '{}' > c", "webex-events follow -o - --checkpoint c"),
        (
            "a pipe without a reader",
            "mkfifo p",
            "timeout --preserve-status -s INT 2 webex-events export --sandbox 5 -o p",
        ),
        ("a reader that ends early", "", "webex-events export --sandbox 5000 | head -c 1"),
        ("doctor with problems", "", "unset WEBEX_ACCESS_TOKEN; webex-events doctor -o no/such/f # no token"),
    ] {
        table.add(situation, Serves::Nothing, before, command);
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    table.add(
        "a port for metrics that is used",
        Serves::Url(&url),
        "",
        "webex-events export --sandbox 5 -o f --metrics ${WEBEX_BASE_URL##*:}",
    );
}

#[test]
fn the_messages_of_all_failures_are_those_that_were_read_and_accepted() {
    let mut table = Table::new();
    arguments(&mut table);
    settings(&mut table);
    service(&mut table);
    output(&mut table);
    assert!(table.rows.len() >= 40);
    let mut text = String::from(
        "# Failures\n\nWhat each command prints. A test compares this table with the program.\n\n\
         | | situation | command | exit code | text |\n|--:|---|---|--:|---|\n",
    );
    for row in &table.rows {
        writeln!(text, "{row}").unwrap();
    }
    if std::env::var_os("UPDATE_FAILURES").is_some() {
        fs::write(TABLE, &text).unwrap();
    }
    if let Some(path) = std::env::var_os("EXACT_FAILURES") {
        return fs::write(path, &text).unwrap();
    }
    let accepted = fs::read_to_string(TABLE).unwrap();
    for (is, was) in text.lines().zip(accepted.lines()) {
        assert_eq!(is, was, "a message has changed: UPDATE_FAILURES=1 accepts it");
    }
    assert_eq!(text.lines().count(), accepted.lines().count());
}
