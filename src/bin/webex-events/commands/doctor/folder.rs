//! Checks of the folder that an export would write to. They use a temporary folder inside it, which is removed.

use std::{
    fs::{self, File, TryLockError},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    process,
};

use crate::{
    archive::fs::sync_folder,
    commands::doctor::report::{CheckResult, Report},
    error::{Code, reason},
    ui::human,
};

/// Enough for some hours of events of a large organization.
const ROOM: u64 = 1 << 30;
/// Enough for a page.
const LEAST_ROOM: u64 = 64 << 20;

const ELSEWHERE: &str = "choose another path with -o";

pub(super) fn examine(path: &Path, report: &mut Report) {
    let folder = match folder(path) {
        Ok(OutputKind::Folder(folder)) => folder,
        Ok(OutputKind::Stream) => {
            let found = format!("{} is a stream: it is written directly", path.display());
            return report.add("output", &CheckResult::ok(found));
        }
        Err(verdict) => return report.add("output", &verdict),
    };
    let scratch = folder.join(format!(".webex-events-doctor-{}", process::id()));
    if let Err(error) = fs::create_dir(&scratch) {
        let found = format!("{} can't be written: {}", folder.display(), reason(&error));
        return report.add("output", &CheckResult::fail(Code::Output, found).advise(ELSEWHERE));
    }
    let steps = [
        ("output", written(&scratch, path, &folder)),
        ("fsync", synced(&scratch)),
        ("rename", renamed(&scratch)),
        ("lock", locked(&scratch)),
        ("space", space(&folder)),
    ];
    let removed = fs::remove_dir_all(&scratch);
    for (check, verdict) in steps {
        report.add(check, &verdict);
    }
    if let Err(error) = removed {
        let found = format!("{} can't be removed: {}", scratch.display(), reason(&error));
        report.add("cleanup", &CheckResult::ok(found).warn("remove it manually"));
    }
}

enum OutputKind {
    Folder(PathBuf),
    /// A device, a pipe or stdout.
    Stream,
}

/// The folder that `path` is, or would be in.
fn folder(path: &Path) -> Result<OutputKind, CheckResult> {
    if path == Path::new("-") {
        return Ok(OutputKind::Stream);
    }
    let parent = || match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let found = format!("{} can't be written", path.display());
    match fs::metadata(path) {
        Ok(there) if there.is_dir() => Ok(OutputKind::Folder(path.to_owned())),
        Ok(there) if there.is_file() => Ok(OutputKind::Folder(parent())),
        Ok(_) => Ok(OutputKind::Stream),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let parent = parent();
            if parent.is_dir() {
                return Ok(OutputKind::Folder(parent));
            }
            let found = format!("{found}: there is no folder {}", parent.display());
            Err(CheckResult::fail(Code::Output, found).advise(format!("create it, or {ELSEWHERE}")))
        }
        Err(error) => {
            Err(CheckResult::fail(Code::Output, format!("{found}: {}", reason(&error))).advise(ELSEWHERE))
        }
    }
}

fn failed(message: &str, error: &io::Error) -> CheckResult {
    CheckResult::fail(Code::Output, format!("{message}: {}", reason(error))).advise(ELSEWHERE)
}

fn written(scratch: &Path, path: &Path, folder: &Path) -> CheckResult {
    match fs::write(scratch.join("a"), "a") {
        Ok(()) if !path.exists() => {
            CheckResult::ok(format!("{} can be created in {}", path.display(), folder.display()))
        }
        Ok(()) => CheckResult::ok(format!("{} can be written", folder.display())),
        Err(error) => failed(&format!("{} can't be written", folder.display()), &error),
    }
}

fn synced(scratch: &Path) -> CheckResult {
    let sync = || {
        let mut file = File::create(scratch.join("a"))?;
        file.write_all(b"a")?;
        file.sync_all()?;
        sync_folder(&scratch.join("a"))
    };
    match sync() {
        Ok(()) => CheckResult::ok("files can be synced to disk"),
        Err(error) => failed("files can't be synced to disk", &error),
    }
}

fn renamed(scratch: &Path) -> CheckResult {
    let (old, new) = (scratch.join("new"), scratch.join("old"));
    let rename = || {
        fs::write(&old, "new")?;
        fs::write(&new, "old")?;
        fs::rename(&old, &new)?;
        fs::read(&new)
    };
    match rename() {
        Ok(text) if text == b"new" => CheckResult::ok("a file can replace another"),
        Ok(_) => CheckResult::fail(Code::Output, "a file that replaced another is missing").advise(ELSEWHERE),
        Err(error) => failed("a file can't replace another", &error),
    }
}

fn locked(scratch: &Path) -> CheckResult {
    let lock = || {
        let path = scratch.join("lock");
        let (first, second) = (File::create(&path)?, File::create(&path)?);
        first.try_lock()?;
        match second.try_lock() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        }
    };
    match lock() {
        Ok(true) => CheckResult::ok("locks work: two exports can't write at the same time"),
        Ok(false) => {
            CheckResult::fail(Code::Output, "locks don't work: two exports could write at the same time")
                .advise(ELSEWHERE)
        }
        Err(error) => failed("files can't be locked", &error),
    }
}

fn space(folder: &Path) -> CheckResult {
    match fs4::available_space(folder) {
        Ok(bytes) => room(bytes),
        Err(error) => CheckResult::ok(format!("the free space couldn't be determined: {}", reason(&error))),
    }
}

fn room(bytes: u64) -> CheckResult {
    let found = format!("{} free", human::size(bytes));
    match bytes {
        ..LEAST_ROOM => CheckResult::fail(Code::Output, found).advise(format!("make room, or {ELSEWHERE}")),
        LEAST_ROOM..ROOM => CheckResult::ok(found).warn("a million events take about a gigabyte"),
        ROOM.. => CheckResult::ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_free_space_is_a_warning_and_almost_none_a_failure() {
        for (bytes, expected) in [(0, "Fail"), (LEAST_ROOM, "Warn"), (ROOM, "outcome: Ok")] {
            let verdict = format!("{:?}", room(bytes));
            assert!(verdict.contains(expected), "{verdict}");
        }
    }

    #[test]
    fn the_folder_is_the_path_or_its_parent() {
        let folder_of = |path: &Path| match folder(path) {
            Ok(OutputKind::Folder(folder)) => folder.display().to_string(),
            Ok(OutputKind::Stream) => "stream".to_owned(),
            Err(verdict) => format!("{verdict:?}"),
        };
        let there = tempfile::tempdir().unwrap();
        let name = there.path().display().to_string();
        let file = there.path().join("f");
        assert_eq!(folder_of(there.path()), name);
        assert_eq!(folder_of(&file), name);
        fs::write(&file, "").unwrap();
        assert_eq!(folder_of(&file), name);
        assert_eq!(folder_of(Path::new("events.ndjson")), ".");
        assert_eq!(folder_of(Path::new("-")), "stream");
        assert!(folder_of(&there.path().join("a/b")).contains("there is no folder"));
    }
}
