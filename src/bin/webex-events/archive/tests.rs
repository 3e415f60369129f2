//! Every instant at which the program can be killed, made by hand.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
};

use tempfile::TempDir;

use super::*;
use crate::error::Code;

const FORM: Form = Form { codec: Codec::None, hashed: true, memory: None };

fn about(kind: Kind) -> About {
    About {
        kind,
        asked: BTreeMap::new(),
        from: None,
        to: None,
        slice_seconds: None,
        slice_margin_millis: None,
        compress: Codec::None,
        begun: "2026-01-05T09:00:00Z".parse().unwrap(),
    }
}

fn event(id: &str) -> ListResult<Event> {
    Event::from_json(format!(
        r#"{{"id":"{id}","resource":"rooms","type":"created","created":"2026-01-05T09:00:00Z"}}"#
    ))
}

fn malformed() -> ListResult<Event> {
    Event::from_json("7")
}

fn try_open(place: &Place) -> Result<Store, Failure> {
    let kind = if matches!(place, Place::File(_)) { Kind::File } else { Kind::Export };
    Found::at(place.clone())?.open(about(kind), FORM)
}

fn open(place: &Place) -> Store {
    try_open(place).unwrap()
}

#[track_caller]
fn refused(place: &Place, words: &[&str]) {
    let before = snapshot(place.state().parent().unwrap());
    let failure = try_open(place).unwrap_err();
    assert_eq!(failure.code, Code::Output, "{}", failure.message);
    for word in words {
        assert!(failure.message.contains(word), "{word:?} isn't in {:?}", failure.message);
    }
    assert_eq!(snapshot(place.state().parent().unwrap()), before, "nothing is touched");
}

fn snapshot(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}

fn names(folder: &Path) -> Vec<String> {
    snapshot(folder).into_iter().map(|(name, _)| name).collect()
}

fn ids(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| Event::from_json(line).unwrap().id().to_owned()).collect()
}

fn a() -> Entry {
    Entry::new("events_a.ndjson", None)
}

fn b() -> Entry {
    Entry::new("events_b.ndjson", None)
}

/// A folder with one page of `a`, with a malformed item, committed.
fn begun() -> (TempDir, Place, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::Folder(folder.path().to_owned());
    let mut store = open(&place);
    store.add(&a(), [event("1"), malformed()], None).unwrap();
    store.commit().unwrap();
    drop(store);
    let path = folder.path().join("events_a.ndjson");
    (folder, place, path)
}

/// Whatever was left: going on with the second page ends with both, once.
#[track_caller]
fn goes_on(place: &Place, path: &Path) {
    let mut store = open(place);
    store.add(&a(), [event("1"), event("2")], None).unwrap();
    store.finish(&a()).unwrap();
    store.end().unwrap();
    assert_eq!(ids(path), ["1", "2"]);
    let folder = path.parent().unwrap();
    assert_eq!(fs::read_to_string(malformed_path(path)).unwrap().lines().count(), 1);
    drop(store);
    assert_eq!(names(folder), ["events_a.ndjson", "events_a.ndjson.malformed", "ledger.json"]);
    let store = open(place);
    assert_eq!((store.closed().len(), store.open().count(), store.is_dirty), (1, 0, false));
    assert_eq!((store.totals().events, store.totals().malformed), (2, 1));
}

#[test]
fn killed_before_the_first_commit() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::Folder(folder.path().join("new"));
    let mut store = open(&place);
    store.add(&a(), [event("0"), malformed()], None).unwrap();
    drop(store);
    let mut store = open(&place);
    assert_eq!(names(&folder.path().join("new")), ["ledger.json", "ledger.lock"]);
    store.add(&a(), [event("1"), malformed()], None).unwrap();
    drop(store);
    let mut store = open(&place);
    store.add(&a(), [event("1"), malformed()], None).unwrap();
    store.commit().unwrap();
    drop(store);
    goes_on(&place, &folder.path().join("new/events_a.ndjson"));
}

