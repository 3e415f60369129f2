//! The folder that an export would write to. Everything is tried in a folder of its own within, which is
//! gone afterwards.

use std::{
    fs::{self, File, TryLockError},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    process,
};

use indicatif::HumanBytes;

use crate::{
    commands::doctor::report::{Report, Verdict},
    error::{Code, reason},
};

/// Some hours of events of a large organization.
const ROOM: u64 = 1 << 30;
/// A page.
const LEAST_ROOM: u64 = 64 << 20;

const ELSEWHERE: &str = "choose another place with -o";

pub(super) fn examine(path: &Path, report: &mut Report) {
    let folder = match folder(path) {
        Ok(Place::Folder(folder)) => folder,
        Ok(Place::Stream) => {
            let found = format!("{} is a stream: it's written as it is", path.display());
            return report.add("output", &Verdict::ok(found));
        }
        Err(verdict) => return report.add("output", &verdict),
    };
    let scratch = folder.join(format!(".webex-events-doctor-{}", process::id()));
    if let Err(error) = fs::create_dir(&scratch) {
        let found = format!("{} can't be written: {}", folder.display(), reason(&error));
        return report.add("output", &Verdict::fail(Code::Output, found).advise(ELSEWHERE));
    }
    let steps = [
        ("output", written(&scratch, &folder)),
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
        report.add("traces", &Verdict::ok(found).warn("remove it by hand"));
    }
}

enum Place {
    Folder(PathBuf),
    /// A device, a pipe or stdout.
    Stream,
}

/// The folder that `path` is, or would be in.
fn folder(path: &Path) -> Result<Place, Verdict> {
    if path == Path::new("-") {
        return Ok(Place::Stream);
    }
    let parent = || match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let found = format!("{} can't be written", path.display());
    match fs::metadata(path) {
        Ok(there) if there.is_dir() => Ok(Place::Folder(path.to_owned())),
        Ok(there) if there.is_file() => Ok(Place::Folder(parent())),
        Ok(_) => Ok(Place::Stream),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let parent = parent();
            if parent.is_dir() {
                return Ok(Place::Folder(parent));
            }
            let found = format!("{found}: there is no folder {}", parent.display());
            Err(Verdict::fail(Code::Output, found).advise(format!("make it, or {ELSEWHERE}")))
        }
        Err(error) => {
            Err(Verdict::fail(Code::Output, format!("{found}: {}", reason(&error))).advise(ELSEWHERE))
        }
    }
}

fn failed(what: &str, error: &io::Error) -> Verdict {
    Verdict::fail(Code::Output, format!("{what}: {}", reason(error))).advise(ELSEWHERE)
}

fn written(scratch: &Path, folder: &Path) -> Verdict {
    match fs::write(scratch.join("a"), "a") {
        Ok(()) => Verdict::ok(format!("{} can be written", folder.display())),
        Err(error) => failed(&format!("{} can't be written", folder.display()), &error),
    }
}

fn synced(scratch: &Path) -> Verdict {
    let sync = || {
        let mut file = File::create(scratch.join("a"))?;
        file.write_all(b"a")?;
        file.sync_all()?;
        sync_folder(scratch)
    };
    match sync() {
        Ok(()) => Verdict::ok("what is written is brought to disk"),
        Err(error) => failed("what is written can't be brought to disk", &error),
    }
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "it can fail elsewhere")]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

fn renamed(scratch: &Path) -> Verdict {
    let (old, new) = (scratch.join("new"), scratch.join("old"));
    let rename = || {
        fs::write(&old, "new")?;
        fs::write(&new, "old")?;
        fs::rename(&old, &new)?;
        fs::read(&new)
    };
    match rename() {
        Ok(text) if text == b"new" => Verdict::ok("a file can replace another"),
        Ok(_) => Verdict::fail(Code::Output, "a file that replaces another isn't there").advise(ELSEWHERE),
        Err(error) => failed("a file can't replace another", &error),
    }
}

fn locked(scratch: &Path) -> Verdict {
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
        Ok(true) => Verdict::ok("locks hold: no two exports can write at once"),
        Ok(false) => {
            Verdict::fail(Code::Output, "locks don't hold: two exports could write at once").advise(ELSEWHERE)
        }
        Err(error) => failed("files can't be locked", &error),
    }
}

fn space(folder: &Path) -> Verdict {
    match fs4::available_space(folder) {
        Ok(bytes) => room(bytes),
        Err(error) => {
            Verdict::ok(format!("how much room there is couldn't be found out: {}", reason(&error)))
        }
    }
}

fn room(bytes: u64) -> Verdict {
    let found = format!("{} free", HumanBytes(bytes));
    match bytes {
        ..LEAST_ROOM => Verdict::fail(Code::Output, found).advise(format!("make room, or {ELSEWHERE}")),
        LEAST_ROOM..ROOM => Verdict::ok(found).warn("a million events take about a gigabyte"),
        ROOM.. => Verdict::ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_room_is_a_warning_and_none_a_failure() {
        for (bytes, expected) in [(0, "Fail"), (LEAST_ROOM, "Warn"), (ROOM, "outcome: Ok")] {
            let verdict = format!("{:?}", room(bytes));
            assert!(verdict.contains(expected), "{verdict}");
        }
    }

    #[test]
    fn the_folder_is_the_path_or_what_it_is_in() {
        let folder_of = |path: &Path| match folder(path) {
            Ok(Place::Folder(folder)) => folder.display().to_string(),
            Ok(Place::Stream) => "stream".to_owned(),
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
