//! Where an export goes.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::Path,
};

use serde_json::{Map, Value, json};
use webex_events::{Event, MalformedItem};

use crate::{
    failure::{Code, Failure},
    output::{lines::Lines, part::Part},
    say,
};

mod lines;
mod part;

/// A file that is whole or not there, or a stream that is written as it comes.
#[derive(Debug)]
pub(crate) struct Output {
    events: Sink,
    name: String,
}

#[derive(Debug)]
enum Sink {
    Stream(Lines),
    File { events: Part, malformed: Part },
}

impl Output {
    /// Opens `path`, or stdout for `-`. Makes no file yet, but finds out that it can.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        if is_stdout(path) {
            let file = stdout().map_err(|error| unwritable("stdout", &error))?;
            return Ok(Self { events: Sink::Stream(Lines::new(file)), name: "stdout".to_owned() });
        }
        let (path, old) = match path.canonicalize().and_then(|path| Ok((fs::metadata(&path)?, path))) {
            Ok((old, path)) => (path, Some(old)),
            Err(_) => (path.to_owned(), fs::metadata(path).ok()),
        };
        match old {
            Some(old) if old.is_dir() => {
                return Err(Failure::new(
                    Code::Output,
                    format!("{name} is a folder: name a file in it with -o"),
                ));
            }
            Some(old) if !old.is_file() => {
                let file =
                    OpenOptions::new().write(true).open(&path).map_err(|error| unwritable(&name, &error))?;
                return Ok(Self { events: Sink::Stream(Lines::new(file)), name });
            }
            Some(old) if old.permissions().readonly() => {
                return Err(Failure::new(
                    Code::Output,
                    format!("{name} is read-only: make it writable, or name another file with -o"),
                ));
            }
            _ => {}
        }
        let malformed = Part::of(part::with_suffix(&path, ".malformed"));
        let events = Part::of(path);
        events.probe().map_err(|error| no_part(&events, &name, &error))?;
        Ok(Self { events: Sink::File { events, malformed }, name })
    }

    pub(crate) fn event(&mut self, event: &Event) -> io::Result<()> {
        match &mut self.events {
            Sink::Stream(lines) => lines.push(event.raw()),
            Sink::File { events, .. } => events.push(event.raw()),
        }
    }

    /// Keeps what isn't an event, from this page, where it can be found.
    pub(crate) fn malformed(&mut self, page: u64, item: &MalformedItem) -> io::Result<()> {
        let entry = [
            ("page", page.into()),
            ("index", item.index().into()),
            ("error", item.to_string().into()),
            ("raw", item.raw().into()),
        ];
        let entry: Map<String, Value> =
            entry.into_iter().map(|(key, value): (&str, Value)| (key.to_owned(), value)).collect();
        match &mut self.events {
            Sink::Stream(_) => {
                say::warning(&format!("an item that isn't an event: {}", json!(entry)), entry.clone());
                Ok(())
            }
            Sink::File { malformed, .. } => malformed.push(&json!(entry).to_string()),
        }
    }

    /// Writes what is buffered, for those who read along.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match &mut self.events {
            Sink::Stream(lines) => lines.flush(),
            Sink::File { events, malformed } => events.flush().and_then(|()| malformed.flush()),
        }
    }

    /// The list is complete: what was written is brought to disk and gets its name.
    pub(crate) fn commit(&mut self) -> io::Result<()> {
        match &mut self.events {
            Sink::Stream(lines) => {
                lines.flush()?;
                if is_file(lines.file()) { lines.file().sync_all() } else { Ok(()) }
            }
            Sink::File { events, malformed } => {
                if malformed.is_begun() {
                    malformed.commit()?;
                } else {
                    // From an export that this one replaces.
                    let _ = fs::remove_file(malformed.path());
                }
                events.commit()
            }
        }
    }

    /// The list isn't complete: what was written stays, but doesn't get its name.
    pub(crate) fn abandon(&mut self) {
        match &mut self.events {
            // Whatever fails here, there is an error to report already.
            Sink::Stream(lines) => drop(lines.flush()),
            Sink::File { events, malformed } => {
                events.abandon();
                malformed.abandon();
            }
        }
    }

    pub(crate) fn is_stdout(&self) -> bool {
        self.name == "stdout"
    }

    /// How many events have got through.
    pub(crate) fn written(&self) -> u64 {
        match &self.events {
            Sink::Stream(lines) => lines.written(),
            Sink::File { events, .. } => events.written(),
        }
    }

    /// How many bytes these have.
    pub(crate) fn bytes(&self) -> u64 {
        match &self.events {
            Sink::Stream(lines) => lines.bytes(),
            Sink::File { events, .. } => events.bytes(),
        }
    }

    /// Where a complete list is.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Where a list that isn't complete is.
    pub(crate) fn part_name(&self) -> String {
        match &self.events {
            Sink::Stream(_) => self.name.clone(),
            Sink::File { events, .. } => events.draft().display().to_string(),
        }
    }

    /// Where malformed items are.
    pub(crate) fn malformed_name(&self) -> String {
        match &self.events {
            Sink::Stream(_) => "stderr".to_owned(),
            Sink::File { malformed, .. } => malformed.path().display().to_string(),
        }
    }
}

fn unwritable(name: &str, error: &io::Error) -> Failure {
    Failure::new(Code::Output, format!("{name} can't be written: {error}; choose another place with -o"))
}

fn no_part(events: &Part, name: &str, error: &io::Error) -> Failure {
    let folder = events.path().parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if error.kind() == io::ErrorKind::NotFound => Failure::new(
            Code::Output,
            format!(
                "{name} can't be written: there is no folder {}; make it, or choose another place with -o",
                folder.display()
            ),
        ),
        _ => {
            unwritable(name, &io::Error::new(error.kind(), format!("{}: {error}", events.draft().display())))
        }
    }
}

fn is_file(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.is_file())
}

/// `-`, or a name that the system has for what is open already.
fn is_stdout(path: &Path) -> bool {
    ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"].iter().any(|name| path == Path::new(name))
}

/// Stdout without the standard library's own buffer.
#[cfg(unix)]
fn stdout() -> io::Result<File> {
    use std::os::fd::AsFd;
    Ok(io::stdout().as_fd().try_clone_to_owned()?.into())
}

/// Stdout without the standard library's own buffer.
#[cfg(windows)]
fn stdout() -> io::Result<File> {
    use std::os::windows::io::AsHandle;
    Ok(io::stdout().as_handle().try_clone_to_owned()?.into())
}