#[test]
fn killed_while_a_draft_grows() {
    let (_folder, place, path) = begun();
    let mut store = open(&place);
    store.add(&a(), [event("2"), malformed(), event("3")], None).unwrap();
    store.add(&b(), [event("4"), malformed()], None).unwrap();
    drop(store);
    goes_on(&place, &path);
}

#[test]
fn killed_in_the_middle_of_a_line() {
    let (_folder, place, path) = begun();
    for path in [part_file::part(&path), part_file::part(&malformed_path(&path))] {
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text + "{\"id\":").unwrap();
    }
    goes_on(&place, &path);
}

#[test]
fn killed_while_the_state_is_written() {
    let (folder, place, path) = begun();
    fs::write(folder.path().join("ledger.json.tmp"), "{\n\"web").unwrap();
    goes_on(&place, &path);
}

#[test]
fn killed_behind_the_commit_of_a_file_that_is_done() {
    for renamed in 0..=2 {
        let (_folder, place, path) = begun();
        let mut store = open(&place);
        store.add(&a(), [event("2")], None).unwrap();
        store.finish(&a()).unwrap();
        store.commit().unwrap();
        drop(store);
        assert!(part_file::part(&path).exists() && !path.exists());
        for path in [malformed_path(&path), path.clone()].iter().take(renamed) {
            fs::rename(part_file::part(path), path).unwrap();
        }
        let mut store = open(&place);
        assert_eq!((store.closed().len(), store.is_dirty), (1, true), "{renamed} renamed");
        store.end().unwrap();
        drop(store);
        assert_eq!(ids(&path), ["1", "2"]);
        assert!(malformed_path(&path).exists() && !part_file::part(&path).exists());
        assert_eq!(open(&place).closed().len(), 1);
    }
}

#[test]
fn killed_between_the_name_and_the_commit_that_says_so() {
    let (_folder, place, path) = begun();
    let mut store = open(&place);
    store.finish(&a()).unwrap();
    store.commit().unwrap();
    store.give_names().unwrap();
    assert!(path.exists());
    drop(store);
    let store = open(&place);
    assert_eq!((store.closed().len(), store.totals().events), (1, 1));
}

#[test]
fn the_power_gone_before_a_name_was_on_disk() {
    let (_folder, place, path) = begun();
    let mut store = open(&place);
    store.finish(&a()).unwrap();
    store.end().unwrap();
    drop(store);
    for path in [&path, &malformed_path(&path)] {
        fs::rename(path, part_file::part(path)).unwrap();
    }
    let store = open(&place);
    assert_eq!((store.closed().len(), store.totals().events), (1, 1));
    assert!(path.exists() && malformed_path(&path).exists());
}

#[test]
fn killed_while_a_draft_is_begun_anew() {
    let (_folder, place, path) = begun();
    let mut store = open(&place);
    store.start_over(&a()).unwrap();
    assert_eq!(fs::metadata(part_file::part(&path)).unwrap().len(), 0);
    drop(store);
    // Between the word and the deed.
    fs::write(part_file::part(&path), "what was there before").unwrap();
    fs::write(part_file::part(&malformed_path(&path)), "this too").unwrap();
    let mut store = open(&place);
    store.add(&a(), [event("1"), malformed()], None).unwrap();
    store.commit().unwrap();
    drop(store);
    goes_on(&place, &path);
}

#[test]
fn a_draft_begun_anew_leaves_the_others_as_they_are() {
    let (folder, place, path) = begun();
    let mut store = open(&place);
    store.add(&b(), [event("3")], None).unwrap();
    store.add(&a(), [event("9")], None).unwrap();
    store.start_over(&a()).unwrap();
    drop(store);
    let mut store = open(&place);
    store.add(&b(), [event("3"), event("4")], None).unwrap();
    store.add(&a(), [event("1")], None).unwrap();
    for file in [a(), b()] {
        store.finish(&file).unwrap();
    }
    store.end().unwrap();
    assert_eq!(
        (ids(&path), ids(&folder.path().join("events_b.ndjson"))),
        (vec!["1".to_owned()], vec!["3".to_owned(), "4".to_owned()])
    );
}

