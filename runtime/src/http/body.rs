//! A response's body that ends its request's span.

use super::exchange::Exchange;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::task::{Context, Poll};

pin_project! {
    /// The body of a response in a layer. On a server the request's span lives until its last byte; on a client the span of a call
    /// of gRPC does, whose status comes last.
    pub struct Traced<B: Body> {
        #[pin]
        inner: B,
        exchange: Option<Box<Exchange>>,
    }

    impl<B: Body> PinnedDrop for Traced<B> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(exchange) = this.exchange.take() {
                let inner = this.inner.as_ref();
                let complete = exchange.wants_no_body()
                    || inner.is_end_stream()
                    || inner.size_hint().exact().is_some_and(|left| left == 0);
                if complete {
                    exchange.completed();
                }
                // Else it is dropped open: the client has left.
            }
        }
    }
}

impl<B: Body> Traced<B> {
    pub(super) fn new(inner: B, exchange: Option<Box<Exchange>>) -> Self {
        let exchange = exchange.and_then(|exchange| {
            if inner.is_end_stream() {
                exchange.completed();
                None
            } else {
                Some(exchange)
            }
        });
        Self { inner, exchange }
    }
}

impl<B: Body + Default> Default for Traced<B> {
    fn default() -> Self {
        Self {
            inner: B::default(),
            exchange: None,
        }
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
            let _entered = this.exchange.as_ref().map(|it| it.enter());
            this.inner.as_mut().poll_frame(cx)
        };
        match &polled {
            Poll::Pending => {}
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(exchange) = this.exchange.as_mut() {
                    if let Some(data) = frame.data_ref() {
                        exchange.pass(bytes::Buf::remaining(data) as u64);
                    }
                    if let Some(trailers) = frame.trailers_ref() {
                        exchange.look(trailers);
                    }
                }
                // Nothing comes after trailers.
                if (frame.is_trailers() || this.inner.is_end_stream())
                    && let Some(exchange) = this.exchange.take()
                {
                    exchange.completed();
                }
            }
            Poll::Ready(Some(Err(_))) => {
                if let Some(exchange) = this.exchange.take() {
                    exchange.failed("_OTHER");
                }
            }
            Poll::Ready(None) => {
                if let Some(exchange) = this.exchange.take() {
                    exchange.completed();
                }
            }
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
