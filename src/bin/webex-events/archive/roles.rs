//! Roles of files. Each file must have only one: otherwise a summary could overwrite its export, or an export its token.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use super::{
    fs::{resolve, with_suffix},
    layout::Layout,
};

/// The purpose of a file that the program reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Output,
    /// The output until it is complete.
    Part,
    State,
    Malformed,
    Lock,
    Summary,
    Checkpoint,
    TokenFile,
    TokenStore,
    ClientSecret,
    RootCertificate,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Output => "the output",
            Self::Part => "the output until it is complete",
            Self::State => "the state of the export",
            Self::Malformed => "the file of malformed items",
            Self::Lock => "a lock file",
            Self::Summary => "the summary",
            Self::Checkpoint => "the checkpoint",
            Self::TokenFile => "the file with the token",
            Self::TokenStore => "the file with the refresh token",
            Self::ClientSecret => "the file with the client secret",
            Self::RootCertificate => "a root certificate",
        })
    }
}

/// A file that is used in a role.
#[derive(Clone, Debug)]
pub(crate) struct RoleFile {
    role: Role,
    path: PathBuf,
    identity: Identity,
}

/// The identity of a file, whatever path leads to it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    /// Device and inode, if there is a file.
    inode: Option<(u64, u64)>,
    /// The path with symbolic links resolved.
    path: PathBuf,
}

impl RoleFile {
    pub(crate) fn new(role: Role, path: &Path) -> io::Result<Self> {
        Ok(Self { role, path: path.to_owned(), identity: Identity::of(path)? })
    }

    /// An output that is already open. `None` for a character device, which may have several roles.
    #[cfg(unix)]
    pub(crate) fn of_stream(file: &fs::File, name: &Path) -> Option<Self> {
        use std::os::unix::fs::{FileTypeExt, MetadataExt};
        let file = file.metadata().ok().filter(|file| !file.file_type().is_char_device())?;
        let identity = Identity { inode: Some((file.dev(), file.ino())), path: name.to_owned() };
        Some(Self { role: Role::Output, path: name.to_owned(), identity })
    }

    /// An open output has no identity on this system.
    #[cfg(not(unix))]
    pub(crate) fn of_stream(_: &fs::File, _: &Path) -> Option<Self> {
        None
    }

    /// A file that is replaced as a whole, and its temporary name.
    pub(crate) fn replaced(role: Role, path: &Path) -> io::Result<Vec<Self>> {
        Ok(vec![Self::new(role, path)?, Self::beside(role, path, ".tmp")?])
    }

    /// The file at `path` with this suffix, after links are followed.
    pub(crate) fn beside(role: Role, path: &Path, suffix: &str) -> io::Result<Self> {
        Self::new(role, &with_suffix(&resolve(path)?, suffix))
    }

    /// The files of an archive. Those that are named by their ranges aren't included: see
    /// [`check_roles`].
    pub(crate) fn of_layout(layout: &Layout) -> io::Result<Vec<Self>> {
        let mut files = Self::replaced(Role::State, &layout.ledger_path())?;
        files.push(Self::new(Role::Lock, &layout.lock_path())?);
        match layout {
            Layout::Folder(folder) => files.push(Self::new(Role::Output, folder)?),
            Layout::File(path) => {
                let malformed = with_suffix(path, ".malformed");
                for (role, path) in [
                    (Role::Output, path),
                    (Role::Part, &with_suffix(path, ".part")),
                    (Role::Malformed, &malformed),
                    (Role::Malformed, &with_suffix(&malformed, ".part")),
                ] {
                    files.push(Self::new(role, path)?);
                }
            }
        }
        Ok(files)
    }
}

impl Identity {
    fn of(given: &Path) -> io::Result<Self> {
        let real = resolve(given)?;
        let named = real.file_name().map(|name| {
            let folder = real.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or(Path::new("."));
            folder.canonicalize().unwrap_or_else(|_| folder.to_owned()).join(name)
        });
        let path = named.unwrap_or_else(|| real.canonicalize().unwrap_or_else(|_| real.clone()));
        // Use `given`: only the system can follow a link without a path, such as `/dev/stdout` for a pipe.
        Ok(Self { inode: inode(given), path })
    }

    fn is(&self, other: &Self) -> bool {
        match (self.inode, other.inode) {
            (Some(one), Some(other)) => one == other,
            _ => same_path(&self.path, &other.path),
        }
    }
}