#[test]
fn a_file_that_is_done_does_not_wait_for_the_others() {
    let (folder, place, path) = begun();
    let mut store = open(&place);
    store.add(&b(), [event("3")], None).unwrap();
    store.add(&a(), [event("2")], None).unwrap();
    store.finish(&a()).unwrap();
    store.commit_done().unwrap();
    assert!(store.add(&a(), [event("9")], None).is_err(), "it is done");
    assert_eq!(store.totals().events, 3);
    while !store.is_sealed() {
        thread::yield_now();
    }
    store.commit_done().unwrap();
    assert!(!path.exists(), "first the word, then the deed");
    store.finish(&Entry::new("events_c.ndjson", None)).unwrap();
    store.commit_done().unwrap();
    while !store.is_sealed() {
        thread::yield_now();
    }
    store.commit_done().unwrap();
    assert_eq!(ids(&path), ["1", "2"]);
    drop(store);
    let store = open(&place);
    assert_eq!((store.closed().len(), store.open().count()), (2, 0), "the other was never committed");
    drop(store);
    assert!(!folder.path().join("events_b.ndjson.part").exists());

    // What belongs together is committed together.
    let mut store = open(&place);
    store.add(&b(), [event("3")], None).unwrap();
    store.finish(&Entry::new("events_d.ndjson", None)).unwrap();
    store.set_checkpoint(1.into());
    store.commit_done().unwrap();
    drop(store);
    let store = open(&place);
    assert_eq!(
        (store.open().map(|entry| entry.events).sum::<u64>(), store.checkpoint()),
        (1, Some(&1.into()))
    );
}

#[test]
fn killed_while_a_file_that_is_done_is_on_its_way_to_disk() {
    let (_folder, place, path) = begun();
    let mut store = open(&place);
    store.add(&a(), [event("2")], None).unwrap();
    store.finish(&a()).unwrap();
    store.commit_done().unwrap();
    // Something else moves the state on meanwhile.
    store.write().unwrap();
    drop(store);
    let store = open(&place);
    assert_eq!((store.open().count(), store.totals().events), (1, 1), "as of the commit before");
    drop(store);
    goes_on(&place, &path);
}

#[test]
fn a_page_that_fails_is_not_committed_and_the_others_are() {
    let (_folder, place, path) = begun();
    let mut store = open(&place);
    store.add(&a(), [event("2")], None).unwrap();
    store.settle().unwrap();
    drop(store);
    let store = open(&place);
    assert_eq!(store.totals().events, 2);
    drop(store);
    goes_on(&place, &path);
}

#[test]
fn a_follower_that_can_not_write_stays_at_the_place_of_its_last_commit() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::Folder(folder.path().to_owned());
    let form = Form { codec: Codec::Zstd, ..FORM };
    let follow = || Found::at(place.clone()).unwrap().open(about(Kind::Follow), form).unwrap();
    let mut store = follow();
    store.add(&a(), [event("1")], None).unwrap();
    store.set_checkpoint(1.into());
    store.commit().unwrap();
    store.add(&a(), [event("2")], None).unwrap();
    store.add(&b(), [event("3")], None).unwrap();
    store.finish(&a()).unwrap();
    store.set_checkpoint(2.into());
    // A frame of one of them can't be ended.
    let full = File::open(part_file::part(&place.path(&b().name))).unwrap();
    let mut draft = Draft::begin(&place.path(&b().name), Some(full), b(), form).unwrap();
    draft.add([event("3")], None).unwrap();
    store.drafts.insert(b().name, draft);
    assert!(store.commit().is_err());
    store.settle().unwrap();
    drop(store);
    let store = follow();
    assert_eq!((store.checkpoint(), store.totals().events), (Some(&1.into()), 1));
    assert_eq!(store.open().map(|entry| entry.stage).collect::<Vec<_>>(), [Stage::Open]);
}

