//! Ranges that are read again, and every instant at which the program can be killed meanwhile.

use super::*;

const A: &str = "events_a.ndjson";
const LONGER: &str = "events_a2.ndjson";

/// A folder with one complete file, of two events and a malformed item.
fn complete() -> (TempDir, Layout, PathBuf) {
    let (folder, layout, path) = begun();
    let mut archive = open(&layout);
    archive.add(&a(), [event("2")], None).unwrap();
    archive.finish(&a()).unwrap();
    archive.end().unwrap();
    (folder, layout, path)
}

fn claim(layout: &Layout) -> Destination {
    Destination::claim(layout.clone(), ArchiveKind::Export).unwrap()
}

/// Lets the file be read again, into one of this name.
fn reread(layout: &Layout, new: &str, is_sound: bool) -> Result<(), ArchiveError> {
    let mut destination = claim(layout);
    let old = destination.ledger().unwrap().files.first().cloned();
    let new = Some(FileEntry::new(new, None));
    destination.reread(&[Reread { old, new, is_sound, is_kept: true }], |_| ())
}

fn kept(folder: &Path) -> Vec<String> {
    names(folder).into_iter().filter(|name| name.contains("replaced")).collect()
}

/// Reads the range: an event that the old file has, and a new one. Ends with every file in its place.
#[track_caller]
fn is_read(layout: &Layout, new: &str, expected: &[&str]) {
    let mut archive = open(layout);
    if archive.complete().is_empty() {
        archive.add(&FileEntry::new(new, None), [event("1"), event("3")], None).unwrap();
        archive.finish(&FileEntry::new(new, None)).unwrap();
        archive.end().unwrap();
    }
    drop(archive);
    let folder = layout.root();
    assert_eq!(ids(&folder.join(new)), expected);
    let data: Vec<_> = names(folder).into_iter().filter(|name| name.contains(".ndjson")).collect();
    assert_eq!(data, [new], "no other file is taken for data");
    assert_eq!(kept(folder), ["events_a.replaced-1", "events_a.replaced-1.malformed"]);
    let archive = open(layout);
    let entry = &archive.complete()[0];
    assert_eq!((archive.complete().len(), entry.duplicates, &entry.replaces), (1, 0, &None));
    assert_eq!((entry.ahead, archive.totals().events), (0, expected.len() as u64));
}

#[test]
fn the_new_file_has_the_events_of_a_sound_old_one_which_stays_until_then() {
    for new in [A, LONGER] {
        let (folder, layout, path) = complete();
        reread(&layout, new, true).unwrap();
        assert_eq!(ids(&path), ["1", "2"]);
        let mut archive = open(&layout);
        archive.add(&FileEntry::new(new, None), [event("1")], None).unwrap();
        archive.commit().unwrap();
        assert_eq!(ids(&path), ["1", "2"], "a reader still finds it");
        assert_eq!(archive.totals().events, 2);
        drop(archive);
        is_read(&layout, new, &["1", "2", "3"]);
        assert_eq!(ids(&folder.path().join("events_a.replaced-1")), ["1", "2"]);
    }
}

#[test]
fn a_damaged_file_is_replaced_by_what_is_read_and_kept() {
    for new in [A, LONGER] {
        let (folder, layout, path) = complete();
        fs::write(&path, "garbage").unwrap();
        reread(&layout, new, false).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"garbage");
        is_read(&layout, new, &["1", "3"]);
        assert_eq!(fs::read(folder.path().join("events_a.replaced-1")).unwrap(), b"garbage");
    }
}

#[test]
fn a_missing_file_is_read_again() {
    let (folder, layout, path) = complete();
    fs::remove_file(&path).unwrap();
    reread(&layout, A, false).unwrap();
    let mut archive = open(&layout);
    archive.add(&a(), [event("1")], None).unwrap();
    archive.finish(&a()).unwrap();
    archive.end().unwrap();
    assert_eq!(
        (ids(&path), kept(folder.path())),
        (vec!["1".to_owned()], vec!["events_a.replaced-1.malformed".to_owned()])
    );
}

