use std::fs;

use super::*;

fn event(id: &str) -> ListResult<Event> {
    Event::from_json(format!(
        r#"{{"id":"{id}","resource":"rooms","type":"created","created":"2026-01-05T09:00:00Z"}}"#
    ))
}

fn malformed() -> ListResult<Event> {
    Event::from_json("7")
}

fn form(codec: Codec) -> Form {
    Form { codec, hashed: true, memory: None }
}

fn ids(path: &Path, codec: Codec) -> Vec<String> {
    let mut ids = Vec::new();
    let bytes = fs::metadata(path).unwrap().len();
    super::super::append_file::read(File::open(path).unwrap(), codec, bytes, None, |line| {
        ids.push(Event::from_json(str::from_utf8(line).unwrap()).unwrap().id().to_owned());
        Ok(())
    })
    .unwrap();
    ids
}

#[test]
fn an_event_is_written_once_and_counted_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    let mut draft = Draft::begin(&path, None, Entry::new("f", None), form(Codec::None)).unwrap();
    draft.add([event("a"), event("b"), event("a")], None).unwrap();
    draft.add([event("b"), malformed(), event("c")], None).unwrap();
    draft.seal().unwrap();
    assert_eq!(ids(draft.path(), Codec::None), ["a", "b", "c"]);
    let entry = &draft.entry;
    assert_eq!((entry.events, entry.duplicates, entry.pages, entry.malformed_items()), (3, 2, 2, 1));
    let kept = fs::read_to_string(folder.path().join("f.malformed.part")).unwrap();
    assert!(kept.contains(r#""page":2"#) && kept.ends_with("}\n"), "{kept}");
}

#[test]
fn reopened_it_has_what_its_entry_says_and_knows_its_ids() {
    for codec in [Codec::None, Codec::Gzip, Codec::Zstd] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let mut draft = Draft::begin(&path, None, Entry::new("f", None), form(codec)).unwrap();
        draft.add([event("a"), malformed()], None).unwrap();
        draft.seal().unwrap();
        assert!(draft.is_new);
        let entry = draft.entry.clone();
        draft.add([event("b"), malformed()], None).unwrap();
        draft.seal().unwrap();
        drop(draft);
        let mut draft = Draft::reopen(&path, None, entry.clone(), form(codec)).unwrap();
        draft.add([event("a"), event("b")], None).unwrap();
        draft.seal().unwrap();
        assert!(!draft.is_new);
        assert_eq!(ids(draft.path(), codec), ["a", "b"]);
        assert_eq!((draft.entry.duplicates, draft.entry.malformed_items()), (1, 1));
        let kept = fs::read_to_string(folder.path().join("f.malformed.part")).unwrap();
        assert_eq!(kept.lines().count(), 1);
    }
}

#[test]
fn one_that_is_not_what_its_entry_says_is_not_reopened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    let mut draft = Draft::begin(&path, None, Entry::new("f", None), form(Codec::None)).unwrap();
    draft.add([event("a"), malformed()], None).unwrap();
    draft.seal().unwrap();
    let (entry, part, other) = (draft.entry.clone(), part(&path), folder.path().join("f.malformed.part"));
    let reopen = |entry: &Entry| Draft::reopen(&path, None, entry.clone(), form(Codec::None)).map(drop);
    reopen(&entry).unwrap();
    let text = fs::read_to_string(&part).unwrap();
    for (damaged, word) in [
        (text.replace("rooms", "roams"), "checksum"),
        (text.replace('{', "["), "line 1"),
        (text.replace("}\n", ""), "bytes"),
        (text.replace('}', "\n"), "line 1"),
    ] {
        fs::write(&part, damaged).unwrap();
        let error = reopen(&entry).unwrap_err().to_string();
        assert!(error.contains(word), "{word:?} isn't in {error:?}");
    }
    fs::write(&part, text).unwrap();
    let more = Entry { events: 2, ..entry.clone() };
    assert!(reopen(&more).unwrap_err().to_string().contains("1 events and should have 2"));
    fs::write(&other, fs::read_to_string(&other).unwrap().replace('7', "8")).unwrap();
    assert!(reopen(&entry).unwrap_err().to_string().contains("malformed"));
}

