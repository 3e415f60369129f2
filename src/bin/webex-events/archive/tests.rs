//! Every instant at which the program can be killed, made by hand.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
};

use tempfile::TempDir;

use super::*;

mod claims;
mod one_file;
mod reread;
mod version_1;

const OPTIONS: WriteOptions = WriteOptions { codec: Codec::None, checksum: Checksum::Sha256, memory: None };

fn meta(kind: ArchiveKind) -> ArchiveMeta {
    ArchiveMeta {
        kind,
        request: StoredRequest::default(),
        from: None,
        to: None,
        slicing: None,
        waited_s: 0,
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

fn try_open(layout: &Layout) -> Result<Archive, ArchiveError> {
    let kind = if matches!(layout, Layout::File(_)) { ArchiveKind::File } else { ArchiveKind::Export };
    Destination::claim(layout.clone(), kind)?.open(meta(kind), OPTIONS)
}

fn open(layout: &Layout) -> Archive {
    try_open(layout).unwrap()
}

fn follow_with(layout: &Layout, options: WriteOptions) -> Archive {
    let kind = ArchiveKind::Follow;
    Destination::claim(layout.clone(), kind).unwrap().open(meta(kind), options).unwrap()
}

#[track_caller]
fn refused(layout: &Layout, words: &[&str]) {
    let before = snapshot(layout.ledger_path().parent().unwrap());
    let error = try_open(layout).unwrap_err();
    let message = error.to_string();
    for word in words {
        assert!(message.contains(word), "{word:?} isn't in {message:?}");
    }
    assert_eq!(snapshot(layout.ledger_path().parent().unwrap()), before, "nothing is touched");
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

fn a() -> FileEntry {
    FileEntry::new("events_a.ndjson", None)
}

fn b() -> FileEntry {
    FileEntry::new("events_b.ndjson", None)
}

/// A folder with one page of `a`, with a malformed item, committed.
fn begun() -> (TempDir, Layout, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::Folder(folder.path().to_owned());
    let mut archive = open(&layout);
    archive.add(&a(), [event("1"), malformed()], None).unwrap();
    archive.commit().unwrap();
    drop(archive);
    let path = folder.path().join("events_a.ndjson");
    (folder, layout, path)
}

/// Whatever was left: going on with the second page ends with both, once.
#[track_caller]
fn continues(layout: &Layout, path: &Path) {
    let mut archive = open(layout);
    archive.add(&a(), [event("1"), event("2")], None).unwrap();
    archive.finish(&a()).unwrap();
    archive.end().unwrap();
    assert_eq!(ids(path), ["1", "2"]);
    let folder = path.parent().unwrap();
    assert_eq!(fs::read_to_string(malformed_path(path)).unwrap().lines().count(), 1);
    drop(archive);
    assert_eq!(names(folder), ["events_a.ndjson", "events_a.ndjson.malformed", "ledger.json"]);
    let archive = open(layout);
    assert_eq!((archive.complete().len(), archive.open_files().count(), archive.is_dirty), (1, 0, false));
    assert_eq!((archive.totals().events, archive.totals().malformed), (2, 1));
}

#[test]
fn killed_before_the_first_commit() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::Folder(folder.path().join("new"));
    let mut archive = open(&layout);
    archive.add(&a(), [event("0"), malformed()], None).unwrap();
    drop(archive);
    let mut archive = open(&layout);
    assert_eq!(names(&folder.path().join("new")), ["ledger.json", "ledger.lock"]);
    archive.add(&a(), [event("1"), malformed()], None).unwrap();
    drop(archive);
    let mut archive = open(&layout);
    archive.add(&a(), [event("1"), malformed()], None).unwrap();
    archive.commit().unwrap();
    drop(archive);
    continues(&layout, &folder.path().join("new/events_a.ndjson"));
}

#[test]
fn killed_while_a_part_file_grows() {
    let (_folder, layout, path) = begun();
    let mut archive = open(&layout);
    archive.add(&a(), [event("2"), malformed(), event("3")], None).unwrap();
    archive.add(&b(), [event("4"), malformed()], None).unwrap();
    drop(archive);
    continues(&layout, &path);
}

#[test]
fn killed_in_the_middle_of_a_line() {
    let (_folder, layout, path) = begun();
    for path in [layout::part(&path), layout::part(&malformed_path(&path))] {
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text + "{\"id\":").unwrap();
    }
    continues(&layout, &path);
}

#[test]
fn killed_while_the_ledger_is_written() {
    let (folder, layout, path) = begun();
    fs::write(folder.path().join("ledger.json.tmp"), "{\n\"web").unwrap();
    continues(&layout, &path);
}

#[test]
fn killed_after_the_commit_of_a_complete_file() {
    for renamed in 0..=2 {
        let (folder, layout, path) = begun();
        let mut archive = open(&layout);
        archive.add(&a(), [event("2")], None).unwrap();
        archive.finish(&a()).unwrap();
        archive.record(|_| true).unwrap();
        drop(archive);
        assert!(layout::part(&path).exists() && !path.exists());
        for path in [malformed_path(&path), path.clone()].iter().take(renamed) {
            fs::rename(layout::part(path), path).unwrap();
        }
        let mut archive = open(&layout);
        assert_eq!((archive.complete().len(), archive.is_dirty), (1, false), "{renamed} renamed");
        archive.end().unwrap();
        drop(archive);
        assert_eq!(ids(&path), ["1", "2"]);
        assert_eq!(names(folder.path()), ["events_a.ndjson", "events_a.ndjson.malformed", "ledger.json"]);
        assert_eq!(open(&layout).complete().len(), 1);
    }
}

#[test]
fn killed_after_the_rename() {
    let (_folder, layout, path) = begun();
    let mut archive = open(&layout);
    archive.finish(&a()).unwrap();
    archive.commit().unwrap();
    assert!(path.exists(), "one commit does both");
    drop(archive);
    let archive = open(&layout);
    assert_eq!((archive.complete().len(), archive.totals().events), (1, 1));
}

/// The state and the name of a file were two commits.
#[test]
fn a_complete_file_costs_one_write_of_the_ledger() {
    let (_folder, layout, path) = begun();
    let mut archive = open(&layout);
    archive.finish(&a()).unwrap();
    archive.commit().unwrap();
    let ledger = fs::read(layout.ledger_path()).unwrap();
    fs::remove_file(layout.ledger_path()).unwrap();
    archive.end().unwrap();
    assert!(path.exists() && !layout.ledger_path().exists(), "nothing is written again");
    assert!(String::from_utf8(ledger).unwrap().contains(r#""stage":"complete""#));
}

#[test]
fn the_power_fails_before_a_name_is_on_disk() {
    let (_folder, layout, path) = begun();
    let mut archive = open(&layout);
    archive.finish(&a()).unwrap();
    archive.end().unwrap();
    drop(archive);
    for path in [&path, &malformed_path(&path)] {
        fs::rename(path, layout::part(path)).unwrap();
    }
    let archive = open(&layout);
    assert_eq!((archive.complete().len(), archive.totals().events), (1, 1));
    assert!(path.exists() && malformed_path(&path).exists());
}

#[test]
fn killed_while_a_file_restarts() {
    let (_folder, layout, path) = begun();
    let mut archive = open(&layout);
    archive.start_over(&a()).unwrap();
    assert_eq!(fs::metadata(layout::part(&path)).unwrap().len(), 0);
    drop(archive);
    // Between the ledger and the truncation.
    fs::write(layout::part(&path), "what was there before").unwrap();
    fs::write(layout::part(&malformed_path(&path)), "this too").unwrap();
    let mut archive = open(&layout);
    archive.add(&a(), [event("1"), malformed()], None).unwrap();
    archive.commit().unwrap();
    drop(archive);
    continues(&layout, &path);
}

#[test]
fn a_restarted_file_does_not_change_the_others() {
    let (folder, layout, path) = begun();
    let mut archive = open(&layout);
    archive.add(&b(), [event("3")], None).unwrap();
    archive.add(&a(), [event("9")], None).unwrap();
    archive.start_over(&a()).unwrap();
    drop(archive);
    let mut archive = open(&layout);
    archive.add(&b(), [event("3"), event("4")], None).unwrap();
    archive.add(&a(), [event("1")], None).unwrap();
    for file in [a(), b()] {
        archive.finish(&file).unwrap();
    }
    archive.end().unwrap();
    assert_eq!(
        (ids(&path), ids(&folder.path().join("events_b.ndjson"))),
        (vec!["1".to_owned()], vec!["3".to_owned(), "4".to_owned()])
    );
}

#[test]
fn a_complete_file_does_not_wait_for_the_others() {
    let (folder, layout, path) = begun();
    let mut archive = open(&layout);
    archive.add(&b(), [event("3")], None).unwrap();
    archive.add(&a(), [event("2")], None).unwrap();
    archive.finish(&a()).unwrap();
    archive.commit_complete().unwrap();
    assert!(archive.add(&a(), [event("9")], None).is_err(), "it is complete");
    assert_eq!(archive.totals().events, 3);
    while !archive.has_synced() {
        thread::yield_now();
    }
    assert!(!path.exists(), "update the ledger before renaming");
    archive.commit_complete().unwrap();
    assert_eq!(ids(&path), ["1", "2"]);
    drop(archive);
    let archive = open(&layout);
    assert_eq!(
        (archive.complete().len(), archive.open_files().count()),
        (1, 0),
        "the other was never committed"
    );
    drop(archive);
    assert!(!folder.path().join("events_b.ndjson.part").exists());

    // The files of one round are committed together.
    let mut archive = open(&layout);
    archive.add(&b(), [event("3")], None).unwrap();
    archive.finish(&FileEntry::new("events_d.ndjson", None)).unwrap();
    archive.set_checkpoint(1.into());
    archive.commit_complete().unwrap();
    drop(archive);
    let archive = open(&layout);
    assert_eq!(
        (archive.open_files().map(|entry| entry.events).sum::<u64>(), archive.checkpoint()),
        (1, Some(&1.into()))
    );
}

#[test]
fn killed_while_a_complete_file_is_synced() {
    let (_folder, layout, path) = begun();
    let mut archive = open(&layout);
    archive.add(&a(), [event("2")], None).unwrap();
    archive.finish(&a()).unwrap();
    archive.commit_complete().unwrap();
    // Another file is committed meanwhile.
    archive.write().unwrap();
    drop(archive);
    let archive = open(&layout);
    assert_eq!((archive.open_files().count(), archive.totals().events), (1, 1), "as of the commit before");
    drop(archive);
    continues(&layout, &path);
}

#[test]
fn a_page_that_fails_is_not_committed_and_the_others_are() {
    let (_folder, layout, path) = begun();
    let mut archive = open(&layout);
    archive.add(&a(), [event("2")], None).unwrap();
    archive.salvage().unwrap();
    drop(archive);
    let archive = open(&layout);
    assert_eq!(archive.totals().events, 2);
    drop(archive);
    continues(&layout, &path);
}

#[test]
fn a_follower_that_can_not_write_stays_at_its_last_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::Folder(folder.path().to_owned());
    let options = WriteOptions { codec: Codec::Zstd, ..OPTIONS };
    let follow = || follow_with(&layout, options);
    let mut archive = follow();
    archive.add(&a(), [event("1")], None).unwrap();
    archive.set_checkpoint(1.into());
    archive.commit().unwrap();
    archive.add(&a(), [event("2")], None).unwrap();
    archive.add(&b(), [event("3")], None).unwrap();
    archive.finish(&a()).unwrap();
    archive.set_checkpoint(2.into());
    // A frame of one of them can't be ended.
    archive.parts.get_mut(&b().name).unwrap().break_file();
    archive.commit().unwrap_err();
    archive.salvage().unwrap();
    drop(archive);
    let archive = follow();
    assert_eq!((archive.checkpoint(), archive.totals().events), (Some(&1.into()), 1));
    assert_eq!(archive.open_files().map(|entry| entry.stage).collect::<Vec<_>>(), [Stage::Open]);
}

/// The handles of a process are few: what a follower has to catch up with may lie in thousands of hours.
#[test]
fn many_open_files_need_few_handles() {
    for codec in [Codec::None, Codec::Gzip, Codec::Zstd] {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::Folder(folder.path().to_owned());
        let options = WriteOptions { codec, ..OPTIONS };
        let open = || follow_with(&layout, options);
        let files: Vec<_> =
            (0..3 * MAX_OPEN).map(|n| FileEntry::new(format!("events_{n:04}.ndjson"), None)).collect();
        let mut archive = open();
        for round in 0..2 {
            for (n, file) in files.iter().enumerate() {
                archive.add(file, [event(&format!("{n}-{round}")), malformed()], None).unwrap();
                assert!(archive.parts.values().filter(|part| part.is_open()).count() <= MAX_OPEN);
            }
        }
        archive.commit().unwrap();
        drop(archive);
        let mut archive = open();
        assert!(!archive.parts.values().any(PartFile::is_open), "{codec:?}");
        for (n, file) in files.iter().enumerate() {
            archive.add(file, [event(&format!("{n}-2"))], None).unwrap();
            archive.finish(file).unwrap();
        }
        archive.commit().unwrap();
        assert!(!archive.parts.values().any(PartFile::is_open), "{codec:?}");
        archive.end().unwrap();
        for (n, file) in files.iter().enumerate() {
            let mut lines = Vec::new();
            let path = folder.path().join(&file.name);
            let bytes = fs::metadata(&path).unwrap().len();
            read(fs::File::open(path).unwrap(), codec, bytes, None, |line| {
                lines.push(Event::from_json(str::from_utf8(line).unwrap()).unwrap().id().to_owned());
                Ok(())
            })
            .unwrap();
            assert_eq!(lines, [0, 1, 2].map(|round| format!("{n}-{round}")), "{codec:?}");
        }
    }
}

#[test]
fn damage_is_refused_and_not_changed() {
    let (_folder, layout, path) = begun();
    let part = layout::part(&path);
    let whole = fs::read(&part).unwrap();
    fs::write(&part, &whole[..whole.len() - 1]).unwrap();
    refused(&layout, &["events_a.ndjson.part is damaged", "its length is"]);
    fs::write(&part, whole.iter().map(|byte| if *byte == b'1' { b'2' } else { *byte }).collect::<Vec<_>>())
        .unwrap();
    refused(&layout, &["events_a.ndjson.part is damaged", "checksum"]);
    fs::remove_file(&part).unwrap();
    refused(&layout, &["events_a.ndjson.part is damaged"]);
    fs::write(&part, &whole).unwrap();

    let state = fs::read(layout.ledger_path()).unwrap();
    fs::write(layout.ledger_path(), &state[..state.len() / 2]).unwrap();
    refused(&layout, &["ledger.json is damaged: it is cut off or was changed"]);
    fs::write(
        layout.ledger_path(),
        String::from_utf8(state.clone()).unwrap().replace("\"events\":1", "\"events\":2"),
    )
    .unwrap();
    refused(&layout, &["ledger.json is damaged", "checksum"]);
    fs::write(layout.ledger_path(), "").unwrap();
    refused(&layout, &["ledger.json is damaged"]);
    fs::write(layout.ledger_path(), &state).unwrap();
    continues(&layout, &path);

    let closed = fs::read(&path).unwrap();
    fs::write(&path, &closed[1..]).unwrap();
    refused(&layout, &["events_a.ndjson is damaged", "its length is"]);
    fs::remove_file(&path).unwrap();
    refused(&layout, &["events_a.ndjson is damaged: it is missing"]);
}

#[test]
fn a_file_without_an_entry_is_not_changed() {
    let (folder, layout, path) = begun();
    for name in ["events_x.ndjson", "events_a.ndjson", "events_x.ndjson.gz.malformed"] {
        fs::write(folder.path().join(name), "mine").unwrap();
        refused(&layout, &[name, "is not in"]);
        fs::remove_file(folder.path().join(name)).unwrap();
    }
    fs::write(folder.path().join("notes.txt"), "mine").unwrap();
    fs::write(folder.path().join("notes.part"), "mine").unwrap();
    drop(open(&layout));
    assert!(folder.path().join("notes.part").exists());
    fs::remove_file(layout.ledger_path()).unwrap();
    fs::write(&path, "of an export whose ledger is gone").unwrap();
    refused(&layout, &["events_a.ndjson"]);
}

#[test]
fn a_slice_that_failed_is_in_the_ledger_until_its_file_is_complete() {
    let (_folder, layout, _) = begun();
    let at = |hour: u32| format!("2026-01-05T{hour:02}:00:00Z").parse::<DateTime<Utc>>().unwrap();
    let failed = |hour, is_beyond_retention| FailedSlice {
        start: at(hour),
        end: at(hour + 1),
        kind: "service".to_owned(),
        message: "400 Bad Request".to_owned(),
        is_beyond_retention,
    };
    let mut archive = open(&layout);
    for failed in [failed(2, false), failed(1, true)] {
        archive.set_failed(failed);
    }
    archive.end().unwrap();
    drop(archive);
    let mut archive = open(&layout);
    assert_eq!(archive.failed().cloned().collect::<Vec<_>>(), [failed(1, true), failed(2, false)]);
    archive.finish(&FileEntry::new("events_2.ndjson", Some((at(2), at(3))))).unwrap();
    archive.end().unwrap();
    drop(archive);
    assert_eq!(layout.read().unwrap().unwrap().failed, [failed(1, true)]);
}

#[cfg(unix)]
#[test]
fn only_its_owner_can_read_the_ledger_of_a_folder() {
    use std::os::unix::fs::PermissionsExt;
    let (_folder, layout, _) = begun();
    let mode = fs::metadata(layout.ledger_path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
