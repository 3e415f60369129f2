//! Folders of an earlier version. It wrote the samples in `fixtures/`.

use std::{fs, path::Path};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use webex_events::{Event, sandbox::Sandbox};

use crate::support::{Service, TOKEN, exported, folder, names, program, run, run_alone, sorted};

/// The port of the sandbox that the samples are from.
const ORIGIN: &str = "http://127.0.0.1:41999";

/// The service that the samples are from.
fn service() -> Service {
    let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
    let period = (at("2026-01-01T00:00:00Z"), at("2026-01-03T00:00:00Z"));
    Service::start(Sandbox::builder().events(60).seed(7).period(period.0, period.1))
}

/// Copies a sample. Its cursors get the service's address, and its ledger the checksum for that.
fn copy(sample: &str, folder: &Path, service: &Service) {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/program/fixtures").join(sample);
    fs::create_dir(folder).unwrap();
    for name in names(&sample) {
        fs::copy(sample.join(&name), folder.join(name.replace(".open", ".part"))).unwrap();
    }
    let ledger = fs::read_to_string(folder.join("ledger.json")).unwrap();
    let origin = service.base_url().strip_suffix("/v1").unwrap();
    let moved = ledger.split('"').map(|part| match part.strip_prefix("webex-events-cursor:1:") {
        Some(cursor) => {
            let (text, _) = cursor.split_once(':').unwrap();
            let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap();
            let text = text.replace(ORIGIN, origin);
            let (line, sum) = (URL_SAFE_NO_PAD.encode(&text), crc32fast::hash(text.as_bytes()));
            format!("webex-events-cursor:1:{line}:{sum:08x}")
        }
        None => part.to_owned(),
    });
    let moved = moved.collect::<Vec<_>>().join("\"");
    let (body, _) = moved.rsplit_once("\"sha256\":").unwrap();
    let sum = format!("{:x}", Sha256::digest(body));
    fs::write(folder.join("ledger.json"), format!("{body}\"sha256\":\"{sum}\"\n}}\n")).unwrap();
}

#[test]
fn an_export_that_started_with_unaligned_slices_keeps_them_until_it_is_complete() {
    let (service, folder) = (service(), folder());
    let out = folder.path().join("out");
    copy("unaligned_slices", &out, &service);
    let name = out.to_str().unwrap();
    let range = ["--from", "2026-01-01T05:30:00Z", "--to", "2026-01-02T20:15:00Z"];
    let mut command = service.export(["-o", name, "--slice", "6h", "--page-size", "3", "--quiet"]);
    command.args(range);
    let ended = run(command);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "the open slices continue at their cursors");

    let files: Vec<_> = names(&out).into_iter().filter(|name| name.starts_with("events_")).collect();
    let bounds = ["0101T053000", "0101T113000", "0101T173000", "0101T233000", "0102T053000", "0102T113000"];
    let ends = ["0101T113000", "0101T173000", "0101T233000", "0102T053000", "0102T113000", "0102T173000"];
    let mut expected: Vec<_> = bounds
        .iter()
        .zip(ends)
        .map(|(start, end)| format!("events_2026{start}Z_2026{end}Z.ndjson"))
        .collect();
    expected.push("events_20260102T173000Z_20260102T201500Z.ndjson".to_owned());
    assert_eq!(files, expected);
    let in_range = |line: &&str| {
        let created = Event::from_json(*line).unwrap().created();
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        (at(range[1])..at(range[3])).contains(&created)
    };
    assert_eq!(sorted(exported(&out)), sorted(service.lines().lines().filter(in_range)));

    assert_eq!(run_alone(["verify", name]).code, 0);
    let mut command = program(["verify", name, "--against-service", "--base-url", service.base_url()]);
    command.env("WEBEX_ACCESS_TOKEN", TOKEN);
    run(command).success();
}
