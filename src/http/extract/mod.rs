//! Parts of a request, read so that every failure is a problem and never the framework's own words.

mod body;
mod path;
mod query;

pub(super) use body::read_past;
pub use body::{Body, BodyLimits, OptionalBody};
pub use path::Path;
pub use query::Query;
