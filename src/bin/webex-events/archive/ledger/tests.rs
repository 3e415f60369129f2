use serde_json::json;

use super::*;

fn ledger() -> Ledger {
    let at = |text: &str| text.parse().unwrap();
    let range = (at("2026-01-01T00:00:00Z"), at("2026-01-01T06:00:00Z"));
    let mut complete = FileEntry::new("a", Some(range));
    (complete.stage, complete.events, complete.bytes) = (Stage::Complete, 7, 70);
    (complete.sha256, complete.crc32) = (Some("00".to_owned()), Some(7));
    complete.malformed = Some(MalformedEntry { items: 1, bytes: 9, sha256: "11".to_owned() });
    Ledger {
        meta: ArchiveMeta {
            kind: ArchiveKind::Export,
            request: StoredRequest { from: Some("7d".to_owned()), ..StoredRequest::default() },
            from: Some(range.0),
            to: None,
            slicing: Some(Slicing { seconds: 21_600, is_aligned: true, margin_ms: 60_000 }),
            waited_s: 0,
            compress: Codec::Zstd,
            begun: range.1,
        },
        checkpoint: Some(json!({"mark": 1})),
        failed: vec![FailedSlice {
            start: range.0,
            end: range.1,
            kind: "service".to_owned(),
            message: "gone".to_owned(),
            is_beyond_retention: true,
        }],
        files: vec![complete, FileEntry::new("b", None)],
    }
}

fn written(ledger: &Ledger) -> String {
    let lines: Vec<_> = ledger.files.iter().map(|entry| entry.line().unwrap()).collect();
    text(&ledger.meta, ledger.checkpoint.as_ref(), &ledger.failed, &lines).unwrap()
}

#[test]
fn a_ledger_is_read_as_it_was_written() {
    let ledger = ledger();
    let text = written(&ledger);
    assert_eq!(read(text.as_bytes()), Ok(ledger.clone()));
    assert!(serde_json::from_str::<Value>(&text).is_ok());
    assert_eq!(text.lines().filter(|line| line.starts_with("{\"name\"")).count(), 2, "{text}");
    let empty = Ledger { files: Vec::new(), failed: Vec::new(), checkpoint: None, ..ledger };
    assert_eq!(read(written(&empty).as_bytes()), Ok(empty));
}

/// A request for two lists, and a file that has a page of the first.
fn ledger_of_two_lists() -> Ledger {
    let list = |name: &str| webex_events::ListEvents::new().resource(name);
    let mut ledger = ledger();
    ledger.meta.request = StoredRequest::of_lists(&[list("messages"), list("rooms")]);
    let mut open = FileEntry::new("b", None).with_lists(2);
    open.add_page(0, Cursor::from_page_url("https://example.com/v1/events?cursor=2").ok());
    ledger.files.truncate(1);
    ledger.files.push(open);
    ledger
}

#[test]
fn each_list_of_a_file_has_a_position() {
    let ledger = ledger_of_two_lists();
    let text = written(&ledger);
    assert!(text.starts_with("{\n\"webex-events\":3,"), "an older program must not read it: {text}");
    let read = read(text.as_bytes()).unwrap();
    assert_eq!(read, ledger);
    let mut open = read.files[1].clone();
    assert!(matches!(open.list(0), ListProgress::Partial(_)));
    assert_eq!(open.list(1), ListProgress::Unread);
    open.add_page(0, None);
    open.add_page(1, None);
    assert_eq!((open.list(0), open.list(1), open.pages), (ListProgress::Whole, ListProgress::Whole, 3));
}

#[test]
fn a_file_with_positions_in_another_number_of_lists_is_refused() {
    for number in [0, 1, 3] {
        let mut ledger = ledger_of_two_lists();
        ledger.files[1] = FileEntry::new("b", None).with_lists(number);
        assert_eq!(read(written(&ledger).as_bytes()), Err(LedgerDamage::Content), "{number}");
    }
    let mut single = ledger();
    single.files[1] = FileEntry::new("b", None).with_lists(2);
    assert_eq!(read(written(&single).as_bytes()), Err(LedgerDamage::Content));
}

#[test]
fn a_ledger_that_is_truncated_anywhere_is_refused() {
    let text = written(&ledger());
    for length in 0..text.len() {
        assert!(read(&text.as_bytes()[..length]).is_err(), "{length}");
    }
    assert_eq!(read(b""), Err(LedgerDamage::Cut));
}

#[test]
fn a_ledger_that_was_changed_anywhere_is_refused() {
    let text = written(&ledger()).into_bytes();
    for at in 0..text.len() {
        let mut changed = text.clone();
        changed[at] ^= 1;
        assert!(read(&changed).is_err(), "byte {at}");
    }
}

#[test]
fn a_ledger_of_a_later_version_is_refused() {
    let text = written(&ledger()).replacen(":2,", ":7,", 1);
    assert_eq!(read(text.as_bytes()), Err(LedgerDamage::Version { found: 7, latest: FORMAT }));
}

#[test]
fn a_ledger_with_a_valid_checksum_and_other_content_is_refused() {
    let body = "{\n\"webex-events\":2,\n";
    let text = format!("{body}\"sha256\":\"{}\"\n}}\n", hex(&Sha256::digest(body)));
    assert_eq!(read(text.as_bytes()), Err(LedgerDamage::Content));
}

#[test]
fn an_export_into_a_file_has_one_file() {
    let mut two = ledger();
    two.meta.kind = ArchiveKind::File;
    assert_eq!(read(written(&two).as_bytes()), Err(LedgerDamage::Content));
}

#[test]
fn only_its_owner_can_read_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c");
    ledger().write(&path).unwrap();
    assert_eq!(Ledger::read(&path).unwrap(), Some(ledger()));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_ledger_of_another_kind_is_refused() {
    let error = ledger().expect_kind(ArchiveKind::Follow, Path::new("c")).unwrap_err();
    assert_eq!(error.to_string(), "c belongs to an export into a folder, not to a follower");
}

#[test]
fn a_name_that_leads_out_of_the_folder_is_refused() {
    for name in ["/etc/x", "../x", "a/x", "a/", "..", ".", ""] {
        let replaced = |keep_as: Option<&str>, old: &str, entry: &str| ReplacedFile {
            name: old.to_owned(),
            keep_as: keep_as.map(str::to_owned),
            entry: Some(Box::new(FileEntry::new(entry, None))),
            is_damaged: false,
        };
        let of = |name: &str, replaces| FileEntry { replaces, ..FileEntry::new(name, None) };
        for file in [
            of(name, None),
            of("b", Some(replaced(None, name, "b"))),
            of("b", Some(replaced(Some(name), "b", "b"))),
            of("b", Some(replaced(None, "b", name))),
        ] {
            let mut ledger = Ledger { files: vec![file], ..ledger() };
            assert_eq!(read(written(&ledger).as_bytes()), Err(LedgerDamage::Content), "{name:?}");
            // The only file has the name that the user gives.
            ledger.meta.kind = ArchiveKind::File;
            assert_eq!(read(written(&ledger).as_bytes()), Ok(ledger));
        }
    }
}
