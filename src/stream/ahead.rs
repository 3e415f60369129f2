//! Reading ahead: the walk in a task of its own.

use std::{
    future::poll_fn,
    panic,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{sync::mpsc, task::JoinHandle};

use super::{Step, Walk};
use crate::error::Result;

/// A walk that is up to so many pages ahead of its reader. Its task ends when this is dropped.
pub(super) struct Ahead {
    pages: mpsc::Receiver<Result<Step>>,
    task: JoinHandle<()>,
}

impl Ahead {
    pub(super) fn new(mut walk: Walk, pages: usize) -> Self {
        let (sender, receiver) = mpsc::channel(pages.min(tokio::sync::Semaphore::MAX_PERMITS));
        let task = tokio::spawn(async move {
            // The place is taken before the page is asked for, so that no page too many is held.
            while let Ok(place) = sender.reserve().await {
                let Some(step) = poll_fn(|cx| walk.as_mut().poll_next(cx)).await else { return };
                place.send(step);
            }
        });
        Self { pages: receiver, task }
    }

    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Step>>> {
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
