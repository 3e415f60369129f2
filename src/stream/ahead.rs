//! Reading ahead: the run of a list in a task of its own.

use std::{
    future::poll_fn,
    panic,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{runtime, sync::mpsc, task::JoinHandle};

use super::list_run::{ListRun, ListStep};
use crate::error::Result;

/// A run that is up to a number of pages ahead of its reader. Its task ends when this is dropped.
pub(super) struct Ahead {
    pages: mpsc::Receiver<Result<ListStep>>,
    task: JoinHandle<()>,
    /// The runtime that drives the task, if anybody drives it.
    runtime: runtime::Id,
}

impl Ahead {
    pub(super) fn new(mut run: ListRun, pages: usize, runtime: runtime::Id) -> Self {
        let (sender, receiver) = mpsc::channel(pages.min(tokio::sync::Semaphore::MAX_PERMITS));
        let task = tokio::spawn(async move {
            // A slot is reserved before its page is requested, so that no page too many is held.
            while let Ok(slot) = sender.reserve().await {
                let Some(step) = poll_fn(|cx| run.as_mut().poll_next(cx)).await else { return };
                slot.send(step);
            }
        });
        Self { pages: receiver, task, runtime }
    }

    /// Returns whether a reader on this runtime would wait for one that may no longer be driven.
    pub(super) fn is_stranded(&self, runtime: runtime::Id) -> bool {
        runtime != self.runtime && self.pages.is_empty() && !self.task.is_finished()
    }

    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<ListStep>>> {
        if let Some(step) = ready!(self.pages.poll_recv(cx)) {
            return Poll::Ready(Some(step));
        }
        match ready!(Pin::new(&mut self.task).poll(cx)) {
            Err(error) if error.is_panic() => panic::resume_unwind(error.into_panic()),
            _ => Poll::Ready(None),
        }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.task.abort();
    }
}
