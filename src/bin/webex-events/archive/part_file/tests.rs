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

fn options(codec: Codec) -> PartOptions {
    let write = WriteOptions { codec, checksum: Checksum::Sha256, memory: None };
    PartOptions { write, attributes: Attributes::default() }
}

fn create(path: &Path, codec: Codec) -> PartFile {
    PartFile::create(path, FileEntry::new("f", None), options(codec)).unwrap()
}

fn ids(path: &Path, codec: Codec) -> Vec<String> {
    let mut ids = Vec::new();
    let bytes = fs::metadata(path).unwrap().len();
    super::super::append_file::read(fs::File::open(path).unwrap(), codec, bytes, None, |line| {
        ids.push(Event::from_json(str::from_utf8(line).unwrap()).unwrap().id().to_owned());
        Ok(())
    })
    .unwrap();
    ids
}

#[test]
fn a_repeated_event_is_counted_and_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    let mut part_file = create(&path, Codec::None);
    part_file.add(0, [event("a"), event("b"), event("a")], None).unwrap();
    part_file.add(0, [event("b"), malformed(), event("c")], None).unwrap();
    part_file.seal().unwrap();
    assert_eq!(ids(part_file.path(), Codec::None), ["a", "b", "c"]);
    let entry = &part_file.entry;
    assert_eq!((entry.events, entry.duplicates, entry.pages, entry.malformed_items()), (3, 2, 2, 1));
    let kept = fs::read_to_string(folder.path().join("f.malformed.part")).unwrap();
    assert!(kept.contains(r#""page":2"#) && kept.ends_with("}\n"), "{kept}");
}

#[test]
fn a_reopened_file_matches_its_entry_and_knows_its_ids() {
    for codec in [Codec::None, Codec::Gzip, Codec::Zstd] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let mut part_file = create(&path, codec);
        part_file.add(0, [event("a"), malformed()], None).unwrap();
        part_file.seal().unwrap();
        assert!(part_file.is_new);
        let entry = part_file.entry.clone();
        part_file.add(0, [event("b"), malformed()], None).unwrap();
        part_file.seal().unwrap();
        drop(part_file);
        let mut part_file = PartFile::reopen(&path, entry.clone(), options(codec)).unwrap();
        part_file.add(0, [event("a"), event("b")], None).unwrap();
        part_file.seal().unwrap();
        assert!(!part_file.is_new);
        assert_eq!(ids(part_file.path(), codec), ["a", "b"]);
        assert_eq!((part_file.entry.duplicates, part_file.entry.malformed_items()), (1, 1));
        let kept = fs::read_to_string(folder.path().join("f.malformed.part")).unwrap();
        assert_eq!(kept.lines().count(), 1);
    }
}

#[test]
fn a_file_that_differs_from_its_entry_is_not_reopened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    let mut part_file = create(&path, Codec::None);
    part_file.add(0, [event("a"), malformed()], None).unwrap();
    part_file.seal().unwrap();
    let (entry, part, other) = (part_file.entry.clone(), part(&path), folder.path().join("f.malformed.part"));
    let reopen = |entry: &FileEntry| PartFile::reopen(&path, entry.clone(), options(Codec::None)).map(drop);
    reopen(&entry).unwrap();
    let text = fs::read_to_string(&part).unwrap();
    for (damaged, word) in [
        (text.replace("rooms", "roams"), "checksum"),
        (text.replace('{', "["), "line 1"),
        (text.replace("}\n", ""), "its length is"),
        (text.replace('}', "\n"), "line 1"),
    ] {
        fs::write(&part, damaged).unwrap();
        let error = reopen(&entry).unwrap_err().to_string();
        assert!(error.contains(word), "{word:?} isn't in {error:?}");
    }
    fs::write(&part, text).unwrap();
    let more = FileEntry { events: 2, ..entry.clone() };
    assert!(reopen(&more).unwrap_err().to_string().contains("1 events and should have 2"));
    fs::write(&other, fs::read_to_string(&other).unwrap().replace('7', "8")).unwrap();
    assert!(reopen(&entry).unwrap_err().to_string().contains("malformed"));
}

