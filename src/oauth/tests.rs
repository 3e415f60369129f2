//! Renewals with a clock and a disk of the test's; `tests/it/oauth.rs` has the rest.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::Path,
    process::Command,
    time::Duration,
};

use tempfile::TempDir;
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

use super::{disk::Disk, renewer::LOCK_TIMEOUT, tokens::Tokens, *};
use crate::clock::simulated::Simulated;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Operation {
    Create,
    OpenLock,
    Open,
    Write,
    Sync,
    Rename,
    SyncFolder,
}

use Operation::{Create, Open, OpenLock, Rename, SyncFolder, Write};

/// A disk whose operations fail as the test says, with the error of the system.
#[derive(Debug, Default)]
struct FaultyDisk {
    errors: Mutex<BTreeMap<Operation, i32>>,
    /// The operations that succeeded, with the number of bytes written.
    done: Mutex<Vec<(Operation, usize)>>,
}

const EPERM: i32 = 1;
const EIO: i32 = 5;
const EACCES: i32 = 13;
const EBUSY: i32 = 16;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;

impl FaultyDisk {
    fn new(errors: &[(Operation, i32)]) -> &'static Self {
        let disk: &'static Self = Box::leak(Box::default());
        disk.fail(errors);
        disk
    }

    fn fail(&self, errors: &[(Operation, i32)]) {
        *self.errors.lock().unwrap() = errors.iter().copied().collect();
    }

    fn done(&self) -> Vec<(Operation, usize)> {
        self.done.lock().unwrap().clone()
    }

    fn operation<T>(
        &self,
        operation: Operation,
        bytes: usize,
        work: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        if let Some(&error) = self.errors.lock().unwrap().get(&operation) {
            return Err(io::Error::from_raw_os_error(error));
        }
        let result = work();
        if result.is_ok() {
            self.done.lock().unwrap().push((operation, bytes));
        }
        result
    }
}

