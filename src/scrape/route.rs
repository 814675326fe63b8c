//! What a part answers on paths of its own, beside its page: the page of one target, a list for service discovery.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::Source;

/// What became of a request for a part's own path.
pub enum Answer {
    /// The page of this source alone, without the label `target`: whoever asks for one target names it himself.
    Page(Arc<Source>),
    /// A JSON text.
    Json(String),
    /// The request is wrong, and why: 400.
    Refused(String),
    /// The request is right, but the part cannot answer it now, and why: 500.
    Failed(String),
}

/// Answers requests for one path, given the pairs of the query.
pub type Route = dyn Fn(Vec<(String, String)>) -> BoxFuture<'static, Answer> + Send + Sync;
