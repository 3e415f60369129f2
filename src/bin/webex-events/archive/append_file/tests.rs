use std::fs;

use super::*;

fn create(path: &Path, codec: Codec) -> io::Result<AppendFile> {
    AppendFile::create(path.to_owned(), Attributes::default(), codec, Checksum::Sha256)
}

fn lines(file: &AppendFile, codec: Codec) -> Vec<String> {
    let mut lines = Vec::new();
    let opened = File::open(file.path()).unwrap();
    read(opened, codec, file.bytes(), None, |line| {
        lines.push(String::from_utf8(line.to_vec()).unwrap());
        Ok(())
    })
    .unwrap();
    lines
}

fn reopen(
    path: &Path,
    codec: Codec,
    bytes: u64,
    line: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<AppendFile> {
    AppendFile::reopen(path.to_owned(), (codec, Checksum::Sha256), bytes, [], line, |_| Ok(()))
}

#[test]
fn a_reopened_file_grows_and_knows_its_checksum() {
    for codec in [Codec::None, Codec::Gzip, Codec::Zstd] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.part");
        fs::write(&path, "left over, and longer than what comes").unwrap();
        let mut file = create(&path, codec).unwrap();
        file.append(b"1\n2\n").unwrap();
        file.finish_frame().unwrap();
        file.sync().unwrap();
        let committed = file.bytes();
        file.append(b"3\n").unwrap();
        file.finish_frame().unwrap();
        drop(file);

        let mut shown = 0;
        let count = |_: &[u8]| {
            shown += 1;
            Ok(())
        };
        let mut file = reopen(&path, codec, committed, count).unwrap();
        assert_eq!((shown, fs::metadata(&path).unwrap().len()), (2, committed), "{codec:?}");
        file.append(b"4\n").unwrap();
        file.finish_frame().unwrap();
        assert_eq!(lines(&file, codec), ["1", "2", "4"]);
        assert_eq!(file.digests().sha256().unwrap(), hex(&Sha256::digest(fs::read(&path).unwrap())));
    }
}

#[test]
fn a_file_is_rolled_back_to_the_end_of_a_frame() {
    for codec in [Codec::None, Codec::Gzip, Codec::Zstd] {
        let folder = tempfile::tempdir().unwrap();
        let mut file = create(&folder.path().join("f"), codec).unwrap();
        file.append(b"1\n").unwrap();
        assert_eq!(file.savepoint().is_some(), codec == Codec::None);
        file.finish_frame().unwrap();
        let (point, sha256) = (file.savepoint().unwrap(), file.digests().sha256());
        file.append(b"2\n").unwrap();
        file.rollback_to(&point).unwrap();
        assert_eq!((file.digests().sha256(), lines(&file, codec)), (sha256, vec!["1".to_owned()]));
    }
}

#[test]
fn a_file_that_lost_bytes_is_detected() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    fs::write(&path, "1\n2\n").unwrap();
    let open = |bytes| reopen(&path, Codec::None, bytes, |_| Ok(()));
    assert_eq!(open(5).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(open(3).unwrap_err().kind(), io::ErrorKind::InvalidData);
    open(4).unwrap();
}

#[test]
fn an_empty_compressed_file_has_a_frame() {
    let folder = tempfile::tempdir().unwrap();
    for codec in [Codec::None, Codec::Gzip, Codec::Zstd] {
        let mut file = create(&folder.path().join("f"), codec).unwrap();
        file.fill_empty().unwrap();
        file.fill_empty().unwrap();
        assert_eq!(file.bytes() > 0, codec != Codec::None);
        assert!(lines(&file, codec).is_empty());
    }
}

#[test]
fn either_checksum_is_kept_over_openings_and_rollbacks() {
    for (checksum, other) in [(Checksum::Crc32, Checksum::Sha256), (Checksum::Sha256, Checksum::Crc32)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let mut file =
            AppendFile::create(path.clone(), Attributes::default(), Codec::None, checksum).unwrap();
        file.append(b"1\n").unwrap();
        let point = file.savepoint().unwrap();
        let expected = (file.digests().crc32(), file.digests().sha256());
        assert_eq!(
            (expected.0.is_some(), expected.1.is_some()),
            (checksum == Checksum::Crc32, checksum == Checksum::Sha256)
        );
        file.append(b"2\n").unwrap();
        file.rollback_to(&point).unwrap();
        assert_eq!((file.digests().crc32(), file.digests().sha256()), expected);
        drop(file);
        // An earlier run may have kept the other one.
        let mut seen = None;
        let check = |digests: &Digests| {
            seen = Some((digests.crc32().is_some(), digests.sha256().is_some()));
            Ok(())
        };
        let file = AppendFile::reopen(path, (Codec::None, checksum), 2, [other], |_| Ok(()), check).unwrap();
        assert_eq!(seen, Some((true, true)));
        assert_eq!((file.digests().crc32(), file.digests().sha256()), expected);
    }
}

#[test]
fn a_failed_sync_ahead_of_a_commit_fails_the_commit_and_all_after_it() {
    for appends in [0, 1, 100] {
        let folder = tempfile::tempdir().unwrap();
        let mut file = create(&folder.path().join("f.part"), Codec::None).unwrap();
        file.append(b"1\n").unwrap();
        file.break_sync();
        for _ in 0..appends {
            // It fails as soon as the sync has ended, which may be later.
            let _ = file.append(b"2\n");
        }
        file.sync().unwrap_err();
        file.sync().unwrap_err();
    }
}

#[test]
fn a_file_that_is_synced_ahead_has_its_whole_content() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.part");
    let mut file = create(&path, Codec::None).unwrap();
    let line = [vec![b'1'; (1 << 20) - 1], vec![b'\n']].concat();
    for _ in 0..40 {
        file.append(&line).unwrap();
    }
    file.sync().unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), 40 << 20);
    assert_eq!(lines(&file, Codec::None).len(), 40);
}
