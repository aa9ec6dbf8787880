//! The admin server: a small HTTP/1.1 server on the background thread, bounded in everything a stranger could make it hold.

use super::admin_tls::Tls;
use super::seats::{Seat, Seats};
use crate::config::env::Admin;
use crate::export::background::{Background, Ours};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;

pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Answers requests. `peer` is unknown where the routes are mounted into another server.
pub(crate) trait Routes: Send + Sync + 'static {
    fn handle(self: Arc<Self>, request: Request<Bytes>, peer: Option<SocketAddr>) -> BoxFuture<Response<Bytes>>;
}

/// What a stranger may make the server hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Connections at the same time; where there are more, silent ones give way, and else they wait.
    pub(crate) connections: usize,
    /// From the beginning of a connection, or of the last answer, to the end of a request's head.
    pub(crate) head_timeout: Duration,
    /// Bytes of a request's head.
    pub(crate) head_size: usize,
    /// Bytes of a request's body.
    pub(crate) body_size: usize,
    /// How long a connection may last; who wants more connects again.
    pub(crate) connection_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            head_timeout: Duration::from_secs(5),
            head_size: 16 << 10,
            body_size: 16 << 10,
            connection_time: Duration::from_secs(120),
        }
    }
}

/// A bound listener.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) listener: TcpListener,
    pub(crate) tls: Option<Tls>,
    pub(crate) address: SocketAddr,
    /// The default address that was taken by another.
    pub(crate) instead_of: Option<String>,
}

/// The server can not be what the configuration says.
#[derive(Debug)]
pub(crate) enum BindError {
    Listen {
        variable: Option<&'static str>,
        address: String,
        cause: io::Error,
    },
    /// Names the variable.
    Tls(String),
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (variable, address, cause) = match self {
            Self::Tls(text) => return f.write_str(text),
            Self::Listen {
                variable,
                address,
                cause,
            } => (variable, address, cause),
        };
        match variable {
            Some(variable) if cause.kind() == io::ErrorKind::AddrInUse => write!(
                f,
                "{variable}: {address} is taken by another; set {variable} to a free address, to port 0 for any, or \
                 VITALSIGN_ADMIN=off"
            ),
            Some(variable) => write!(f, "{variable}: the admin server can not listen on {address}: {cause}"),
            None => write!(
                f,
                "the admin server can not listen on {address}: {cause}; VITALSIGN_ADMIN=off goes without"
            ),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Listen { cause, .. } => Some(cause),
            Self::Tls(_) => None,
        }
    }
}

/// Binds what the configuration asks for; `None` when it says off. A default address that is taken moves to a free port.
pub(crate) fn bind(admin: &Admin) -> Result<Option<Bound>, BindError> {
    let Some(address) = &admin.address else { return Ok(None) };
    let tls = Tls::of(admin).map_err(BindError::Tls)?;
    let failed = |cause| BindError::Listen {
        variable: admin.from,
        address: address.clone(),
        cause,
    };
    let (listener, instead_of) = match TcpListener::bind(address) {
        Ok(listener) => (listener, None),
        Err(taken) if taken.kind() == io::ErrorKind::AddrInUse && admin.from.is_none() => {
            let listener = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
            (listener, Some(address.clone()))
        }
        Err(error) => return Err(failed(error)),
    };
    let address = listener.local_addr().map_err(failed)?;
    Ok(Some(Bound {
        listener,
        tls,
        address,
        instead_of,
    }))
}

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub(crate) struct AdminHandle {
    address: SocketAddr,
    stop: watch::Sender<bool>,
}

impl AdminHandle {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections; answers under way are finished.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }
}

impl Drop for AdminHandle {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Serves on the background thread until the handle is dropped.
pub(crate) fn serve(
    background: &Background,
    bound: Bound,
    routes: Arc<dyn Routes>,
    limits: Limits,
) -> io::Result<AdminHandle> {
    bound.listener.set_nonblocking(true)?;
    let listener = {
        let _inside = background.handle().enter();
        tokio::net::TcpListener::from_std(bound.listener)?
    };
    let (stop, stopped) = watch::channel(false);
    let server = Server {
        tls: bound.tls,
        routes,
        limits,
        stopped,
    };
    background.spawn_ours(accept(listener, server));
    Ok(AdminHandle {
        address: bound.address,
        stop,
    })
}

#[derive(Clone)]
struct Server {
    tls: Option<Tls>,
    routes: Arc<dyn Routes>,
    limits: Limits,
    stopped: watch::Receiver<bool>,
}

async fn accept(listener: tokio::net::TcpListener, server: Server) {
    let seats = Seats::new(server.limits.connections);
    let mut stopped = server.stopped.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.changed() => return,
        };
        let Ok((stream, peer)) = accepted else {
            // Out of file descriptors, or the peer is gone already: both pass.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let taken = tokio::select! {
            taken = seats.take() => taken,
            _ = stopped.changed() => return,
        };
        let server = server.clone();
        tokio::spawn(Ours::new(async move {
            tokio::select! {
                () = server.connection(stream, peer, &taken.seat) => {}
                () = taken.seat.left() => {}
            }
        }));
    }
}

impl Server {
    async fn connection(self, stream: TcpStream, peer: SocketAddr, seat: &Arc<Seat>) {
        // A failure here shows in the answer's delay only.
        let _ = stream.set_nodelay(true);
        let Some(tls) = &self.tls else {
            return self.serve(stream, peer, seat).await;
        };
        let shaken = tokio::time::timeout(self.limits.head_timeout, tls.accept(stream)).await;
        if let Ok(Ok(stream)) = shaken {
            self.serve(stream, peer, seat).await;
        }
    }

    async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Send + Unpin, peer: SocketAddr, seat: &Arc<Seat>) {
        let (limits, routes) = (self.limits, &self.routes);
        let service = service_fn(move |request| answer(request, peer, seat.clone(), routes.clone(), limits));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head_timeout)
            .max_buf_size(limits.head_size)
            .max_headers(64)
            .serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let mut stopped = self.stopped.clone();
        tokio::select! {
            _ = connection.as_mut() => return,
            () = tokio::time::sleep(limits.connection_time) => {}
            _ = stopped.changed() => {}
        }
        connection.as_mut().graceful_shutdown();
        let _ = tokio::time::timeout(Duration::from_secs(15), connection).await;
    }
}

async fn answer(
    request: Request<Incoming>,
    peer: SocketAddr,
    seat: Arc<Seat>,
    routes: Arc<dyn Routes>,
    limits: Limits,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let read = Limited::new(body, limits.body_size).collect();
    let body = match tokio::time::timeout(limits.head_timeout, read).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) => return Ok(refused(StatusCode::PAYLOAD_TOO_LARGE)),
        Err(_) => return Ok(refused(StatusCode::REQUEST_TIMEOUT)),
    };
    // Not before: who withholds the body is silent.
    let _asked = seat.asked();
    let response = routes.handle(Request::from_parts(head, body), Some(peer)).await;
    Ok(response.map(Full::new))
}

fn refused(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = super::routes::plain(status, "").map(Full::new);
    // What is left of the body is not read: the connection can not go on.
    let close = http::HeaderValue::from_static("close");
    response.headers_mut().insert(http::header::CONNECTION, close);
    response
}

#[cfg(test)]
#[path = "admin_tests.rs"]
mod tests;