#[test]
fn a_page_that_was_not_written_whole_is_taken_back() {
    for codec in [Codec::None, Codec::Zstd] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let mut draft = Draft::begin(&path, None, Entry::new("f", None), form(codec)).unwrap();
        draft.add([event("a"), malformed()], None).unwrap();
        draft.seal().unwrap();
        draft.add([event("b")], None).unwrap();
        draft.is_whole = false;
        draft.event(&event("c").unwrap()).unwrap();
        draft.malformed().unwrap().append(b"half a li").unwrap();
        draft.settle().unwrap();
        draft.seal().unwrap();
        // A page that isn't in the file as a frame of its own goes with it.
        let expected = if codec == Codec::None { vec!["a", "b"] } else { vec!["a"] };
        assert_eq!(ids(draft.path(), codec), expected);
        assert_eq!((draft.entry.events, draft.entry.malformed_items()), (expected.len() as u64, 1));
        let kept = fs::read_to_string(folder.path().join("f.malformed.part")).unwrap();
        assert_eq!(kept.lines().count(), 1);
    }
}

#[test]
fn what_was_written_of_a_page_counts_and_does_not_come_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    let mut draft = Draft::begin(&path, None, Entry::new("f", None), form(Codec::None)).unwrap();
    let long = |n: usize| event(&format!("{n:0>1000}"));
    draft.is_whole = false;
    for n in 0..600 {
        draft.event(&long(n).unwrap()).unwrap();
    }
    // The disk is full before the last ones of a page are written.
    draft.settle().unwrap();
    draft.seal().unwrap();
    let entry = draft.entry.clone();
    assert!(entry.events > 0 && entry.events < 600, "{entry:?}");
    assert_eq!((entry.ahead, entry.pages), (entry.events, 0));
    drop(draft);
    let mut draft = Draft::reopen(&path, None, entry, form(Codec::None)).unwrap();
    draft.add((0..600).chain([0]).map(long), None).unwrap();
    draft.seal().unwrap();
    assert_eq!(ids(draft.path(), Codec::None).len(), 600);
    assert_eq!((draft.entry.events, draft.entry.duplicates, draft.entry.ahead), (600, 1, 0));
}

#[test]
fn one_that_is_emptied_takes_all_events_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    let mut draft = Draft::begin(&path, None, Entry::new("f", None), form(Codec::Gzip)).unwrap();
    draft.add([event("a"), malformed()], None).unwrap();
    draft.seal().unwrap();
    draft.forget();
    draft.empty().unwrap();
    draft.add([event("a")], None).unwrap();
    draft.seal().unwrap();
    assert_eq!(ids(draft.path(), Codec::Gzip), ["a"]);
    assert_eq!((draft.entry.events, draft.entry.malformed_items()), (1, 0));
    assert!(!folder.path().join("f.malformed.part").exists());
}

#[test]
fn a_line_stays_one_line_and_is_otherwise_untouched() {
    for (json, line) in [
        (r#"{"a": "b\n"}"#, r#"{"a": "b\n"}"#),
        ("{\r\n  \"a\":\n1}", "{    \"a\": 1}"),
        ("{\"a\":\t\"\u{2028}é\"}", "{\"a\":\t\"\u{2028}é\"}"),
    ] {
        assert_eq!(framed(json), line);
    }
}

#[test]
fn a_frame_whose_end_can_not_be_written_is_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    fs::write(part(&path), "").unwrap();
    // The page fits into the encoder's buffer, and only the end of the frame is written.
    let full = File::open(part(&path)).unwrap();
    let mut draft = Draft::begin(&path, Some(full), Entry::new("f", None), form(Codec::Zstd)).unwrap();
    draft.add([event("a")], None).unwrap();
    assert!(draft.seal().is_err());
    draft.settle().unwrap();
    draft.seal().unwrap();
    let entry = draft.committed.unwrap();
    assert_eq!((entry.events, entry.pages, entry.bytes), (0, 0, 0));
}
