//! Refuses arguments by which one file would have two roles, and paths that can't be written.

use std::path::Path;

use crate::{
    archive::{ArchiveError, Layout, Role, RoleFile, check_roles, fs},
    cli::Connection,
    error::Failure,
    run::output::Output,
};

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
    let credentials = &connection.credentials;
    for (role, path) in [(Role::Summary, summary), (Role::Checkpoint, checkpoint)] {
        if let Some(path) = path {
            files.extend(found(path, RoleFile::replaced(role, path))?);
        }
    }
    for (role, path) in [
        (Role::TokenFile, &credentials.token_file),
        (Role::TokenStore, &credentials.oauth_store),
        (Role::ClientSecret, &credentials.client_secret_file),
    ] {
        if let Some(path) = path {
            files.push(found(path, RoleFile::new(role, path))?);
        }
    }
    check_roles(&files, layout.as_ref())?;
    if let Some(path) = summary {
        found(path, fs::check_writable(path))?;
    }
    Ok(())
}

fn found<T>(path: &Path, result: std::io::Result<T>) -> Result<T, Failure> {
    result.map_err(|error| ArchiveError::Write { path: path.to_owned(), error }.into())
}