#[test]
fn a_file_that_is_not_kept_is_replaced() {
    for new in [A, LONGER] {
        let (folder, layout, path) = complete();
        let mut destination = claim(&layout);
        let old = destination.ledger().unwrap().files.first().cloned();
        let file = FileEntry::new(new, None);
        let files = [Reread { old, new: Some(file.clone()), is_sound: true, is_kept: false }];
        destination.reread(&files, |_| ()).unwrap();
        drop(destination);
        let mut archive = open(&layout);
        archive.add(&file, [event("3")], None).unwrap();
        archive.finish(&file).unwrap();
        archive.record(|_| true).unwrap();
        assert_eq!(ids(&path), ["1", "2"]);
        archive.rename_parts().unwrap();
        archive.end().unwrap();
        drop(archive);
        assert_eq!(names(folder.path()), [new, "ledger.json"]);
        assert_eq!(ids(&folder.path().join(new)), ["1", "2", "3"]);
    }
}

#[test]
fn killed_before_the_ledger_says_so() {
    for new in [A, LONGER] {
        let (folder, layout, path) = complete();
        fs::copy(&path, layout::part(&folder.path().join(new))).unwrap();
        fs::write(folder.path().join("ledger.json.tmp"), "half a copy").unwrap();
        let archive = open(&layout);
        assert_eq!((archive.complete().len(), archive.open_files().count()), (1, 0));
        drop(archive);
        assert_eq!(names(folder.path()), [A, "events_a.ndjson.malformed", "ledger.json"]);
        assert_eq!(ids(&path), ["1", "2"]);
    }
}

#[test]
fn killed_at_each_step_after_the_new_file_is_complete() {
    for (new, steps) in [A, LONGER].into_iter().flat_map(|new| (0..=3).map(move |steps| (new, steps))) {
        let (folder, layout, path) = complete();
        reread(&layout, new, true).unwrap();
        let file = FileEntry::new(new, None);
        let mut archive = open(&layout);
        archive.add(&file, [event("3")], None).unwrap();
        archive.finish(&file).unwrap();
        archive.record(|_| true).unwrap();
        drop(archive);
        let at = |name: &str| folder.path().join(name);
        let renames = [
            (malformed_path(&path), at("events_a.replaced-1.malformed")),
            (path, at("events_a.replaced-1")),
            (layout::part(&at(new)), at(new)),
        ];
        for (from, to) in renames.iter().take(steps) {
            fs::rename(from, to).unwrap();
        }
        is_read(&layout, new, &["1", "2", "3"]);
    }
}

#[test]
fn a_repair_that_was_interrupted_is_repeated_after_more_damage() {
    let (folder, layout, path) = complete();
    reread(&layout, A, true).unwrap();
    let part = layout::part(&path);
    fs::write(&part, "short").unwrap();
    refused(&layout, &["events_a.ndjson.part is damaged"]);
    reread(&layout, A, false).unwrap();
    assert_eq!(fs::read(folder.path().join("events_a.replaced-2")).unwrap(), b"short");
    assert_eq!(ids(&path), ["1", "2"]);
    let mut archive = open(&layout);
    archive.add(&a(), [event("1"), event("2")], None).unwrap();
    archive.finish(&a()).unwrap();
    archive.end().unwrap();
    assert_eq!(ids(&folder.path().join("events_a.replaced-1")), ["1", "2"]);
}

#[test]
fn a_list_that_restarts_keeps_the_events_of_the_old_file() {
    let (_folder, layout, _) = complete();
    reread(&layout, A, true).unwrap();
    let mut archive = open(&layout);
    archive.add(&a(), [event("3"), malformed()], None).unwrap();
    archive.start_over(&a()).unwrap();
    let entry = archive.open_files().next().unwrap();
    assert_eq!((entry.events, entry.pages, &entry.malformed), (3, 0, &None));
    drop(archive);
    is_read(&layout, A, &["1", "2", "3"]);
}

#[test]
fn a_damaged_file_is_not_taken_for_a_sound_one() {
    for content in ["garbage".to_owned(), "x".repeat(1000)] {
        let (folder, layout, path) = complete();
        fs::write(&path, content).unwrap();
        let before = snapshot(folder.path());
        let error = reread(&layout, A, true).unwrap_err();
        assert!(matches!(error, ArchiveError::DamagedFile { .. }), "{error}");
        assert_eq!(snapshot(folder.path()), before);
    }
}

#[test]
fn a_complete_file_without_its_name_is_read_again() {
    for is_sound in [true, false] {
        let (folder, layout, path) = begun();
        let mut archive = open(&layout);
        archive.add(&a(), [event("2")], None).unwrap();
        archive.finish(&a()).unwrap();
        archive.record(|_| true).unwrap();
        drop(archive);
        reread(&layout, A, is_sound).unwrap();
        assert_eq!(ids(&path), ["1", "2"]);
        is_read(&layout, A, if is_sound { &["1", "2", "3"] } else { &["1", "3"] });
        assert_eq!(ids(&folder.path().join("events_a.replaced-1")), ["1", "2"]);
    }
}

