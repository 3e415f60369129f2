//! An export into one file.

use super::*;

fn file() -> FileEntry {
    FileEntry::new("f", None)
}

fn begun() -> (TempDir, Layout, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    let layout = Layout::File(path.clone());
    fs::write(&path, "old").unwrap();
    fs::write(malformed_path(&path), "old").unwrap();
    let mut archive = open(&layout);
    archive.add(&file(), [event("1")], None).unwrap();
    archive.commit().unwrap();
    (folder, layout, path)
}

#[track_caller]
fn continues(layout: &Layout, path: &Path) {
    let mut archive = open(layout);
    archive.add(&file(), [event("1"), event("2")], None).unwrap();
    archive.finish(&file()).unwrap();
    archive.end().unwrap();
    drop(archive);
    assert_eq!(ids(path), ["1", "2"]);
    assert_eq!(names(path.parent().unwrap()), ["f"]);
}

#[test]
fn killed_before_the_first_commit_or_while_it_grows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    let layout = Layout::File(path.clone());
    let mut archive = open(&layout);
    archive.add(&file(), [event("1")], None).unwrap();
    drop(archive);
    assert_eq!(names(folder.path()), ["f.part"]);
    continues(&layout, &path);

    let (_folder, layout, path) = begun();
    let mut archive = open(&layout);
    archive.add(&file(), [event("2"), event("3")], None).unwrap();
    drop(archive);
    continues(&layout, &path);
}

#[test]
fn killed_around_the_renaming() {
    for step in 0..3 {
        let (folder, layout, path) = begun();
        let mut archive = open(&layout);
        archive.finish(&file()).unwrap();
        archive.record(|_| true).unwrap();
        if step > 0 {
            archive.rename_parts().unwrap();
        }
        if step > 1 {
            // An older version could leave its lock, an empty temporary file.
            fs::write(layout::part(&path), "").unwrap();
        }
        drop(archive);
        let mut archive = open(&layout);
        assert_eq!((archive.complete().len(), archive.totals().events), (1, 1), "step {step}");
        // A run that has nothing left to read says so.
        archive.finish(&file()).unwrap();
        archive.end().unwrap();
        drop(archive);
        assert_eq!((names(folder.path()), ids(&path)), (vec!["f".to_owned()], vec!["1".to_owned()]));
    }
}

#[test]
fn another_file_with_the_final_name_is_not_mistaken_for_the_export() {
    let (_folder, layout, path) = begun();
    let mut archive = open(&layout);
    archive.finish(&file()).unwrap();
    archive.record(|_| true).unwrap();
    drop(archive);
    let part = layout::part(&path);
    let whole = fs::read(&part).unwrap();
    fs::remove_file(&part).unwrap();
    for other in [b"something else".to_vec(), vec![b' '; whole.len()]] {
        fs::write(&path, other).unwrap();
        refused(&layout, &["f is damaged"]);
    }
}

#[test]
fn a_list_without_events_is_an_empty_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    fs::write(layout::part(&path), "left over").unwrap();
    let layout = Layout::File(path.clone());
    let mut archive = open(&layout);
    archive.add(&file(), [], None).unwrap();
    archive.finish(&file()).unwrap();
    archive.end().unwrap();
    drop(archive);
    assert_eq!((names(folder.path()), fs::read(&path).unwrap().len()), (vec!["f".to_owned()], 0));
}

#[test]
fn a_run_that_ends_before_its_first_page_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let part = folder.path().join("f.part");
    let layout = Layout::File(folder.path().join("f"));
    drop(open(&layout));
    assert!(names(folder.path()).is_empty());
    fs::write(&part, "earlier").unwrap();
    let mut archive = open(&layout);
    archive.end().unwrap();
    drop(archive);
    assert_eq!(
        (names(folder.path()), fs::read(&part).unwrap()),
        (vec!["f.part".to_owned()], b"earlier".to_vec())
    );
}

