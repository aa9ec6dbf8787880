//! A response's body that ends its request's span.

use super::exchange::{Entered, Exchange};
use http::{HeaderMap, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::borrow::Cow;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The request that a body answers, until its end: what all frameworks' bodies tell it.
pub(super) struct Answering(Option<Box<Exchange>>);

/// What came of a poll of the body, or of its end.
#[derive(Clone, Copy)]
pub(super) enum Step<'a> {
    /// So many bytes.
    Data(u64),
    Trailers(&'a HeaderMap),
    Failed,
    /// All of it was handed over.
    Complete,
    /// It was dropped, and says of itself whether nothing is missing. Where something is, the client has left.
    Dropped(bool),
}

impl Answering {
    /// Nothing, where the body has no end to wait for.
    pub(super) fn new(exchange: Option<Box<Exchange>>, complete: bool) -> Self {
        let mut this = Self(exchange);
        if complete {
            this.saw(Step::Complete);
        }
        this
    }

    pub(super) fn enter(&mut self) -> Option<Entered<'_>> {
        self.0.as_mut().map(|exchange| exchange.enter())
    }

    pub(super) fn saw(&mut self, step: Step<'_>) {
        let Some(exchange) = &mut self.0 else { return };
        match step {
            Step::Data(bytes) => {
                exchange.pass(bytes);
                if exchange.is_whole() {
                    self.end(Exchange::completed);
                }
            }
            Step::Trailers(trailers) => exchange.look(trailers),
            Step::Failed => self.end(|exchange| exchange.failed("_OTHER")),
            Step::Complete => self.end(Exchange::completed),
            Step::Dropped(complete) if complete || exchange.is_whole() || exchange.wants_no_body() => {
                self.end(Exchange::completed);
            }
            Step::Dropped(_) => self.0 = None,
        }
    }

    fn end(&mut self, end: impl FnOnce(Box<Exchange>)) {
        self.0.take().map(end);
    }
}

pin_project! {
    /// The body of a response in a layer. On a server the request's span lives until its last byte; on a client the span of a call
    /// of gRPC does, whose status comes last.
    pub struct Traced<B: Body> {
        #[pin]
        inner: B,
        exchange: Answering,
    }

    impl<B: Body> PinnedDrop for Traced<B> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            let inner = this.inner.as_ref();
            this.exchange
                .saw(Step::Dropped(inner.is_end_stream() || inner.size_hint().exact() == Some(0)));
        }
    }
}

impl<B: Body> Traced<B> {
    pub(super) fn new(inner: B, exchange: Option<Box<Exchange>>) -> Self {
        let exchange = Answering::new(exchange, inner.is_end_stream());
        Self { inner, exchange }
    }

    /// The response to a request, its head given to `answered`, which says what the body goes on with; or that there is none.
    pub(super) fn response<E>(
        (result, exchange): Handled<Response<B>, E>,
        answered: impl FnOnce(Box<Exchange>, &mut Response<B>) -> Option<Box<Exchange>>,
        error: impl FnOnce() -> Cow<'static, str>,
    ) -> Result<Response<Self>, E> {
        match result {
            Ok(mut response) => {
                let exchange = exchange.and_then(|exchange| answered(exchange, &mut response));
                Ok(response.map(|body| Self::new(body, exchange)))
            }
            Err(error_of_service) => {
                if let Some(exchange) = exchange {
                    exchange.failed(error());
                }
                Err(error_of_service)
            }
        }
    }
}

/// What came of a call, and the request that it was.
pub(super) type Handled<R, E> = (Result<R, E>, Option<Box<Exchange>>);

impl<B: Body + Default> Default for Traced<B> {
    fn default() -> Self {
        Self::new(B::default(), None)
    }
}

impl<B: Body> std::fmt::Debug for Traced<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Traced").finish_non_exhaustive()
    }
}

impl<B: Body> Body for Traced<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let polled = {
            let _entered = this.exchange.enter();
            this.inner.as_mut().poll_frame(cx)
        };
        match &polled {
            Poll::Pending => {}
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    this.exchange.saw(Step::Data(bytes::Buf::remaining(data) as u64));
                }
                if let Some(trailers) = frame.trailers_ref() {
                    this.exchange.saw(Step::Trailers(trailers));
                }
                // Nothing comes after trailers.
                if frame.is_trailers() || this.inner.is_end_stream() {
                    this.exchange.saw(Step::Complete);
                }
            }
            Poll::Ready(Some(Err(_))) => this.exchange.saw(Step::Failed),
            Poll::Ready(None) => this.exchange.saw(Step::Complete),
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
