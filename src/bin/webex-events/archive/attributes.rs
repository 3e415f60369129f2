//! Mode, owner and group of the files that are created beside an output.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::Path,
};

/// The access rights of a file. The default is the system's default for a new file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    mode: Option<u32>,
    owner: Option<(u32, u32)>,
}

/// The result of setting attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Applied {
    Fully,
    /// The owner or the group couldn't be set. The mode grants no more than the original.
    Narrowed,
}

impl Attributes {
    /// Readable and writable by the owner only.
    pub(crate) fn private() -> Self {
        Self { mode: Some(0o600), owner: None }
    }

    /// The attributes of the file at `path`, or the default if there is none.
    #[cfg(unix)]
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt;
        match fs::metadata(path) {
            Ok(file) => Ok(Self { mode: Some(file.mode() & 0o777), owner: Some((file.uid(), file.gid())) }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    #[cfg(not(unix))]
    #[expect(clippy::unnecessary_wraps, reason = "it can fail elsewhere")]
    pub(crate) fn of(_: &Path) -> io::Result<Self> {
        Ok(Self::default())
    }

    /// Opens a file for reading and writing; creates it with these attributes if it is missing.
    pub(crate) fn open(self, path: &Path) -> io::Result<File> {
        match self.create_new(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                OpenOptions::new().read(true).write(true).open(path)
            }
            result => result,
        }
    }

    /// Creates an empty file with these attributes. Replaces the content of an existing one. A symbolic link is
    /// replaced, so that nobody can direct the content, or the loss of it, to another file.
    pub(crate) fn create(self, path: &Path) -> io::Result<File> {
        match self.create_new(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_symlink() => {
                fs::remove_file(path)?;
                self.create_new(path)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let file = OpenOptions::new().read(true).write(true).open(path)?;
                // Set the attributes before the file has content that other users must not read.
                file.set_len(0)?;
                self.apply(&file)?;
                Ok(file)
            }
            result => result,
        }
    }

    fn create_new(self, path: &Path) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        if let Some(mode) = self.mode {
            use std::os::unix::fs::OpenOptionsExt;
            // Only the owner's bits, until owner and group are set.
            options.mode(mode & 0o600);
        }
        let file = options.open(path)?;
        self.apply(&file)?;
        Ok(file)
    }

    /// Sets these attributes on an open file, or narrower ones if owner and group can't be set.
    #[cfg(unix)]
    pub(super) fn apply(self, file: &File) -> io::Result<Applied> {
        use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
        let Some(mut mode) = self.mode else { return Ok(Applied::Fully) };
        let mut applied = Applied::Fully;
        if let Some((uid, gid)) = self.owner {
            let now = file.metadata()?;
            if (now.uid(), now.gid()) != (uid, gid) && fchown(file, Some(uid), Some(gid)).is_err() {
                applied = Applied::Narrowed;
                if now.gid() != gid && fchown(file, None, Some(gid)).is_err() {
                    mode = without_group(mode);
                }
            }
        }
        // Some file systems have no modes, so that there is nothing to keep.
        if file.set_permissions(fs::Permissions::from_mode(mode)).is_err() {
            applied = Applied::Narrowed;
        }
        Ok(applied)
    }

    #[cfg(not(unix))]
    #[expect(clippy::unnecessary_wraps, reason = "it can fail elsewhere")]
    pub(super) fn apply(self, _: &File) -> io::Result<Applied> {
        Ok(Applied::Fully)
    }
}

/// The mode of a file whose group couldn't be kept. The group's bits are cleared. Members of the original group are now
/// "others", so others keep only the bits that the group had too.
#[cfg(unix)]
fn without_group(mode: u32) -> u32 {
    mode & 0o700 | mode & mode >> 3 & 0o007
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_new_file_gets_the_mode_of_another_with_any_umask() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        fs::write(&old, "").unwrap();
        for wanted in [0o600, 0o640, 0o666, 0o604] {
            fs::set_permissions(&old, fs::Permissions::from_mode(wanted)).unwrap();
            Attributes::of(&old).unwrap().create(&new).unwrap();
            assert_eq!(mode(&new), wanted, "{wanted:o}");
            fs::remove_file(&new).unwrap();
        }
    }

    #[test]
    fn a_leftover_file_loses_its_content_and_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, "left over").unwrap();
        Attributes::private().create(&path).unwrap();
        assert_eq!((mode(&path), fs::read(&path).unwrap().len()), (0o600, 0));
    }

    #[test]
    fn the_file_that_a_link_leads_to_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("f.part"));
        fs::write(&file, "precious").unwrap();
        for target in ["file", "none"] {
            std::os::unix::fs::symlink(target, &link).unwrap();
            Attributes::default().create(&link).unwrap();
            assert!(!link.is_symlink());
            fs::remove_file(&link).unwrap();
        }
        assert_eq!(fs::read(&file).unwrap(), b"precious");
    }

    #[test]
    fn a_missing_file_has_the_attributes_of_any_new_file() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Attributes::of(&folder.path().join("none")).unwrap(), Attributes::default());
    }

    #[test]
    fn without_its_group_a_file_grants_no_more_than_before() {
        for (mode, narrowed) in
            [(0o640, 0o600), (0o644, 0o604), (0o664, 0o604), (0o604, 0o600), (0o600, 0o600)]
        {
            assert_eq!(without_group(mode), narrowed, "{mode:o}");
        }
    }
}