/// The state has the name that the file had. It was taken for that of another file, and what had been written under
/// the old name was lost, with exit code 0.
#[test]
fn a_renamed_pair_of_part_and_state_is_the_same_export() {
    let (folder, layout, path) = begun();
    let new = folder.path().join("new");
    for suffix in [".part", ".cursor"] {
        fs::rename(disk::with_suffix(&path, suffix), disk::with_suffix(&new, suffix)).unwrap();
    }
    let renamed = Layout::File(new.clone());
    let mut archive = open(&renamed);
    assert_eq!(archive.open_files().map(|file| file.events).collect::<Vec<_>>(), [1]);
    // Both names are used by callers: that of the state, and that of the command.
    archive.add(&file(), [event("1"), event("2")], None).unwrap();
    archive.add(&FileEntry::new("new", None), [event("3")], None).unwrap();
    archive.finish(&FileEntry::new("NEW", None)).unwrap();
    archive.end().unwrap();
    drop(archive);
    assert_eq!(ids(&new), ["1", "2", "3"]);
    assert_eq!(names(folder.path()), ["f", "f.malformed", "new"]);
    drop(layout);
}

#[test]
fn a_part_whose_length_differs_from_the_state_is_not_renamed() {
    let (_folder, layout, path) = begun();
    let mut archive = open(&layout);
    archive.finish(&file()).unwrap();
    archive.record(|_| true).unwrap();
    let part = layout::part(&path);
    let mut longer = fs::read(&part).unwrap();
    longer.push(b' ');
    fs::write(&part, longer).unwrap();
    let error = archive.rename_parts().unwrap_err();
    assert!(error.to_string().contains("B and should be"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"old");
}

#[test]
fn a_changed_byte_is_detected_when_the_export_resumes() {
    let (_folder, layout, path) = begun();
    let part = layout::part(&path);
    let text = fs::read_to_string(&part).unwrap();
    fs::write(&part, text.replace("rooms", "roams")).unwrap();
    refused(&layout, &["f.part is damaged: its checksum doesn't match"]);
}

/// Older versions lock the temporary file itself.
#[test]
fn an_export_that_an_older_version_runs_is_not_disturbed() {
    let (_folder, layout, path) = begun();
    let held = fs::File::open(layout::part(&path)).unwrap();
    held.try_lock().unwrap();
    assert!(matches!(try_open(&layout), Err(ArchiveError::Locked { .. })));
    drop(held);
    drop(open(&layout));
}

#[test]
fn a_checkpoint_is_not_mistaken_for_the_state_of_an_export() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::File(folder.path().join("f"));
    let follower = meta(ArchiveKind::Follow);
    let ledger = Ledger { meta: follower, checkpoint: Some(1.into()), failed: Vec::new(), files: Vec::new() };
    ledger.write(&layout.ledger_path()).unwrap();
    refused(&layout, &["f.cursor belongs to a follower, not to an export into a file"]);
}

#[cfg(unix)]
mod modes {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    /// They could be read by others while the export ran, and the malformed items for ever.
    #[test]
    fn all_files_beside_a_private_file_are_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let layout = Layout::File(path.clone());
        // Left by a run that didn't know better.
        fs::write(layout::part(&path), "").unwrap();
        let mut archive = open(&layout);
        archive.add(&file(), [event("1"), malformed()], None).unwrap();
        archive.commit().unwrap();
        let found = names(folder.path());
        assert_eq!(found, ["f", "f.cursor", "f.lock", "f.malformed.part", "f.part"]);
        for name in found {
            assert_eq!(mode(&folder.path().join(&name)), 0o600, "{name}");
        }
        archive.finish(&file()).unwrap();
        archive.end().unwrap();
        drop(archive);
        for name in names(folder.path()) {
            assert_eq!(mode(&folder.path().join(&name)), 0o600, "{name}");
        }
    }

    #[test]
    fn the_mode_that_a_file_has_at_the_end_is_kept() {
        let (_folder, layout, path) = begun();
        let mut archive = open(&layout);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        archive.finish(&file()).unwrap();
        archive.end().unwrap();
        assert_eq!((mode(&path), ids(&path).len()), (0o640, 1));
    }

    #[test]
    fn owner_and_group_are_kept_if_that_is_permitted() {
        let (_folder, layout, path) = begun();
        if std::os::unix::fs::chown(&path, Some(12_345), Some(54_321)).is_err() {
            // Only the superuser can.
            return;
        }
        let destination = Destination::claim(layout, ArchiveKind::File).unwrap();
        assert_eq!(destination.warning(), None);
        let mut archive = destination.open(meta(ArchiveKind::File), OPTIONS).unwrap();
        archive.finish(&file()).unwrap();
        archive.end().unwrap();
        let found = fs::metadata(&path).unwrap();
        assert_eq!((found.uid(), found.gid(), ids(&path).len()), (12_345, 54_321, 1));
    }
}