/// The handles of a process are few: what a follower has to catch up with may lie in thousands of hours.
#[test]
fn many_files_at_once_need_few_handles() {
    for codec in [Codec::None, Codec::Gzip, Codec::Zstd] {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::Folder(folder.path().to_owned());
        let form = Form { codec, ..FORM };
        let open = || Found::at(place.clone()).unwrap().open(about(Kind::Follow), form).unwrap();
        let files: Vec<_> =
            (0..3 * AWAKE).map(|n| Entry::new(format!("events_{n:04}.ndjson"), None)).collect();
        let mut store = open();
        for round in 0..2 {
            for (n, file) in files.iter().enumerate() {
                store.add(file, [event(&format!("{n}-{round}")), malformed()], None).unwrap();
                assert!(store.drafts.values().filter(|draft| draft.is_awake()).count() <= AWAKE);
            }
        }
        store.commit().unwrap();
        drop(store);
        let mut store = open();
        assert!(!store.drafts.values().any(Draft::is_awake), "{codec:?}");
        for (n, file) in files.iter().enumerate() {
            store.add(file, [event(&format!("{n}-2"))], None).unwrap();
            store.finish(file).unwrap();
        }
        store.commit().unwrap();
        assert!(!store.drafts.values().any(Draft::is_awake), "{codec:?}");
        store.end().unwrap();
        for (n, file) in files.iter().enumerate() {
            let mut lines = Vec::new();
            let path = folder.path().join(&file.name);
            let bytes = fs::metadata(&path).unwrap().len();
            read(File::open(path).unwrap(), codec, bytes, None, |line| {
                lines.push(Event::from_json(str::from_utf8(line).unwrap()).unwrap().id().to_owned());
                Ok(())
            })
            .unwrap();
            assert_eq!(lines, [0, 1, 2].map(|round| format!("{n}-{round}")), "{codec:?}");
        }
    }
}

#[test]
fn damage_is_refused_and_left_as_it_is() {
    let (_folder, place, path) = begun();
    let part = part_file::part(&path);
    let whole = fs::read(&part).unwrap();
    fs::write(&part, &whole[..whole.len() - 1]).unwrap();
    refused(&place, &["events_a.ndjson.part is damaged", "bytes", "another folder"]);
    fs::write(&part, whole.iter().map(|byte| if *byte == b'1' { b'2' } else { *byte }).collect::<Vec<_>>())
        .unwrap();
    refused(&place, &["events_a.ndjson.part is damaged", "checksum"]);
    fs::remove_file(&part).unwrap();
    refused(&place, &["events_a.ndjson.part is damaged"]);
    fs::write(&part, &whole).unwrap();

    let state = fs::read(place.state()).unwrap();
    fs::write(place.state(), &state[..state.len() / 2]).unwrap();
    refused(&place, &["ledger.json is damaged: it is cut off", "restore it"]);
    fs::write(
        place.state(),
        String::from_utf8(state.clone()).unwrap().replace("\"events\":1", "\"events\":2"),
    )
    .unwrap();
    refused(&place, &["ledger.json is damaged", "checksum"]);
    fs::write(place.state(), "").unwrap();
    refused(&place, &["ledger.json is damaged"]);
    fs::write(place.state(), &state).unwrap();
    goes_on(&place, &path);

    let closed = fs::read(&path).unwrap();
    fs::write(&path, &closed[1..]).unwrap();
    refused(&place, &["events_a.ndjson is damaged", "bytes"]);
    fs::remove_file(&path).unwrap();
    refused(&place, &["events_a.ndjson is damaged: it is gone"]);
}

#[test]
fn a_file_that_no_entry_knows_is_left_alone() {
    let (folder, place, path) = begun();
    for name in ["events_x.ndjson", "events_a.ndjson", "events_x.ndjson.gz.malformed"] {
        fs::write(folder.path().join(name), "mine").unwrap();
        refused(&place, &[name, "move it away"]);
        fs::remove_file(folder.path().join(name)).unwrap();
    }
    fs::write(folder.path().join("notes.txt"), "mine").unwrap();
    fs::write(folder.path().join("notes.part"), "mine").unwrap();
    drop(open(&place));
    assert!(folder.path().join("notes.part").exists());
    fs::remove_file(place.state()).unwrap();
    fs::write(&path, "of an export whose ledger is gone").unwrap();
    refused(&place, &["events_a.ndjson"]);
}

