//! The output that `-o` names, by what is there.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use crate::{
    archive,
    error::{Code, Failure},
    ui::standard,
};

/// An output.
#[derive(Debug)]
pub(crate) enum Output {
    /// Stdout, a device or a pipe, which is written as events come, and its name.
    Stream(File, String),
    /// A file, whether it is there or not.
    File(PathBuf),
    /// A folder, whether it is there or not.
    Folder(PathBuf),
}

impl Output {
    /// The output at `path`. With slices it can only be a folder. Makes nothing.
    pub(crate) fn of(path: &Path, has_slices: bool, has_range: bool) -> Result<Self, Failure> {
        let name = path.display().to_string();
        if is_stdout(path) {
            if has_slices {
                return Err(Failure::usage("--slice needs a folder: name one with -o"));
            }
            let file = standard::output().map_err(|error| unwritable("stdout", &error))?;
            return Ok(Self::Stream(file, "stdout".to_owned()));
        }
        // A link stays, and the file that it points to is replaced or created. Other paths are shown as they were given.
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
                format!("{name} is a folder: name a file in it with -o, or add --from for a file a slice"),
            )),
            Some(old) if old.is_dir() => Ok(Self::Folder(real)),
            None if has_slices || name.ends_with(['/', std::path::MAIN_SEPARATOR]) => Ok(Self::Folder(real)),
            Some(_) if has_slices => Err(Failure::new(
                Code::Output,
                format!("{name} is no folder, and --slice needs one: choose another place with -o"),
            )),
            Some(old) if !old.is_file() => {
                let file =
                    OpenOptions::new().write(true).open(&real).map_err(|error| unwritable(&name, &error))?;
                Ok(Self::Stream(file, name))
            }
            Some(old) if old.permissions().readonly() => Err(Failure::new(
                Code::Output,
                format!("{name} is read-only: make it writable, or name another file with -o"),
            )),
            _ => Ok(Self::File(real)),
        }
    }
}

fn unwritable(name: &str, error: &io::Error) -> Failure {
    Failure::unwritable(name, error, "choose another place with -o")
}

/// `-`, or a name that the system has for what is open already.
fn is_stdout(path: &Path) -> bool {
    ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"].iter().any(|name| path == Path::new(name))
}
