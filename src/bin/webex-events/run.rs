//! Reading from the service and writing, together.

pub(crate) mod lines;
pub(crate) mod names;
pub(crate) mod next;
pub(crate) mod outcome;
pub(crate) mod output;
pub(crate) mod plan;
pub(crate) mod request;
pub(crate) mod roles;
pub(crate) mod sink;
pub(crate) mod slices;
pub(crate) mod summary;
pub(crate) mod tally;
pub(crate) mod walk;
pub(crate) mod writer;