#[test]
fn a_damaged_file_that_is_restored_from_a_copy_is_taken_back() {
    for pages in 0..=1 {
        let (folder, layout, path) = complete();
        let (before, copy) = (snapshot(folder.path()), fs::read(&path).unwrap());
        fs::write(&path, "garbage").unwrap();
        reread(&layout, A, false).unwrap();
        assert_eq!(claim(&layout).take_back().unwrap(), 0, "it is damaged");
        for _ in 0..pages {
            let mut archive = open(&layout);
            archive.add(&a(), [event("1"), malformed()], None).unwrap();
            archive.end().unwrap();
        }
        fs::write(&path, copy).unwrap();
        assert_eq!(claim(&layout).take_back().unwrap(), 1);
        assert_eq!(snapshot(folder.path()), before);
        assert_eq!(claim(&layout).take_back().unwrap(), 0);
    }
    // A sound file that lacks events isn't one of them.
    let (_folder, layout, _) = complete();
    reread(&layout, A, true).unwrap();
    assert_eq!(claim(&layout).take_back().unwrap(), 0);
    // Nor is the old file of a range that has become longer.
    let (_folder, layout, path) = complete();
    let copy = fs::read(&path).unwrap();
    fs::write(&path, "garbage").unwrap();
    reread(&layout, A, false).unwrap();
    let mut destination = claim(&layout);
    let old = destination.ledger().unwrap().files.first().cloned();
    let at = |text: &str| text.parse().unwrap();
    let longer = FileEntry::new(LONGER, Some((at("2026-01-05T09:00:00Z"), at("2026-01-05T10:00:00Z"))));
    let files = [Reread { old, new: Some(longer), is_sound: true, is_kept: false }];
    destination.reread(&files, |_| ()).unwrap();
    fs::write(&path, copy).unwrap();
    assert_eq!(destination.take_back().unwrap(), 0);
}

#[test]
fn a_file_that_waits_to_be_read_again_stays_in_each_ledger_that_is_written() {
    let (_folder, layout, path) = complete();
    let mut archive = open(&layout);
    archive.add(&b(), [event("4")], None).unwrap();
    archive.finish(&b()).unwrap();
    archive.end().unwrap();
    drop(archive);
    fs::write(&path, "garbage").unwrap();
    fs::write(layout.path(&b().name), "garbage").unwrap();
    let mut destination = claim(&layout);
    let old = destination.ledger().unwrap().files.clone();
    let again = |old: FileEntry| {
        let new = Some(FileEntry::new(old.name.clone(), None));
        Reread { old: Some(old), new, is_sound: false, is_kept: true }
    };
    let files: Vec<_> = old.into_iter().map(again).collect();
    destination.reread(&files, |_| ()).unwrap();
    drop(destination);
    let mut archive = open(&layout);
    assert!(archive.parts.values().all(|part| !part.is_open()), "there can be more files than handles");
    archive.add(&a(), [event("1")], None).unwrap();
    archive.finish(&a()).unwrap();
    while archive.complete().is_empty() {
        archive.commit_complete().unwrap();
        thread::yield_now();
    }
    drop(archive);
    let archive = open(&layout);
    assert_eq!((archive.complete().len(), archive.open_files().count()), (1, 1));
    assert!(archive.open_files().all(|entry| entry.replaces.is_some()));
}

#[test]
fn a_complete_file_that_can_not_get_its_name_stays_in_the_ledger() {
    let (_folder, layout, path) = complete();
    reread(&layout, A, true).unwrap();
    let mut archive = open(&layout);
    archive.add(&a(), [event("3")], None).unwrap();
    archive.finish(&a()).unwrap();
    // The name under which the old file is kept is taken, by something that a file can't replace.
    let obstacle = layout.path("events_a.replaced-1");
    fs::create_dir(&obstacle).unwrap();
    archive.commit().unwrap_err();
    archive.salvage().unwrap_err();
    drop(archive);
    fs::remove_dir(&obstacle).unwrap();
    assert_eq!(ids(&path), ["1", "2"]);
    is_read(&layout, A, &["1", "2", "3"]);
}