impl Disk for &'static FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<File> {
        self.operation(Create, 0, || SystemDisk.create(path))
    }

    fn open_lock(&self, path: &Path) -> io::Result<File> {
        self.operation(OpenLock, 0, || SystemDisk.open_lock(path))
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        self.operation(Open, 0, || SystemDisk.open(path))
    }

    fn write(&self, file: &File, bytes: &[u8]) -> io::Result<()> {
        self.operation(Write, bytes.len(), || SystemDisk.write(file, bytes))
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.operation(Operation::Sync, 0, || SystemDisk.sync(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.operation(Rename, 0, || SystemDisk.rename(from, to))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.operation(SyncFolder, 0, || SystemDisk.sync_folder(folder))
    }
}

fn oauth(folder: &TempDir, clock: &'static Simulated) -> OAuth {
    lasting(folder, clock, "r\n")
}

fn lasting(folder: &TempDir, clock: &'static Simulated, file: &str) -> OAuth {
    with_disk(folder, clock, file, FaultyDisk::new(&[]))
}

fn with_disk(folder: &TempDir, clock: &'static Simulated, file: &str, disk: &'static FaultyDisk) -> OAuth {
    let path = folder.path().join("token");
    fs::write(&path, file).unwrap();
    OAuth::with("id", "secret".into(), TokenStore::open(&path, Box::new(disk)), Box::new(clock)).unwrap()
}

fn text(folder: &TempDir) -> String {
    fs::read_to_string(folder.path().join("token")).unwrap()
}

/// The refresh token in the file.
fn stored(folder: &TempDir) -> String {
    Tokens::from_file(&text(folder), Utc::now()).unwrap().refresh.secret().to_owned()
}

/// A service that gives `a1` and `s1`, `a2` and `s2` and so on, after it has called `at_grant`.
async fn service(at_grant: impl Fn() + Send + Sync + 'static) -> MockServer {
    let server = MockServer::start().await;
    let count = Mutex::new(0);
    let respond = move |_: &wiremock::Request| {
        at_grant();
        let mut count = count.lock().unwrap();
        *count += 1;
        let reply = format!(r#"{{"access_token":"a{count}","refresh_token":"s{count}"}}"#);
        ResponseTemplate::new(200).set_body_raw(reply, "application/json")
    };
    Mock::given(any()).respond_with(respond).mount(&server).await;
    server
}

async fn grants(server: &MockServer) -> usize {
    server.received_requests().await.unwrap().len()
}

#[tokio::test]
async fn no_grant_is_requested_if_a_step_of_the_commit_fails() {
    let server = service(|| {}).await;
    for (operation, error) in [
        (OpenLock, ENOSPC),
        (Create, ENOSPC),
        (Write, ENOSPC),
        (Operation::Sync, EIO),
        (Rename, EIO),
        (SyncFolder, EIO),
        // In place neither.
        (Write, EACCES),
        (Operation::Sync, EPERM),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::new(&[(operation, error)]);
        let oauth = with_disk(&folder, Simulated::new(0.0), "r\n", disk).base_url(server.uri());
        let failed = oauth.token(None).await.unwrap_err();
        assert!(matches!(failed, Error::Store { .. }) && failed.is_transient(), "{operation:?}: {failed:?}");
        assert_eq!((stored(&folder), grants(&server).await), ("r".to_owned(), 0), "{operation:?}");
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
        assert!(!names.contains(&"token.new".into()), "{operation:?}: {names:?}");
    }
}

#[tokio::test]
async fn a_rehearsal_leaves_the_text_of_the_file_as_it_is() {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(503)).mount(&server).await;
    for file in ["r\n", "{ \"refresh_token\" : \"r\" ,\n \"note\": [1] }"] {
        let folder = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::new(&[]);
        let oauth = with_disk(&folder, Simulated::new(0.0), file, disk).base_url(server.uri());
        assert!(oauth.token(None).await.is_err());
        assert_eq!(text(&folder), file);
        let done: Vec<_> = disk.done().into_iter().map(|(operation, _)| operation).collect();
        let room = [Create, Write, Operation::Sync];
        let commit = [&room[..], &[Write, Operation::Sync, Rename, SyncFolder]].concat();
        assert_eq!(done, [&[OpenLock, Open][..], &commit, &room].concat());
    }
}

#[tokio::test]
async fn tokens_that_can_not_be_written_after_the_grant_stay_in_memory() {
    for (operation, error) in
        [(Write, ENOSPC), (Operation::Sync, EIO), (Rename, EIO), (SyncFolder, EIO), (Write, EPERM)]
    {
        let disk = FaultyDisk::new(&[]);
        let server = service(move || disk.fail(&[(operation, error)])).await;
        let folder = tempfile::tempdir().unwrap();
        let oauth = with_disk(&folder, Simulated::new(0.0), "r\n", disk).base_url(server.uri());
        for _ in 0..2 {
            let failed = oauth.token(None).await.unwrap_err();
            assert!(matches!(failed, Error::Store { .. }), "{operation:?}: {failed:?}");
        }
        disk.fail(&[]);
        assert_eq!(oauth.token(None).await.unwrap(), "a1".into(), "{operation:?}");
        assert_eq!((stored(&folder), grants(&server).await), ("s1".to_owned(), 1), "{operation:?}");
    }
}

/// Renews twice with `oauth` of a `disk` that can only overwrite the file.
#[cfg(unix)]
async fn is_overwritten(errors: &[(Operation, i32)]) {
    use std::os::unix::fs::MetadataExt;
    let server = service(|| {}).await;
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::new(errors);
    let long = format!(r#"{{"refresh_token":"r","note":"{}"}}"#, "x".repeat(9000));
    let oauth = with_disk(&folder, Simulated::new(0.0), &long, disk).base_url(server.uri());
    let node = || fs::metadata(folder.path().join("token")).unwrap().ino();
    let before = node();
    assert_eq!(oauth.token(None).await.unwrap(), "a1".into(), "{errors:?}");
    assert_eq!(stored(&folder), "s1");
    // A removed note leaves nothing in the file.
    fs::write(folder.path().join("token"), r#"{"refresh_token":"s1"}"#).unwrap();
    assert_eq!(oauth.token(Some(&"a1".into())).await.unwrap(), "a2".into(), "{errors:?}");
    assert_eq!((stored(&folder), node()), ("s2".to_owned(), before));
    assert!(!text(&folder).contains("note"));
    // Each time in one write, followed by a sync, and never shorter than before.
    let done: Vec<_> = disk.done().into_iter().skip_while(|it| it.0 != Open).collect();
    let in_place: Vec<_> = done.windows(2).filter(|pair| pair[0].0 == Write && pair[0].1 > 4100).collect();
    assert!(in_place.iter().all(|pair| pair[1].0 == Operation::Sync), "{done:?}");
    assert!(!done.iter().any(|it| it.0 == Rename), "{done:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_can_not_be_replaced_is_overwritten() {
    // A mount point, a sticky folder.
    is_overwritten(&[(Rename, EBUSY)]).await;
    is_overwritten(&[(Rename, EPERM)]).await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_in_a_folder_that_can_not_be_written_to_is_overwritten() {
    is_overwritten(&[(OpenLock, EACCES), (Create, EACCES)]).await;
    is_overwritten(&[(OpenLock, EROFS), (Create, EROFS)]).await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_becomes_a_mount_point_during_the_grant_is_overwritten() {
    let disk = FaultyDisk::new(&[]);
    let server = service(move || disk.fail(&[(Rename, EBUSY)])).await;
    let folder = tempfile::tempdir().unwrap();
    let oauth = with_disk(&folder, Simulated::new(0.0), "r\n", disk).base_url(server.uri());
    assert_eq!(oauth.token(None).await.unwrap(), "a1".into());
    assert_eq!((stored(&folder), grants(&server).await), ("s1".to_owned(), 1));
}

#[cfg(unix)]
#[tokio::test]
async fn a_process_that_has_locked_the_file_itself_is_waited_for() {
    let server = service(|| {}).await;
    let folder = tempfile::tempdir().unwrap();
    let clock = Simulated::new(0.0);
    let oauth = with_disk(&folder, clock, "r\n", FaultyDisk::new(&[(Rename, EBUSY)])).base_url(server.uri());
    let other = File::open(folder.path().join("token")).unwrap();
    other.lock().unwrap();
    let start = clock.now();
    assert!(matches!(oauth.token(None).await, Err(Error::Transport(_))));
    assert_eq!((clock.now() - start, grants(&server).await), (LOCK_TIMEOUT, 0));
    drop(other);
    assert_eq!(oauth.token(None).await.unwrap(), "a1".into());
}

/// Set in the process of a test that has its own mounts: the service's URL and the file.
const MOUNTED: &str = "WEBEX_EVENTS_TEST_MOUNTED";

/// Runs this test again in a process with mounts of its own, where the token file is mounted on itself, as in a
/// container. If the system doesn't permit that, an injected EBUSY replaces the mount.
#[cfg(unix)]
#[tokio::test]
async fn a_bind_mounted_file_is_overwritten() {
    use std::os::unix::fs::MetadataExt;
    const NAME: &str = "oauth::tests::a_bind_mounted_file_is_overwritten";
    if let Ok(place) = std::env::var(MOUNTED) {
        let (url, file) = place.split_once(' ').unwrap();
        let other = format!("{file}.other");
        fs::write(&other, "").unwrap();
        let refused = fs::rename(&other, file).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ResourceBusy, "it isn't mounted");
        fs::remove_file(other).unwrap();
        let oauth = OAuth::new("id", "secret", file).unwrap().base_url(url);
        assert_eq!(oauth.token(None).await.unwrap(), "a1".into());
        assert_eq!(oauth.token(Some(&"a1".into())).await.unwrap(), "a2".into());
        return;
    }
    let server = service(|| {}).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    fs::write(&file, "r\n").unwrap();
    let node = || fs::metadata(&file).unwrap().ino();
    let before = node();
    let mounting = |command: &str| {
        let mut unshare = Command::new("unshare");
        let script = format!("mount --bind \"$0\" \"$0\" && {command}");
        unshare
            .args(["-rm", "sh", "-c", &script])
            .arg(&file)
            .env(MOUNTED, format!("{} {}", server.uri(), file.display()));
        unshare
    };
    if mounting("true").output().is_ok_and(|output| output.status.success()) {
        let mut command = mounting("exec \"$1\" --exact \"$2\" --nocapture");
        command.arg(std::env::current_exe().unwrap()).arg(NAME);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
        assert_eq!((stored(&folder), node()), ("s2".to_owned(), before));
        assert_eq!(grants(&server).await, 2);
    } else {
        #[expect(clippy::print_stderr, reason = "the test says which of its two forms it has run")]
        {
            eprintln!("a bind mount isn't permitted here: an injected EBUSY is tested instead");
        }
        is_overwritten(&[(Rename, EBUSY)]).await;
    }
}

#[tokio::test]
async fn a_renewal_ahead_of_time_that_fails_costs_nothing_and_is_repeated() {
    let server = MockServer::start().await;
    let answer = |status, times| {
        let reply = r#"{"access_token":"b","expires_in":3600,"refresh_token":"s"}"#;
        let answer = ResponseTemplate::new(status).set_body_raw(reply, "application/json");
        Mock::given(any()).respond_with(answer).up_to_n_times(times).mount(&server)
    };
    answer(503, 2).await;
    answer(200, 1).await;
    let folder = tempfile::tempdir().unwrap();
    let clock = Simulated::new(0.0);
    let oauth = lasting(
        &folder,
        clock,
        r#"{"access_token":"a","expires_at":"2026-01-01T01:00:00Z","refresh_token":"r"}"#,
    )
    .base_url(server.uri());
    for (seconds, token, requests) in [
        (0, "a", 0),
        (55 * 60 - 1, "a", 0),
        (1, "a", 1),
        (29, "a", 1),
        (1, "a", 2),
        (60, "b", 3),
        // The new one lasts an hour from the time of its request.
        (55 * 60 - 1, "b", 3),
        (1, "b", 4),
    ] {
        clock.advance(seconds * SECOND);
        assert_eq!(oauth.token(None).await.unwrap(), token.into());
        assert_eq!(grants(&server).await, requests);
    }
    clock.advance(5 * 60 * SECOND);
    assert!(oauth.token(None).await.is_err(), "it has expired, and the endpoint has no other");
    assert_eq!(grants(&server).await, 5);
}

#[tokio::test]
async fn a_lock_that_is_never_given_up_is_waited_for_for_two_minutes() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Simulated::new(0.0);
    let oauth = oauth(&folder, clock);
    let other = File::create(folder.path().join("token.lock")).unwrap();
    other.lock().unwrap();
    let start = clock.now();
    let error = oauth.token(None).await.unwrap_err();
    assert!(error.is_transient() && matches!(error, Error::Transport(_)), "{error:?}");
    assert_eq!(clock.now() - start, LOCK_TIMEOUT);
    drop(other);
    // The lock is free again; now nothing listens at the endpoint.
    let refused = oauth.base_url("http://127.0.0.1:1").token(None).await.unwrap_err();
    assert!(refused.is_transient());
    assert_eq!(clock.now() - start, LOCK_TIMEOUT);
}

#[tokio::test]
async fn settings_are_checked_by_the_first_grant() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Simulated::new(0.0);
    for (oauth, reason) in [
        (oauth(&folder, clock).base_url("http://webexapis.com/v1"), "travel in the clear"),
        (oauth(&folder, clock).base_url("nonsense"), "isn't an absolute URL"),
        (oauth(&folder, clock).proxy("http://["), "the proxy is not a URL"),
        (oauth(&folder, clock).root_certificate(b"nonsense"), "root certificate"),
    ] {
        match oauth.token(None).await {
            Err(Error::Config(text)) => assert!(text.contains(reason), "{text}"),
            other => panic!("{reason}: {other:?}"),
        }
        assert_eq!(text(&folder), "r\n");
    }
}
