//! Reading from the service and writing, together.

pub(crate) mod driver;
pub(crate) mod extend;
pub(crate) mod names;
pub(crate) mod output;
pub(crate) mod plan;
pub(crate) mod positions;
pub(crate) mod range;
pub(crate) mod request;
pub(crate) mod restart;
pub(crate) mod roles;
pub(crate) mod schedule;
pub(crate) mod sink;
pub(crate) mod slices;
pub(crate) mod source;
pub(crate) mod stop_reason;
pub(crate) mod summary;
pub(crate) mod writer;
