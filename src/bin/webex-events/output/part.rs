//! A file that appears under its name only when it is whole.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use super::lines::Lines;

/// `FILE.part`, until it is renamed to `FILE`.
#[derive(Debug)]
pub(super) struct Part {
    path: PathBuf,
    draft: PathBuf,
    /// None as long as nothing was written: until then a part of an earlier run stays.
    lines: Option<Lines>,
}

impl Part {
    pub(super) fn of(path: PathBuf) -> Self {
        Self { draft: with_suffix(&path, ".part"), path, lines: None }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn draft(&self) -> &Path {
        &self.draft
    }

    /// Whether it could be written, found out by trying. Leaves nothing behind.
    pub(super) fn probe(&self) -> io::Result<()> {
        match OpenOptions::new().write(true).create_new(true).open(&self.draft) {
            Ok(_) => fs::remove_file(&self.draft),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                OpenOptions::new().append(true).open(&self.draft).map(drop)
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn push(&mut self, json: &str) -> io::Result<()> {
        self.begun()?.push(json)
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.lines.as_mut().map_or(Ok(()), Lines::flush)
    }

    /// Whether there is anything of this run.
    pub(super) fn is_begun(&self) -> bool {
        self.lines.is_some()
    }

    pub(super) fn written(&self) -> u64 {
        self.lines.as_ref().map_or(0, Lines::written)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.lines.as_ref().map_or(0, Lines::bytes)
    }

    /// Gives it its name, once it is on disk. If that fails, the part stays.
    pub(super) fn commit(&mut self) -> io::Result<()> {
        let draft = self.draft.clone();
        self.begun()?.flush()?;
        let file = self.begun()?.file();
        file.sync_all()?;
        if !is_same(file, &draft) {
            return Err(io::Error::other(format!("another process has replaced {}", self.draft.display())));
        }
        if let Ok(old) = fs::metadata(&self.path) {
            fs::set_permissions(&self.draft, old.permissions())?;
        }
        fs::rename(&self.draft, &self.path)?;
        sync_folder(&self.path)
    }

    /// Keeps the whole lines that have got through; without any, nothing is left behind.
    pub(super) fn abandon(&mut self) {
        let Some(lines) = &mut self.lines else { return };
        // Whatever fails here, there is an error to report already.
        let _ = lines.flush();
        let _ = lines.file().set_len(lines.bytes());
        let _ = lines.file().sync_all();
        if lines.written() == 0 && is_same(lines.file(), &self.draft) {
            let _ = fs::remove_file(&self.draft);
        }
    }

    fn begun(&mut self) -> io::Result<&mut Lines> {
        let lines = match self.lines.take() {
            Some(lines) => lines,
            None => Lines::new(self.anew()?),
        };
        Ok(self.lines.insert(lines))
    }

    /// A file of its own, so that two runs at once can't mix their lines.
    fn anew(&self) -> io::Result<File> {
        match fs::remove_file(&self.draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => OpenOptions::new().write(true).create_new(true).open(&self.draft),
        }
    }
}

pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Makes a rename last.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    match File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all()) {
        // Some file systems can't, and a folder may be writable but not readable.
        Err(error)
            if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::PermissionDenied)
                || error.kind() == io::ErrorKind::Unsupported =>
        {
            Ok(())
        }
        result => result,
    }
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "it can fail elsewhere")]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Whether `path` is still this file.
#[cfg(unix)]
fn is_same(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |metadata: &fs::Metadata| (metadata.dev(), metadata.ino());
    let (Ok(file), Ok(path)) = (file.metadata(), fs::symlink_metadata(path)) else { return false };
    id(&file) == id(&path)
}

/// An open file can't be replaced here.
#[cfg(not(unix))]
fn is_same(_: &File, _: &Path) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_name_appears_with_the_last_line() {
        let folder = tempfile::tempdir().unwrap();
        let mut part = Part::of(folder.path().join("f"));
        part.probe().unwrap();
        assert!(names(folder.path()).is_empty());
        part.push("1").unwrap();
        assert_eq!(names(folder.path()), ["f.part"]);
        part.commit().unwrap();
        assert_eq!(names(folder.path()), ["f"]);
        assert_eq!(fs::read(part.path()).unwrap(), b"1\n");
    }

    #[test]
    fn an_abandoned_part_keeps_its_lines_and_an_empty_one_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let mut part = Part::of(folder.path().join("f"));
        part.push("1").unwrap();
        part.abandon();
        assert_eq!((fs::read(part.draft()).unwrap(), part.written()), (b"1\n".to_vec(), 1));

        let mut next = Part::of(folder.path().join("f"));
        next.probe().unwrap();
        next.abandon();
        assert_eq!(fs::read(next.draft()).unwrap(), b"1\n", "a run without lines leaves it alone");
        next.begun().unwrap();
        next.abandon();
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn a_list_without_events_is_an_empty_file() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("f.part"), "left over").unwrap();
        Part::of(folder.path().join("f")).commit().unwrap();
        assert_eq!(names(folder.path()), ["f"]);
        assert!(fs::read(folder.path().join("f")).unwrap().is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn of_two_runs_at_once_only_one_gets_the_name() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = Part::of(folder.path().join("f"));
        let mut second = Part::of(folder.path().join("f"));
        first.push("1").unwrap();
        second.push("2").unwrap();
        assert!(first.commit().unwrap_err().to_string().contains("another process"));
        second.commit().unwrap();
        assert_eq!(fs::read(second.path()).unwrap(), b"2\n");
    }
}
