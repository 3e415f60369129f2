//! Checks of the paths among the arguments: one file can't have two roles, and outputs must be writable.

use std::path::Path;

use crate::{
    archive::{ArchiveError, Layout, Role, RoleFile, check_roles, fs},
    cli::Connection,
    error::Failure,
    run::output::Output,
};

/// Advice for a summary that can't be written.
pub(crate) const SUMMARY_ELSEWHERE: &str = "choose another path with --summary";

/// Checks the files of a run before its first request.
pub(crate) fn check(
    output: &Output,
    connection: &Connection,
    summary: Option<&Path>,
    checkpoint: Option<&Path>,
) -> Result<(), Failure> {
    let layout = match output {
        Output::Stream(..) => None,
        Output::File(path) => Some(Layout::File(path.clone())),
        Output::Folder(path) => Some(Layout::Folder(path.clone())),
    };
    let mut files = match (output, &layout) {
        (Output::Stream(file, name), _) => RoleFile::of_stream(file, Path::new(name)).into_iter().collect(),
        (_, Some(layout)) => found(layout.root(), RoleFile::of_layout(layout))?,
        (_, None) => Vec::new(),
    };
    for (role, path) in [(Role::Summary, summary), (Role::Checkpoint, checkpoint)] {
        if let Some(path) = path {
            files.extend(found(path, RoleFile::replaced(role, path))?);
        }
    }
    if let Some(path) = checkpoint {
        files.push(found(path, RoleFile::beside(Role::Lock, path, ".lock"))?);
    }
    files.extend(of_connection(connection)?);
    check_roles(&files, layout.as_ref()).map_err(ArchiveError::from)?;
    if let Some(path) = summary
        && !is_in_new_folder(path, layout.as_ref())
    {
        fs::check_writable(path)
            .map_err(|error| Failure::unwritable(&path.display().to_string(), &error, SUMMARY_ELSEWHERE))?;
    }
    Ok(())
}

/// Returns whether a file is in the folder of the output, which the run makes before the file is written.
fn is_in_new_folder(path: &Path, layout: Option<&Layout>) -> bool {
    let Some(Layout::Folder(folder)) = layout else { return false };
    path.parent() == Some(folder) && !folder.exists()
}

/// Checks the files of a run that has no output, besides those in a folder that it reads.
pub(crate) fn check_reader(folder: Option<&Path>, connection: &Connection) -> Result<(), Failure> {
    let layout = folder.map(|folder| Layout::Folder(folder.to_owned()));
    let mut files = match &layout {
        Some(layout) => found(layout.root(), RoleFile::of_layout(layout))?,
        None => Vec::new(),
    };
    files.extend(of_connection(connection)?);
    Ok(check_roles(&files, layout.as_ref()).map_err(ArchiveError::from)?)
}

/// The files that are read for the connection. The one with the refresh token is replaced, too.
fn of_connection(connection: &Connection) -> Result<Vec<RoleFile>, Failure> {
    let credentials = &connection.credentials;
    let mut files = Vec::new();
    if let Some(path) = &credentials.oauth_store {
        files.push(found(path, RoleFile::new(Role::TokenStore, path))?);
        files.push(found(path, RoleFile::beside(Role::TokenStore, path, ".new"))?);
        files.push(found(path, RoleFile::beside(Role::Lock, path, ".lock"))?);
    }
    let read =
        [(Role::TokenFile, &credentials.token_file), (Role::ClientSecret, &credentials.client_secret_file)];
    let read = read.into_iter().filter_map(|(role, path)| Some((role, path.as_ref()?)));
    let certificates = connection.root_certificate.iter().map(|path| (Role::RootCertificate, path));
    for (role, path) in read.chain(certificates) {
        files.push(found(path, RoleFile::new(role, path))?);
    }
    Ok(files)
}

fn found<T>(path: &Path, result: std::io::Result<T>) -> Result<T, Failure> {
    result.map_err(|error| ArchiveError::Write { path: path.to_owned(), error }.into())
}