#[test]
fn a_place_is_one_process_s() {
    let (folder, place, _) = begun();
    let store = open(&place);
    let failure = Found::at(place.clone()).unwrap_err();
    assert!(failure.code == Code::Stopped && failure.message.contains("another process"), "{failure:?}");
    drop(store);
    drop(Found::at(place).unwrap());
    assert!(!folder.path().join("ledger.lock").exists());

    let file = Place::File(folder.path().join("f"));
    let store = open(&file);
    assert!(Found::at(file.clone()).is_err());
    drop(store);
    assert!(!folder.path().join("f.part").exists());
}

mod one_file {
    use super::*;

    fn file() -> Entry {
        Entry::new("f", None)
    }

    fn begun() -> (TempDir, Place, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let place = Place::File(path.clone());
        fs::write(&path, "old").unwrap();
        fs::write(malformed_path(&path), "old").unwrap();
        let mut store = open(&place);
        store.add(&file(), [event("1")], None).unwrap();
        store.commit().unwrap();
        (folder, place, path)
    }

    #[track_caller]
    fn goes_on(place: &Place, path: &Path) {
        let mut store = open(place);
        store.add(&file(), [event("1"), event("2")], None).unwrap();
        store.finish(&file()).unwrap();
        store.end().unwrap();
        drop(store);
        assert_eq!(ids(path), ["1", "2"]);
        assert_eq!(names(path.parent().unwrap()), ["f"]);
    }

    #[test]
    fn killed_before_the_first_commit_or_while_it_grows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let place = Place::File(path.clone());
        let mut store = open(&place);
        store.add(&file(), [event("1")], None).unwrap();
        drop(store);
        assert_eq!(names(folder.path()), ["f.part"]);
        goes_on(&place, &path);

        let (_folder, place, path) = begun();
        let mut store = open(&place);
        store.add(&file(), [event("2"), event("3")], None).unwrap();
        drop(store);
        goes_on(&place, &path);
    }

    #[test]
    fn killed_around_the_renaming() {
        for step in 0..3 {
            let (folder, place, path) = begun();
            let mut store = open(&place);
            store.finish(&file()).unwrap();
            store.commit().unwrap();
            if step > 0 {
                store.give_names().unwrap();
            }
            if step > 1 {
                store.write().unwrap();
            }
            drop(store);
            let mut store = open(&place);
            assert_eq!((store.closed().len(), store.totals().events), (1, 1), "step {step}");
            // Whoever has nothing left to read says so.
            store.finish(&file()).unwrap();
            store.end().unwrap();
            drop(store);
            assert_eq!((names(folder.path()), ids(&path)), (vec!["f".to_owned()], vec!["1".to_owned()]));
        }
    }

    #[test]
    fn a_file_that_was_replaced_meanwhile_is_not_taken_for_the_export() {
        let (_folder, place, path) = begun();
        let mut store = open(&place);
        store.finish(&file()).unwrap();
        store.commit().unwrap();
        drop(store);
        fs::remove_file(part_file::part(&path)).unwrap();
        fs::write(&path, "something else").unwrap();
        let failure = try_open(&place).unwrap_err();
        assert!(failure.message.contains("f is damaged"), "{}", failure.message);
        assert_eq!(fs::read(&path).unwrap(), b"something else");
    }

    #[test]
    fn a_list_without_events_is_an_empty_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(part_file::part(&path), "left over").unwrap();
        let place = Place::File(path.clone());
        let mut store = open(&place);
        store.add(&file(), [], None).unwrap();
        store.finish(&file()).unwrap();
        store.end().unwrap();
        drop(store);
        assert_eq!((names(folder.path()), fs::read(&path).unwrap().len()), (vec!["f".to_owned()], 0));
    }

    #[test]
    fn one_that_is_left_before_its_first_page_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let part = folder.path().join("f.part");
        let place = Place::File(folder.path().join("f"));
        drop(open(&place));
        assert!(names(folder.path()).is_empty());
        fs::write(&part, "earlier").unwrap();
        let mut store = open(&place);
        store.end().unwrap();
        drop(store);
        assert_eq!(
            (names(folder.path()), fs::read(&part).unwrap()),
            (vec!["f.part".to_owned()], b"earlier".to_vec())
        );
    }
}