/// Compares two paths, at most one of which exists. Case is ignored on systems where file
/// names usually ignore it.
fn same_path(one: &Path, other: &Path) -> bool {
    one == other
        || cfg!(any(windows, target_os = "macos"))
            && one.to_string_lossy().to_lowercase() == other.to_string_lossy().to_lowercase()
}

#[cfg(unix)]
fn inode(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

/// On this system files are identified by their paths.
#[cfg(not(unix))]
fn inode(_: &Path) -> Option<(u64, u64)> {
    None
}

/// One file would have two roles.
#[derive(Debug, thiserror::Error)]
#[error("{} would be both {first} and {second}", .path.display())]
pub(crate) struct SharedPath {
    path: PathBuf,
    first: Role,
    second: Role,
}

/// Refuses two roles for one file, and a role for a name that an export into this folder would use for a range. The same
/// file may have the same role twice: a token that is read twice, for example.
pub(crate) fn check_roles(files: &[RoleFile], layout: Option<&Layout>) -> Result<(), SharedPath> {
    let shared =
        |file: &RoleFile, first| Err(SharedPath { path: file.path.clone(), first, second: file.role });
    for (at, file) in files.iter().enumerate() {
        let same = |other: &&RoleFile| other.role != file.role && other.identity.is(&file.identity);
        if let Some(other) = files.iter().take(at).find(same) {
            return shared(file, other.role);
        }
        if let Some(Layout::Folder(folder)) = layout
            && file.identity.path.file_name().and_then(|name| name.to_str()).is_some_and(Layout::is_data_name)
            && file.identity.path.parent() == folder.canonicalize().ok().as_deref()
        {
            return shared(file, Role::Output);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(files: &[RoleFile], layout: Option<&Layout>, words: &str) {
        let error = check_roles(files, layout).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }

    #[test]
    fn a_file_of_an_export_has_no_other_role() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::File(folder.path().join("f"));
        let with = |role, name: &str| {
            let mut files = RoleFile::of_layout(&layout).unwrap();
            files.extend(RoleFile::replaced(role, &folder.path().join(name)).unwrap());
            files
        };
        for name in ["f", "f.part", "f.cursor", "f.cursor.tmp", "f.lock", "f.malformed", "f.malformed.part"] {
            refused(&with(Role::Summary, name), None, "and the summary");
        }
        refused(&with(Role::TokenFile, "f"), None, "the output and the file with the token");
        refused(&with(Role::Summary, "f.cursor.tmp"), None, "the state of the export");
        for name in ["g", "f.json", "F.lock.json"] {
            check_roles(&with(Role::Summary, name), None).unwrap();
        }
    }

    #[test]
    fn two_roles_are_found_whatever_paths_lead_to_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let file = |role, path: &Path| RoleFile::new(role, path).unwrap();
        fs::create_dir(folder.path().join("sub")).unwrap();
        let around = folder.path().join("sub/../f");
        for exists in [false, true] {
            if exists {
                fs::write(&path, "").unwrap();
            }
            refused(&[file(Role::Output, &path), file(Role::Summary, &around)], None, "the summary");
        }
        let files = [file(Role::TokenFile, &path), file(Role::TokenFile, &around)];
        check_roles(&files, None).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn two_roles_are_found_through_links() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::os::unix::fs::symlink("token", at("link")).unwrap();
        let files = || {
            let file = |role, name| RoleFile::new(role, &at(name)).unwrap();
            [file(Role::TokenFile, "token"), file(Role::Output, "link")]
        };
        refused(&files(), None, "the output");
        fs::write(at("token"), "").unwrap();
        refused(&files(), None, "the output");
        fs::hard_link(at("token"), at("hard")).unwrap();
        let files = ["token", "hard"].map(at);
        let [token, hard] = files;
        let files =
            [RoleFile::new(Role::TokenFile, &token).unwrap(), RoleFile::new(Role::Output, &hard).unwrap()];
        refused(&files, None, "the output");
    }

    #[test]
    fn a_file_of_a_folder_has_no_other_role() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::Folder(folder.path().to_owned());
        let with = |name: &str| {
            let mut files = RoleFile::of_layout(&layout).unwrap();
            files.push(RoleFile::new(Role::Summary, &folder.path().join(name)).unwrap());
            files
        };
        for name in ["ledger.json", "ledger.lock", "events_1_2.ndjson", "events_1_2.ndjson.zst.part", "."] {
            refused(&with(name), Some(&layout), "and the summary");
        }
        check_roles(&with("summary.json"), Some(&layout)).unwrap();
    }
}
