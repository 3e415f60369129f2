//! Outputs that are locked, and outputs that can't be.

use super::*;

#[test]
fn an_output_is_written_by_one_process() {
    for layout in [Layout::Folder, Layout::File] {
        let folder = tempfile::tempdir().unwrap();
        let layout = layout(folder.path().join("out"));
        let archive = open(&layout);
        assert!(matches!(try_open(&layout), Err(ArchiveError::Locked { .. })));
        drop(archive);
        drop(open(&layout));
        assert!(names_below(folder.path()).iter().all(|name| !is_lock(name)), "nothing is left");
    }
}

#[test]
fn an_export_without_content_is_forgotten_for_another_request() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::Folder(folder.path().to_owned());
    drop(open(&layout));
    let claim = || Destination::claim(layout.clone(), ArchiveKind::Export).unwrap();
    let mut destination = claim();
    assert!(destination.ledger().is_some() && destination.forget_empty());
    let request = StoredRequest { from: Some("7d".to_owned()), ..StoredRequest::default() };
    let meta = ArchiveMeta { request, ..meta(ArchiveKind::Export) };
    let mut archive = destination.open(meta.clone(), OPTIONS).unwrap();
    assert_eq!(layout.read().unwrap().unwrap().meta, meta);
    archive.add(&a(), [event("1")], None).unwrap();
    archive.commit().unwrap();
    drop(archive);
    assert!(!claim().forget_empty(), "it has content");
}

fn is_lock(name: &str) -> bool {
    name.strip_suffix(".lock").is_some()
}

fn names_below(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            let mut names = vec![path.file_name().unwrap().to_str().unwrap().to_owned()];
            names.extend(path.is_dir().then(|| names_below(&path)).into_iter().flatten());
            names
        })
        .collect()
}

/// Two processes that made the same folder at the same time were both refused, or one with the wrong exit code.
#[test]
fn of_many_processes_that_start_together_one_writes_and_the_others_are_locked_out() {
    for layout in [Layout::Folder, Layout::File] {
        let folder = tempfile::tempdir().unwrap();
        let layout = layout(folder.path().join("out"));
        let barrier = std::sync::Barrier::new(8);
        let has_written = std::sync::atomic::AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    barrier.wait();
                    match try_open(&layout) {
                        Ok(mut archive) => {
                            if archive.complete().is_empty() {
                                archive.add(&a(), [event("1")], None).unwrap();
                            }
                            archive.finish(&a()).unwrap();
                            archive.end().unwrap();
                            has_written.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        }
                        Err(error) => assert!(matches!(error, ArchiveError::Locked { .. }), "{error}"),
                    }
                });
            }
        });
        assert!(has_written.into_inner() > 0);
        assert_eq!(ids(&layout.path(&a().name)), ["1"]);
        assert!(names_below(folder.path()).iter().all(|name| !is_lock(name)));
    }
}

#[test]
fn a_destination_that_is_not_opened_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for layout in [Layout::Folder, Layout::File] {
        drop(Destination::claim(layout(folder.path().join("out")), ArchiveKind::Export).unwrap());
        assert!(names(folder.path()).is_empty());
    }
}

#[test]
fn paths_that_can_not_be_written_are_refused_when_they_are_claimed() {
    let folder = tempfile::tempdir().unwrap();
    let claim = |layout: Layout| Destination::claim(layout, ArchiveKind::Export).unwrap_err();
    // A name that is short enough, but not with what comes after it.
    let long = "f".repeat(245);
    assert!(matches!(claim(Layout::File(folder.path().join(&long))), ArchiveError::Write { .. }));
    for layout in [Layout::Folder, Layout::File] {
        assert!(matches!(claim(layout(folder.path().join("none/f"))), ArchiveError::NoFolder { .. }));
    }
    assert!(names(folder.path()).is_empty());
}

#[test]
fn an_archive_of_another_kind_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::Folder(folder.path().to_owned());
    drop(follow_with(&layout, OPTIONS));
    refused(&layout, &["ledger.json belongs to a follower, not to an export into a folder"]);
}
