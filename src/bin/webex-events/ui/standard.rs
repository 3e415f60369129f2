//! Standard output and standard error, which the parent process may have closed.

use std::{
    fs::File,
    io::{self, Write},
};

/// Standard output, without the buffer of the standard library.
///
/// # Errors
///
/// Fails if it was closed when the program started, or isn't open for writing. The standard library hides both.
pub(crate) fn output() -> io::Result<File> {
    usable(duplicate(&io::stdout())?)
}

/// Standard error. Fails as [`output`] does.
pub(super) fn error() -> io::Result<File> {
    usable(duplicate(&io::stderr())?)
}

fn usable(file: File) -> io::Result<File> {
    if is_substitute(&file) {
        return Err(io::Error::new(
            io::ErrorKind::NotConnected,
            "it is closed, or it is /dev/null opened for reading and writing",
        ));
    }
    // Writes nothing. Fails if the file is open for reading only.
    (&file).write(&[]).map(|_| file)
}

#[cfg(unix)]
fn duplicate(stream: &impl std::os::fd::AsFd) -> io::Result<File> {
    Ok(stream.as_fd().try_clone_to_owned()?.into())
}

#[cfg(windows)]
fn duplicate(stream: &impl std::os::windows::io::AsHandle) -> io::Result<File> {
    Ok(stream.as_handle().try_clone_to_owned()?.into())
}

/// Returns true if the descriptor was closed. The runtime replaces a closed descriptor by `/dev/null`, open for reading
/// and writing; a shell opens `/dev/null` for writing only.
#[cfg(unix)]
fn is_substitute(mut file: &File) -> bool {
    use std::{fs, io::Read, os::unix::fs::MetadataExt};
    let device = |metadata: fs::Metadata| metadata.rdev();
    let is_null = match (file.metadata().map(device), fs::metadata("/dev/null").map(device)) {
        (Ok(file), Ok(null)) => file == null,
        _ => false,
    };
    is_null && file.read(&mut [0]).is_ok()
}

/// This system doesn't replace closed handles: using one fails.
#[cfg(not(unix))]
fn is_substitute(_: &File) -> bool {
    false
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs::OpenOptions;

    use super::*;

    #[test]
    fn a_file_counts_as_open_if_it_can_be_written() {
        let null = |read, write| OpenOptions::new().read(read).write(write).open("/dev/null").unwrap();
        usable(null(false, true)).unwrap();
        assert_eq!(usable(null(true, true)).unwrap_err().kind(), io::ErrorKind::NotConnected);
        usable(null(true, false)).unwrap_err();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        usable(File::create(&path).unwrap()).unwrap();
        usable(File::open(&path).unwrap()).unwrap_err();
    }
}
