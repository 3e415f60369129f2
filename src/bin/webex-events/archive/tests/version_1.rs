//! Archives as version 1 of the format has them, left by programs that were killed. Their temporary files are called
//! `NAME.open` in the samples.

use super::*;

fn is_part(name: &str) -> bool {
    name.strip_suffix(".part").is_some()
}

/// A copy of one of the archives.
fn copy(name: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/program/fixtures/archive-1").join(name);
    for entry in fs::read_dir(fixture).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap().replace(".open", ".part");
        fs::copy(entry.path(), folder.path().join(name)).unwrap();
    }
    folder
}

fn claim(layout: Layout, kind: ArchiveKind) -> Destination {
    Destination::claim(layout, kind).unwrap()
}

#[test]
fn an_export_into_a_file_is_continued() {
    for (name, codec, events) in [("file", Codec::None, 30), ("file-zstd", Codec::Zstd, 10)] {
        let folder = copy(name);
        let path = folder.path().join("f.ndjson");
        let options = WriteOptions { codec, checksum: Checksum::Crc32, memory: None };
        let destination = claim(Layout::File(path.clone()), ArchiveKind::File);
        let meta = destination.ledger().unwrap().meta.clone();
        assert_eq!(
            (meta.request.from.as_deref(), meta.request.service.as_deref(), meta.compress),
            (Some("2026-10-05T00:00:00Z"), Some("of this machine"), codec)
        );
        let mut archive = destination.open(meta, options).unwrap();
        let file = archive.open_files().next().unwrap().clone();
        assert_eq!((file.events, file.cursor.is_some()), (events, true));
        archive.add(&file, [event("new")], None).unwrap();
        archive.commit().unwrap();
        // From now on it has a checksum.
        assert!(archive.open_files().all(|file| file.crc32.is_some() && file.sha256.is_none()));
        archive.finish(&file).unwrap();
        archive.end().unwrap();
        drop(archive);
        assert_eq!(names(folder.path()), ["f.ndjson"]);
    }
}

#[test]
fn an_export_into_a_folder_is_continued_from_each_stage() {
    let folder = copy("folder");
    let layout = Layout::Folder(folder.path().to_owned());
    let ledger = layout.read().unwrap().unwrap();
    let slicing = Slicing { seconds: 10_800, is_aligned: false, margin_ms: 1 };
    assert_eq!((ledger.meta.slicing, ledger.files.len()), (Some(slicing), 4));
    let text = fs::read_to_string(layout.ledger_path()).unwrap();
    for stage in ["open", "done", "closed"] {
        assert!(text.contains(&format!(r#""stage":"{stage}""#)), "the fixture has no file that is {stage}");
    }
    let mut archive = claim(layout.clone(), ArchiveKind::Export).open(ledger.meta, OPTIONS).unwrap();
    assert_eq!((archive.complete().len(), archive.open_files().count()), (3, 1));
    assert_eq!(names(folder.path()).iter().filter(|name| is_part(name)).count(), 1);
    let file = archive.open_files().next().unwrap().clone();
    archive.finish(&file).unwrap();
    archive.end().unwrap();
    drop(archive);
    let text = fs::read_to_string(layout.ledger_path()).unwrap();
    assert!(text.starts_with("{\n\"webex-events\":2,") && !text.contains("closed"), "{text}");
    assert_eq!(layout.read().unwrap().unwrap().files.iter().filter(|file| file.is_complete()).count(), 4);
}

#[test]
fn a_follower_is_continued() {
    let folder = copy("follow");
    let layout = Layout::Folder(folder.path().to_owned());
    let ledger = layout.read().unwrap().unwrap();
    let archive = claim(layout, ArchiveKind::Follow).open(ledger.meta, OPTIONS).unwrap();
    assert_eq!((archive.complete().len(), archive.open_files().count()), (5, 1));
    let checkpoint = archive.checkpoint().unwrap().clone();
    serde_json::from_value::<webex_events::Checkpoint>(checkpoint).unwrap();
    let names = names(folder.path());
    assert_eq!(names.iter().filter(|name| is_part(name)).count(), 1, "{names:?}");
}

#[test]
fn a_follower_s_checkpoint_is_read() {
    let folder = copy("follow-stdout");
    let ledger = Ledger::read(&folder.path().join("c.json")).unwrap().unwrap();
    assert_eq!(ledger.meta.kind, ArchiveKind::Follow);
    serde_json::from_value::<webex_events::Checkpoint>(ledger.checkpoint.unwrap()).unwrap();
}