#[test]
fn killed_while_a_restored_file_is_taken_back() {
    let (folder, layout, path) = complete();
    let (before, copy) = (snapshot(folder.path()), fs::read(&path).unwrap());
    fs::write(&path, "garbage").unwrap();
    reread(&layout, A, false).unwrap();
    let mut archive = open(&layout);
    archive.add(&a(), [event("1"), malformed()], None).unwrap();
    archive.end().unwrap();
    drop(archive);
    fs::write(&path, copy).unwrap();
    // It can't remove what was read of the file, as if it were killed before that.
    let part = layout::part(&path);
    fs::rename(&part, folder.path().join("moved")).unwrap();
    fs::create_dir(&part).unwrap();
    claim(&layout).take_back().unwrap_err();
    fs::remove_dir(&part).unwrap();
    fs::remove_file(folder.path().join("moved")).unwrap();
    assert_eq!(open(&layout).open_files().count(), 1, "an ordinary run continues");
    assert_eq!(claim(&layout).take_back().unwrap(), 1);
    drop(open(&layout));
    assert_eq!(snapshot(folder.path()), before);
}

#[test]
fn a_file_to_read_again_is_not_forgotten_for_another_request() {
    let (_folder, layout, path) = complete();
    fs::remove_file(&path).unwrap();
    reread(&layout, A, false).unwrap();
    assert!(!claim(&layout).forget_empty());
}

/// Half an hour, and the hour that it becomes.
fn ranges() -> (FileEntry, FileEntry) {
    let at = |text: &str| format!("2026-01-05T{text}Z").parse().unwrap();
    let half = FileEntry::new(A, Some((at("09:00:00"), at("09:30:00"))));
    (half, FileEntry::new(LONGER, Some((at("09:00:00"), at("10:00:00")))))
}

/// The hour, which the service no longer has.
fn lost() -> FailedSlice {
    let range = ranges().1;
    let (start, end) = (range.start.unwrap(), range.end.unwrap());
    let (kind, message) = ("service".to_owned(), "gone".to_owned());
    FailedSlice { start, end, kind, message, is_beyond_retention: true }
}

/// A folder with the half hour, as the ledger is before its range becomes longer.
fn half() -> (TempDir, Layout, FileEntry) {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::Folder(folder.path().to_owned());
    let mut archive = open(&layout);
    archive.add(&ranges().0, [event("1"), malformed()], None).unwrap();
    archive.finish(&ranges().0).unwrap();
    archive.end().unwrap();
    let old = archive.complete()[0].clone();
    (folder, layout, old)
}

#[test]
fn a_sound_file_is_kept_if_the_service_no_longer_has_its_range() {
    for is_sound in [true, false] {
        let (folder, layout, old) = half();
        let before = names(folder.path());
        if !is_sound {
            fs::write(layout.path(A), "garbage").unwrap();
        }
        let new = Some(ranges().1);
        let files = [Reread { old: Some(old.clone()), new, is_sound, is_kept: false }];
        claim(&layout).reread(&files, |_| ()).unwrap();
        let mut archive = open(&layout);
        archive.set_failed(lost());
        archive.end().unwrap();
        assert_eq!(archive.complete().first(), Some(&old).filter(|_| is_sound));
        assert_eq!((archive.open_files().count(), archive.failed().count()), (usize::from(!is_sound), 1));
        drop(archive);
        if is_sound {
            assert_eq!(names(folder.path()), before);
            assert_eq!(layout.read().unwrap().unwrap().files, [old]);
        }
        drop(open(&layout));
    }
}

#[test]
fn a_file_is_not_kept_if_more_of_its_range_was_read() {
    let (_folder, layout, old) = half();
    let new = ranges().1;
    let files = [Reread { old: Some(old), new: Some(new.clone()), is_sound: true, is_kept: false }];
    claim(&layout).reread(&files, |_| ()).unwrap();
    let mut archive = open(&layout);
    archive.add(&new, [event("2")], None).unwrap();
    archive.set_failed(lost());
    archive.end().unwrap();
    assert_eq!(archive.open_files().map(|entry| entry.events).collect::<Vec<_>>(), [2]);
}

#[test]
fn a_slice_of_which_a_restored_file_has_a_part_remains_failed() {
    let (_folder, layout, old) = half();
    let copy = fs::read(layout.path(A)).unwrap();
    fs::write(layout.path(A), "garbage").unwrap();
    let files = [Reread { old: Some(old), new: Some(ranges().0), is_sound: false, is_kept: true }];
    claim(&layout).reread(&files, |ledger| ledger.failed.push(lost())).unwrap();
    fs::write(layout.path(A), copy).unwrap();
    let mut destination = claim(&layout);
    assert_eq!(destination.take_back().unwrap(), 1);
    assert_eq!(destination.ledger().unwrap().failed, [lost()]);
}
