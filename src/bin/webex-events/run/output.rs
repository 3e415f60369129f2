//! The output that `-o` names, by what is there.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use serde_json::Map;

use crate::{
    archive,
    error::{Code, Failure},
    ui::{messages, shutdown::Shutdown, standard},
};

/// The time that the reader of a pipe may take before a note says that it is missing.
const PATIENCE: Duration = Duration::from_secs(1);

/// An output.
#[derive(Debug)]
pub(crate) enum Output {
    /// Stdout, a device or a pipe, which is written directly, and its name.
    Stream(File, String),
    /// A file, which may not exist yet.
    File(PathBuf),
    /// A folder, which may not exist yet.
    Folder(PathBuf),
}

impl Output {
    /// The output at `path`. With slices it can only be a folder. Creates nothing.
    ///
    /// A named pipe is opened when another program reads from it, unless the program is stopped before.
    pub(crate) async fn of(
        path: &Path,
        has_slices: bool,
        has_range: bool,
        shutdown: &mut Shutdown,
    ) -> Result<Self, Failure> {
        let name = path.display().to_string();
        if is_stdout(path) {
            if has_slices {
                return Err(Failure::usage("--slice needs a folder: give one with -o"));
            }
            let file = standard::output().map_err(|error| unwritable("stdout", &error))?;
            return Ok(Self::Stream(file, "stdout".to_owned()));
        }
        // A symbolic link is kept: the file that it points to is replaced or created. Messages show the given path.
        let real = if path.is_symlink() {
            path.canonicalize()
                .or_else(|_| archive::fs::resolve(path))
                .map_err(|error| unwritable(&name, &error))?
        } else {
            path.to_owned()
        };
        match fs::metadata(&real).ok() {
            Some(old) if old.is_dir() && !has_slices && !has_range => Err(Failure::new(
                Code::Output,
                format!(
                    "{name} is a folder: give a file in it with -o, or add --from for one file per slice"
                ),
            )),
            Some(old) if old.is_dir() => Ok(Self::Folder(real)),
            None if has_slices || name.ends_with(['/', std::path::MAIN_SEPARATOR]) => Ok(Self::Folder(real)),
            Some(_) if has_slices => Err(Failure::new(
                Code::Output,
                format!("{name} is not a folder, and --slice needs one: choose another path with -o"),
            )),
            Some(old) if !old.is_file() => {
                let file = open(real, &name, shutdown).await?.map_err(|error| unwritable(&name, &error))?;
                Ok(Self::Stream(file, name))
            }
            Some(old) if old.permissions().readonly() => Err(Failure::new(
                Code::Output,
                format!("{name} is read-only: make it writable, or give another file with -o"),
            )),
            _ => Ok(Self::File(real)),
        }
    }
}

/// Opens a device or a pipe, which waits for the reader of a pipe.
async fn open(path: PathBuf, name: &str, shutdown: &mut Shutdown) -> Result<io::Result<File>, Failure> {
    let (sender, mut opened) = tokio::sync::oneshot::channel();
    // A thread of its own: one that waits for a reader can't be stopped, and the runtime has no more than it needs.
    let opening = thread::Builder::new().spawn(move || {
        let _ = sender.send(OpenOptions::new().write(true).open(path));
    });
    if let Err(error) = opening {
        return Ok(Err(error));
    }
    let lost = |_| Err(io::ErrorKind::Other.into());
    tokio::select! {
        biased;
        file = &mut opened => return Ok(file.unwrap_or_else(lost)),
        code = shutdown.wait() => return Err(unread(code, name)),
        () = tokio::time::sleep(PATIENCE) => {}
    }
    messages::note(&format!("waiting until a program reads from {name}"), Map::new());
    tokio::select! {
        biased;
        file = opened => Ok(file.unwrap_or_else(lost)),
        code = shutdown.wait() => Err(unread(code, name)),
    }
}

fn unread(code: Code, name: &str) -> Failure {
    Failure::new(code, format!("no program has read from {name}; nothing was written"))
}

fn unwritable(name: &str, error: &io::Error) -> Failure {
    Failure::unwritable(name, error, "choose another path with -o")
}

/// Returns true for `-`, and for a name that the system has for stdout.
fn is_stdout(path: &Path) -> bool {
    ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"].iter().any(|name| path == Path::new(name))
}