#[test]
fn a_page_that_was_not_written_completely_is_rolled_back() {
    for codec in [Codec::None, Codec::Zstd] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let mut part_file = create(&path, codec);
        part_file.add(0, [event("a"), malformed()], None).unwrap();
        part_file.seal().unwrap();
        part_file.add(0, [event("b")], None).unwrap();
        part_file.is_whole = false;
        part_file.event(&event("c").unwrap()).unwrap();
        part_file.malformed().unwrap().append(b"half a li").unwrap();
        part_file.roll_back().unwrap();
        part_file.seal().unwrap();
        // A page that isn't in the file as a frame of its own goes with it.
        let expected = if codec == Codec::None { vec!["a", "b"] } else { vec!["a"] };
        assert_eq!(ids(part_file.path(), codec), expected);
        assert_eq!((part_file.entry.events, part_file.entry.malformed_items()), (expected.len() as u64, 1));
        let kept = fs::read_to_string(folder.path().join("f.malformed.part")).unwrap();
        assert_eq!(kept.lines().count(), 1);
    }
}

#[test]
fn the_written_part_of_a_page_is_kept_and_not_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    let mut part_file = create(&path, Codec::None);
    let long = |n: usize| event(&format!("{n:0>1000}"));
    part_file.is_whole = false;
    for n in 0..600 {
        part_file.event(&long(n).unwrap()).unwrap();
    }
    // The disk is full before the last ones of a page are written.
    part_file.roll_back().unwrap();
    part_file.seal().unwrap();
    let entry = part_file.entry.clone();
    assert!(entry.events > 0 && entry.events < 600, "{entry:?}");
    assert_eq!((entry.ahead, entry.pages), (entry.events, 0));
    drop(part_file);
    let mut part_file = PartFile::reopen(&path, entry, options(Codec::None)).unwrap();
    part_file.add(0, (0..600).chain([0]).map(long), None).unwrap();
    part_file.seal().unwrap();
    assert_eq!(ids(part_file.path(), Codec::None).len(), 600);
    assert_eq!((part_file.entry.events, part_file.entry.duplicates, part_file.entry.ahead), (600, 1, 0));
}

#[test]
fn an_emptied_file_accepts_all_events_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    let mut part_file = create(&path, Codec::Gzip);
    part_file.add(0, [event("a"), malformed()], None).unwrap();
    part_file.seal().unwrap();
    part_file.forget();
    part_file.empty().unwrap();
    part_file.add(0, [event("a")], None).unwrap();
    part_file.seal().unwrap();
    assert_eq!(ids(part_file.path(), Codec::Gzip), ["a"]);
    assert_eq!((part_file.entry.events, part_file.entry.malformed_items()), (1, 0));
    assert!(!folder.path().join("f.malformed.part").exists());
}

#[test]
fn a_line_stays_one_line_and_is_otherwise_unchanged() {
    for (json, line) in [
        (r#"{"a": "b\n"}"#, r#"{"a": "b\n"}"#),
        ("{\r\n  \"a\":\n1}", "{    \"a\": 1}"),
        ("{\"a\":\t\"\u{2028}é\"}", "{\"a\":\t\"\u{2028}é\"}"),
    ] {
        assert_eq!(single_line(json), line);
    }
}

#[test]
fn a_frame_whose_end_can_not_be_written_is_rolled_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    // The page fits into the encoder's buffer, and only the end of the frame is written.
    let mut part_file = create(&path, Codec::Zstd);
    part_file.break_file();
    part_file.add(0, [event("a")], None).unwrap();
    assert!(part_file.seal().is_err());
    part_file.roll_back().unwrap();
    part_file.seal().unwrap();
    let entry = part_file.committed.unwrap();
    assert_eq!((entry.events, entry.pages, entry.bytes), (0, 0, 0));
}

/// A changed byte in a file of which no SHA-256 is kept was not noticed.
#[test]
fn a_changed_byte_is_detected_by_the_fast_checksum_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    let write = WriteOptions { codec: Codec::None, checksum: Checksum::Crc32, memory: None };
    let options = PartOptions { write, attributes: Attributes::default() };
    let mut part_file = PartFile::create(&path, FileEntry::new("f", None), options).unwrap();
    part_file.add(0, [event("a")], None).unwrap();
    part_file.seal().unwrap();
    let entry = part_file.entry.clone();
    assert!(entry.crc32.is_some() && entry.sha256.is_none());
    drop(part_file);
    let whole = fs::read_to_string(part(&path)).unwrap();
    fs::write(part(&path), whole.replace("rooms", "roams")).unwrap();
    let error = PartFile::reopen(&path, entry.clone(), options).unwrap_err().to_string();
    assert!(error.contains("checksum"), "{error}");
    fs::write(part(&path), whole).unwrap();
    PartFile::reopen(&path, entry, options).unwrap();
}
