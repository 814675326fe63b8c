//! A page as a response body: written and compressed piece by piece as the peer takes it.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::connection::Answering;
use super::gzip::Gzip;
use crate::exposition::{Cursor, Page};
use crate::telemetry::InFlight;

/// A response body.
pub(super) struct Reply {
    content: Content,
    answering: Option<Answering>,
}

enum Content {
    Text(Option<Bytes>),
    Page(Box<PageBody>),
}

/// A page on its way out.
struct PageBody {
    page: Arc<Page>,
    cursor: Cursor,
    gzip: Option<Gzip>,
    /// What is to be compressed next: memory as large is the kernel's to hand out and to take back, each time anew.
    chunk: Vec<u8>,
    finished: bool,
    _in_flight: InFlight,
}

impl Reply {
    pub(super) fn text(text: impl Into<Bytes>) -> Self {
        let text = Some(text.into()).filter(|text: &Bytes| !text.is_empty());
        Reply { content: Content::Text(text), answering: None }
    }

    pub(super) fn page(page: Arc<Page>, gzip: bool, in_flight: InFlight) -> Self {
        let gzip = gzip.then(Gzip::new);
        let body = PageBody { page, cursor: Cursor::default(), gzip, chunk: Vec::new(), finished: false, _in_flight: in_flight };
        Reply { content: Content::Page(Box::new(body)), answering: None }
    }

    /// Holds `guard` for as long as there is something to send.
    pub(super) fn with_guard(self, guard: Answering) -> Self {
        Reply { answering: Some(guard), ..self }
    }
}

impl PageBody {
    fn next(&mut self) -> Option<Bytes> {
        if self.finished {
            return None;
        }
        self.chunk.clear();
        self.finished = !self.page.chunk(&mut self.cursor, &mut self.chunk);
        let Some(gzip) = &mut self.gzip else {
            return Some(std::mem::take(&mut self.chunk).into()).filter(|chunk: &Bytes| !chunk.is_empty());
        };
        // Compressing into memory cannot fail; were it to, the body would end early and its checksum be missing.
        if self.finished { gzip.finish() } else { gzip.write(&self.chunk) }.ok()
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match &mut self.content {
            Content::Text(text) => text.take(),
            Content::Page(page) => page.next(),
        };
        if next.is_none() {
            self.answering = None;
        }
        Poll::Ready(next.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Text(text) => text.is_none(),
            Content::Page(page) => page.finished,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
            Content::Page(_) => SizeHint::default(),
        }
    }
}
