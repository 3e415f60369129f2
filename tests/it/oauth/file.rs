//! The token file: permissions, damage, and its position.

use std::{fs, path::Path, sync::Arc};

use webex_events::{Error, OAuth, TokenSource};

use super::{Folder, is_grant, rotating, tokens};
use crate::support::{Service, kind};

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_read_the_file_and_a_link_to_it_stays() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let service = rotating(|_| {}).await;
    let folder = Folder::with("r0");
    fs::set_permissions(folder.file(), fs::Permissions::from_mode(0o644)).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("link");
    symlink(folder.file(), &link).unwrap();
    let oauth = OAuth::new("client", "s3cret", &link).unwrap().base_url(service.url());
    assert_eq!(oauth.token(None).await.unwrap(), "a1".into());
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(folder.json()["refresh_token"], "r1");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.file()), 0o600);
    assert_eq!(folder.names(), ["token.json", "token.json.lock"]);
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn without_a_file_to_write_to_no_token_is_requested() {
    let service = rotating(|_| {}).await;
    for blocked in ["token.json.lock", "token.json.new"] {
        let folder = Folder::with("r0");
        fs::create_dir(folder.0.path().join(blocked)).unwrap();
        let oauth = folder.oauth(&service.url());
        for _ in 0..2 {
            let failed = oauth.token(None).await.unwrap_err();
            assert!(matches!(failed, Error::Store { .. }), "{failed:?}");
            assert!(failed.is_transient() && failed.is_renewal());
            assert!(failed.to_string().contains("token.json"), "{failed}");
            let source = std::error::Error::source(&failed).unwrap();
            assert!(source.downcast_ref::<std::io::Error>().is_some());
        }
        // One that needs no renewal is given all the same.
        folder.write(r#"{"access_token":"a0","refresh_token":"r0"}"#);
        assert_eq!(folder.oauth(&service.url()).token(None).await.unwrap(), "a0".into());
    }
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn tokens_that_could_not_be_written_are_written_by_the_next_request_without_a_grant() {
    let folder = Arc::new(Folder::with("r0"));
    let file = folder.file();
    let service = Service::start(move |call| {
        assert!(is_grant(call) && call.n == 0, "one grant is enough");
        // While the service responds, the file is replaced by something that can't be replaced.
        fs::remove_file(&file).unwrap();
        fs::create_dir_all(file.join("full")).unwrap();
        tokens(1)
    })
    .await;
    let oauth = folder.oauth(&service.url());
    for _ in 0..3 {
        let failed = oauth.token(None).await.unwrap_err();
        assert!(matches!(failed, Error::Store { .. }), "{failed:?}");
        assert_eq!(folder.names(), ["token.json", "token.json.lock"], "no draft remains");
    }
    fs::remove_dir_all(folder.file()).unwrap();
    assert_eq!(oauth.token(None).await.unwrap(), "a1".into());
    assert_eq!(folder.json()["refresh_token"], "r1");
    assert_eq!(service.count(), 1);
}

#[tokio::test]
async fn a_file_that_is_damaged_or_missing_is_written_again() {
    for damage in [Some("{\"refresh_tok"), Some(""), None] {
        let service = rotating(|_| {}).await;
        let folder = Folder::with("r0");
        let oauth = folder.oauth(&service.url());
        match damage {
            Some(text) => folder.write(text),
            None => fs::remove_file(folder.file()).unwrap(),
        }
        assert_eq!(oauth.token(None).await.unwrap(), "a1".into());
        assert_eq!(folder.json()["refresh_token"], "r1");
    }
}

#[test]
fn a_file_that_can_not_be_read_is_refused_at_construction() {
    let folder = Folder::with("r0");
    let missing = folder.0.path().join("nowhere.json");
    let refused = OAuth::new("client", "s3cret", &missing).unwrap_err();
    assert_eq!(kind(&refused), "Config");
    let text = refused.to_string();
    assert!(text.contains("nowhere.json") && text.contains("refresh_token"), "{text}");
    folder.write("{\"refresh_token\":\"r3fresh");
    let refused = OAuth::new("client", "s3cret", folder.file()).unwrap_err();
    assert!(kind(&refused) == "Config" && !refused.to_string().contains("r3fresh"), "{refused}");
    let refused = OAuth::new("client", "s3cret", folder.0.path()).unwrap_err();
    assert!(matches!(refused, Error::Store { .. }), "{refused:?}");
    folder.write("r0");
    for (id, secret) in [("", "s3cret"), (" \n", "s3cret"), ("client", ""), ("client", " ")] {
        assert_eq!(kind(&OAuth::new(id, secret, folder.file()).unwrap_err()), "Config");
    }
}

/// Set in the process of a test that changes its working directory.
const CHANGED: &str = "WEBEX_EVENTS_TEST_CHANGED";

#[tokio::test]
async fn a_relative_path_means_the_same_file_after_the_working_directory_has_changed() {
    const NAME: &str =
        "oauth::file::a_relative_path_means_the_same_file_after_the_working_directory_has_changed";
    if let Ok(url) = std::env::var(CHANGED) {
        let oauth = OAuth::new("client", "s3cret", "token.json").unwrap().base_url(url);
        std::env::set_current_dir("/").unwrap();
        assert_eq!(oauth.token(None).await.unwrap(), "a1".into());
        return;
    }
    let service = rotating(|_| {}).await;
    let folder = Folder::with("r0");
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args([NAME, "--exact"]).current_dir(folder.0.path()).env(CHANGED, service.url());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    assert_eq!(folder.json()["refresh_token"], "r1");
    assert_eq!(kind(&OAuth::new("client", "s3cret", "").unwrap_err()), "Config");
}
