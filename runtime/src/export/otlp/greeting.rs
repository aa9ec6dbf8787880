//! Who listens where HTTP/1.1 is to be spoken: servers of HTTP/2, as those of gRPC, send their settings without being asked; those
//! of HTTP/1.1 wait for a request.

use crate::config::env::{Otlp, Protocol};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

const WAIT: Duration = Duration::from_millis(300);

/// What a server does that nobody has asked anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Greeting {
    Http2,
    Silence,
    Closed,
}

/// Whether this connection, to where HTTP/1.1 is to be spoken, is to a server that speaks HTTP/2 alone.
pub(crate) async fn is_http2(stream: TcpStream, otlp: &Otlp) -> bool {
    if otlp.protocol == Protocol::Grpc {
        return false;
    }
    if !otlp.url.tls {
        return greeting(stream).await == Greeting::Http2;
    }
    #[cfg(feature = "tls")]
    return super::tls::is_http2(stream, otlp).await;
    #[cfg(not(feature = "tls"))]
    return false;
}

pub(super) async fn greeting(mut stream: impl AsyncRead + Unpin) -> Greeting {
    // Length, type, flags, stream.
    let mut frame = [0xff; 9];
    match timeout(WAIT, stream.read_exact(&mut frame)).await {
        Ok(Err(_)) => Greeting::Closed,
        Ok(Ok(_)) if frame[0] == 0 && frame[3] == 4 && frame[5..] == [0; 4] => Greeting::Http2,
        // Nothing, or nothing of HTTP/2.
        _ => Greeting::Silence,
    }
}
