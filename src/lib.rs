#![doc = include_str!("lib.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod buffer_pool;
mod checkpoint;
mod client;
mod clock;
mod cursor;
mod error;
mod event;
mod fetch;
mod fingerprint;
mod json;
mod link;
mod mask;
mod oauth;
mod page;
mod query;
mod rate;
mod response_stats;
mod retry;
mod service_clock;
mod slice;
mod stats;
mod stream;
mod sync;
mod timer;
mod token;
mod trace;
mod transport;
mod trusted_url;

#[cfg(feature = "__internals")]
#[doc(hidden)]
pub mod internals;
#[cfg(feature = "sandbox")]
#[cfg_attr(docsrs, doc(cfg(feature = "sandbox")))]
pub mod sandbox;

pub use crate::{
    checkpoint::Checkpoint,
    client::{Client, ClientBuilder, FEDRAMP_BASE_URL},
    cursor::Cursor,
    error::{
        ApiError, DecodeError, Error, LinkErrorKind, LoginError, MalformedItem, Result, TransportError,
        TransportErrorKind,
    },
    event::{Attachment, Event, EventData, EventType, FieldError, Recipient, Resource, UnknownName},
    oauth::{CodeLogin, DeviceLogin, OAuth, OAuthLogin},
    page::Page,
    query::ListEvents,
    rate::RateLimit,
    retry::RetryPolicy,
    slice::{Slice, Slices},
    stats::Stats,
    stream::{EventStream, Follow, Pages, SliceEvents, SliceItem, SliceStream, Take, WithCursors},
    token::{Token, TokenSource, token_fn},
    transport::{HttpBody, HttpService},
};

/// The examples of the README and of the guides compile.
#[cfg(all(doctest, feature = "sandbox"))]
mod documents {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/moving-from-go.md")]
    struct MovingFromGo;
}
