//! Response bodies that can be slow or cut off.

use std::{
    error::Error,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

/// The error that ends a body before its stated length, which closes the connection.
#[derive(Debug)]
pub(super) struct CutOff;

impl fmt::Display for CutOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body is cut off here")
    }
}

impl Error for CutOff {}

/// The body of a response.
#[derive(Debug)]
pub(super) struct ResponseBody {
    rest: Bytes,
    /// The number of bytes that `Content-Length` states and that are never sent.
    missing: u64,
    /// In bytes a second.
    pace: Option<u64>,
    wait: Option<Pin<Box<Sleep>>>,
    flushed: bool,
}

impl ResponseBody {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a fraction of a length needs no more than 53 bits"
    )]
    pub(super) fn new(body: Vec<u8>, cut: Option<f64>, pace: Option<u64>) -> Self {
        let mut rest = Bytes::from(body);
        let promised = rest.len();
        if let Some(part) = cut {
            let kept = (promised as f64 * part.clamp(0.0, 1.0)) as usize;
            rest.truncate(kept.min(promised.saturating_sub(1)));
        }
        let missing = (promised - rest.len()) as u64;
        Self { rest, missing, pace: pace.map(|rate| rate.max(1)), wait: None, flushed: false }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = CutOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        loop {
            if let Some(wait) = &mut self.wait {
                ready!(wait.as_mut().poll(cx));
                self.wait = None;
            }
            if !self.rest.is_empty() {
                break;
            }
            if self.missing == 0 {
                return Poll::Ready(None);
            }
            if self.flushed {
                return Poll::Ready(Some(Err(CutOff)));
            }
            // An error makes hyper drop what it hasn't written yet, so wait until that is written.
            self.flushed = true;
            self.wait = Some(Box::pin(sleep(Duration::from_millis(20))));
        }
        let length = self.rest.len();
        let piece = self.pace.map_or(length, |rate| usize::try_from(rate / 20).unwrap_or(length));
        let frame = self.rest.split_to(piece.clamp(1, length));
        self.wait = self.pace.map(|rate| {
            let pause = Duration::from_millis(50).max(Duration::from_secs(1) / rate.min(20) as u32);
            Box::pin(sleep(pause))
        });
        Poll::Ready(Some(Ok(Frame::data(frame))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.missing == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64 + self.missing)
    }
}
