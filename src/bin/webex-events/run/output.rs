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
    /// Stdout, a device or a pipe, which is written directly, and its name.
    Stream(File, String),
    /// A file, which may not exist yet.
    File(PathBuf),
    /// A folder, which may not exist yet.
    Folder(PathBuf),
}

impl Output {
    /// The output at `path`. With slices it can only be a folder. Creates nothing.
    pub(crate) fn of(path: &Path, has_slices: bool, has_range: bool) -> Result<Self, Failure> {
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
                let file =
                    OpenOptions::new().write(true).open(&real).map_err(|error| unwritable(&name, &error))?;
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

fn unwritable(name: &str, error: &io::Error) -> Failure {
    Failure::unwritable(name, error, "choose another path with -o")
}

/// Returns true for `-`, and for a name that the system has for stdout.
fn is_stdout(path: &Path) -> bool {
    ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"].iter().any(|name| path == Path::new(name))
}
