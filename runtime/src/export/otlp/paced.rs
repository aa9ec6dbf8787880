//! Connections that are written to in pieces, so that sending a batch does not keep a core from who waits for it.

use crate::turns::Turns;
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use tower_service::Service;

/// Bytes of a piece: some microseconds of a system call, within which a kernel may change to no other thread.
const PIECE: usize = 32 << 10;

/// Makes them.
#[derive(Clone, Debug)]
pub(crate) struct Paced(pub(super) HttpConnector);

impl Service<Uri> for Paced {
    type Response = PacedStream<<HttpConnector as Service<Uri>>::Response>;
    type Error = <HttpConnector as Service<Uri>>::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let connecting = self.0.call(to);
        Box::pin(async move {
            let stream = connecting.await?;
            Ok(PacedStream {
                stream,
                written: 0,
                turns: Turns::default(),
            })
        })
    }
}

/// One of them.
#[derive(Debug)]
pub(crate) struct PacedStream<S> {
    stream: S,
    /// Since others had their turn.
    written: usize,
    turns: Turns,
}

impl<S> PacedStream<S> {
    /// How much may be written now.
    fn allowance(&mut self) -> usize {
        if self.written >= PIECE {
            self.written = 0;
            self.turns.give();
        }
        PIECE - self.written
    }

    fn note(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = written {
            self.written += bytes;
        }
        written
    }
}

impl<S: Read + Unpin> Read for PacedStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl<S: Write + Unpin> Write for PacedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let allowance = self.allowance().min(bytes.len());
        let written = Pin::new(&mut self.stream).poll_write(cx, &bytes[..allowance]);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut allowance = self.allowance();
        // A message's head and the beginning of its body.
        let mut some = [IoSlice::new(&[]); 4];
        let mut count = 0;
        // To write nothing would mean that the connection is gone.
        let parts = parts.iter().filter(|part| !part.is_empty());
        for (one, part) in some.iter_mut().zip(parts) {
            let part = &part[..allowance.min(part.len())];
            allowance -= part.len();
            *one = IoSlice::new(part);
            count += 1;
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, &some[..count]);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: Connection> Connection for PacedStream<S> {
    fn connected(&self) -> Connected {
        self.stream.connected()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is written to it, one by one.
    #[derive(Default)]
    struct Written(Vec<Vec<u8>>);

    impl Write for Written {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.0.push(bytes.to_vec());
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            parts: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.0
                .push(parts.iter().flat_map(|part| part.iter().copied()).collect());
            Poll::Ready(Ok(self.0.last().map_or(0, Vec::len)))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Writes all of it, as a client of the stream does.
    fn sent(parts: &[&[u8]], vectored: bool) -> Vec<Vec<u8>> {
        let mut stream = PacedStream {
            stream: Written::default(),
            written: 0,
            turns: Turns::default(),
        };
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut left: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
        let mut left = &mut left[..];
        while let Some(first) = left.iter().find(|part| !part.is_empty()) {
            let pinned = Pin::new(&mut stream);
            let written = if vectored {
                pinned.poll_write_vectored(&mut cx, left)
            } else {
                pinned.poll_write(&mut cx, first)
            };
            let Poll::Ready(Ok(bytes @ 1..)) = written else {
                panic!("{written:?}")
            };
            IoSlice::advance_slices(&mut left, bytes);
        }
        stream.stream.0
    }

    #[test]
    fn everything_is_written_in_order_and_in_pieces() {
        let body: Vec<u8> = (0..PIECE * 3).map(|n| (n % 251) as u8).collect();
        let parts = [&b""[..], b"head", b"", b"", b"", b"", &body, b"tail"];
        for vectored in [true, false] {
            let pieces = sent(&parts, vectored);
            assert_eq!(pieces.concat(), parts.concat());
            assert!(pieces.iter().all(|piece| piece.len() <= PIECE));
            assert!(pieces.len() <= 6, "{} pieces", pieces.len());
        }
    }
}
