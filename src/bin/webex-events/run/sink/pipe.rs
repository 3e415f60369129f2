//! Detects that the reader of a pipe has closed it, without writing to it.

use std::{fs::File, future::pending};

#[cfg(unix)]
use tokio::io::{Interest, unix::AsyncFd};

/// The write end of a pipe or a socket. Other files are never reported as closed.
#[derive(Debug)]
pub(super) struct Pipe(#[cfg(unix)] Option<AsyncFd<File>>);

impl Pipe {
    /// Must be called within the runtime.
    #[cfg(unix)]
    #[expect(deprecated, reason = "its successor is unsafe; a `File` owns its descriptor, as that asks for")]
    pub(super) fn of(file: &File) -> Self {
        use std::os::unix::fs::FileTypeExt;
        let is_pipe = file.metadata().is_ok_and(|file| {
            let kind = file.file_type();
            kind.is_fifo() || kind.is_socket()
        });
        let file = if is_pipe { file.try_clone().ok() } else { None };
        Self(file.and_then(|file| AsyncFd::with_interest(file, Interest::ERROR).ok()))
    }

    #[cfg(not(unix))]
    pub(super) fn of(_: &File) -> Self {
        Self()
    }

    #[cfg(unix)]
    pub(super) async fn closed(&self) {
        let Some(pipe) = &self.0 else { return pending().await };
        while let Ok(mut ready) = pipe.ready(Interest::ERROR).await {
            if ready.ready().is_error() || ready.ready().is_write_closed() {
                return;
            }
            ready.clear_ready();
        }
        pending::<()>().await;
    }

    #[cfg(not(unix))]
    pub(super) async fn closed(&self) {
        pending::<()>().await;
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::{io, os::fd::OwnedFd};

    use super::*;

    #[tokio::test]
    async fn a_closed_reader_is_detected_and_an_idle_one_is_not() {
        let (reader, writer) = io::pipe().unwrap();
        let pipe = Pipe::of(&File::from(OwnedFd::from(writer)));
        let noticed = futures_util::FutureExt::now_or_never(pipe.closed());
        assert_eq!(noticed, None);
        drop(reader);
        pipe.closed().await;
    }
}
