//! The admin server: a small HTTP/1.1 server on the background thread, bounded in everything a stranger could make it hold.

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
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};

pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Answers requests. `peer` is unknown where the routes are mounted into another server.
pub(crate) trait Routes: Send + Sync + 'static {
    fn handle(self: Arc<Self>, request: Request<Bytes>, peer: Option<SocketAddr>) -> BoxFuture<Response<Bytes>>;
}

/// What a stranger may make the server hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Connections at the same time; more wait in the system's queue.
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
    pub(crate) address: SocketAddr,
    /// The default address that was taken by another.
    pub(crate) instead_of: Option<String>,
}

/// Nothing could be bound where the configuration says.
#[derive(Debug)]
pub(crate) struct BindError {
    variable: Option<&'static str>,
    address: String,
    cause: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, cause, .. } = self;
        match self.variable {
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
        Some(&self.cause)
    }
}

/// Binds what the configuration asks for; `None` when it says off. A default address that is taken moves to a free port.
pub(crate) fn bind(admin: &Admin) -> Result<Option<Bound>, BindError> {
    let Some(address) = &admin.address else { return Ok(None) };
    let failed = |cause| BindError {
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
    background.spawn_ours(accept(listener, routes, limits, stopped));
    Ok(AdminHandle {
        address: bound.address,
        stop,
    })
}

async fn accept(
    listener: tokio::net::TcpListener,
    routes: Arc<dyn Routes>,
    limits: Limits,
    mut stopped: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(limits.connections));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.changed() => return,
        };
        let Ok((stream, peer)) = accepted else {
            // Out of file descriptors, or the peer is gone already: both pass.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let connection = connection(stream, peer, routes.clone(), limits, stopped.clone());
        tokio::spawn(Ours::new(async move {
            connection.await;
            drop(place);
        }));
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    routes: Arc<dyn Routes>,
    limits: Limits,
    mut stopped: watch::Receiver<bool>,
) {
    // A failure here shows in the answer's delay only.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| answer(request, peer, routes.clone(), limits));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(limits.head_size)
        .max_headers(64)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = tokio::time::sleep(limits.connection_time) => {}
        _ = stopped.changed() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(Duration::from_secs(15), connection).await;
}

async fn answer(
    request: Request<Incoming>,
    peer: SocketAddr,
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
mod tests {
    use super::super::routes::AdminRoutes;
    use super::*;
    use crate::config::parse::Secret;
    use crate::export::page::PageContext;
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::time::Instant;

    struct Server {
        handle: AdminHandle,
        _background: Background,
    }

    fn start(token: Option<&str>, limits: Limits) -> Server {
        let background = Background::start().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let bound = Bound {
            address: listener.local_addr().unwrap(),
            listener,
            instead_of: None,
        };
        let token = token.map(|token| Secret(token.to_owned()));
        let routes = AdminRoutes::new(Some(PageContext::default()), token);
        #[cfg(feature = "logs")]
        let routes = {
            let held = std::sync::Mutex::new("info".to_owned());
            routes.with_log_filter(Box::new(move |new| {
                let mut held = held.lock().unwrap();
                match new {
                    Some("bad") => return Err("bad".to_owned()),
                    Some(new) => new.clone_into(&mut held),
                    None => {}
                }
                Ok(held.clone())
            }))
        };
        let handle = serve(&background, bound, Arc::new(routes), limits).unwrap();
        Server {
            handle,
            _background: background,
        }
    }

    impl Server {
        fn connect(&self) -> TcpStream {
            let stream = TcpStream::connect(self.handle.address()).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            stream
        }

        /// Status line and the rest.
        fn ask(&self, head: &str) -> (u16, String) {
            let mut stream = self.connect();
            write!(stream, "{head}Host: x\r\nConnection: close\r\n\r\n").unwrap();
            read(stream)
        }
    }

    fn read(mut stream: TcpStream) -> (u16, String) {
        let mut answer = Vec::new();
        // A reset after the answer is as good as its end.
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0);
        (status, answer)
    }

    #[test]
    fn routes_and_methods() {
        let server = start(None, Limits::default());
        for (head, status, has) in [
            (
                "GET /metrics HTTP/1.1\r\n",
                200,
                "content-type: text/plain; version=0.0.4",
            ),
            ("HEAD /metrics HTTP/1.1\r\n", 200, "content-length: "),
            ("POST /metrics HTTP/1.1\r\n", 405, "allow: GET, HEAD"),
            ("GET /metrics?x=y HTTP/1.0\r\n", 200, "nosniff"),
            ("GET /livez HTTP/1.1\r\n", 200, "no-store"),
            ("GET /livez/x HTTP/1.1\r\n", 404, ""),
            ("GET /nothing HTTP/1.1\r\n", 404, "not found"),
            ("GET / HTTP/1.1\r\n", 200, "/readyz"),
            ("DELETE / HTTP/1.1\r\n", 405, "allow"),
            ("nonsense\r\n", 400, ""),
        ] {
            let (got, answer) = server.ask(head);
            assert_eq!(got, status, "{head}{answer}");
            assert!(answer.contains(has), "{head}{answer}");
        }
        let (_, head) = server.ask("HEAD /metrics HTTP/1.1\r\n");
        assert!(head.ends_with("\r\n\r\n"), "{head}");
    }

    #[test]
    fn the_token_guards_all_but_the_probes() {
        let server = start(Some("s3cret"), Limits::default());
        for (head, status) in [
            ("GET /metrics HTTP/1.1\r\n", 401),
            ("GET /metrics HTTP/1.1\r\nAuthorization: Bearer wrong!\r\n", 401),
            ("GET /metrics HTTP/1.1\r\nAuthorization: Basic s3cret\r\n", 401),
            ("GET /metrics HTTP/1.1\r\nAuthorization: bearer s3cret\r\n", 200),
            ("GET /unknown HTTP/1.1\r\n", 401),
            ("GET /livez HTTP/1.1\r\n", 200),
        ] {
            assert_eq!(server.ask(head).0, status, "{head}");
        }
    }

    #[cfg(feature = "logs")]
    #[test]
    fn the_filter_of_the_logs_is_changed_with_the_token_only() {
        let server = start(Some("s3cret"), Limits::default());
        let put = |filter: &str, token: &str| {
            let length = filter.len();
            let mut stream = server.connect();
            write!(
                stream,
                "PUT /logs/filter HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
                 Content-Length: {length}\r\n\r\n{filter}"
            )
            .unwrap();
            read(stream)
        };
        assert_eq!(put("debug", "wrong").0, 401);
        assert_eq!(put("bad", "s3cret").0, 400);
        let (status, answer) = put("debug", "s3cret");
        assert!(status == 200 && answer.ends_with("\r\ndebug\n"), "{answer}");
        let open = start(None, Limits::default());
        assert_eq!(
            open.ask("GET /logs/filter HTTP/1.1\r\n").0,
            404,
            "never without a token"
        );
    }

    #[test]
    fn heads_are_bounded_in_size_and_time() {
        let limits = Limits {
            head_timeout: Duration::from_millis(300),
            ..Limits::default()
        };
        let server = start(None, limits);
        let long = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n", "y".repeat(40_000));
        let (status, _) = server.ask(&long);
        assert!(status == 431 || status == 0, "{status}");
        let mut slow = server.connect();
        slow.write_all(b"GET /metrics HTTP/1.1\r\nHost:").unwrap();
        let start = Instant::now();
        let (status, _) = read(slow);
        assert!(status != 200 && start.elapsed() < Duration::from_secs(10));
        let mut stream = server.connect();
        write!(
            stream,
            "POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n"
        )
        .unwrap();
        let start = Instant::now();
        let (status, _) = read(stream);
        assert!(
            (status == 413 || status == 408) && start.elapsed() < Duration::from_secs(10),
            "{status}"
        );
    }

    #[test]
    fn connections_are_bounded() {
        let limits = Limits {
            connections: 2,
            head_timeout: Duration::from_millis(500),
            ..Limits::default()
        };
        let server = start(None, limits);
        let idle: Vec<_> = (0..8).map(|_| server.connect()).collect();
        // Who says nothing is sent away; who speaks is served then.
        assert_eq!(server.ask("GET /livez HTTP/1.1\r\n").0, 200);
        drop(idle);
    }

    #[test]
    fn a_taken_default_moves_and_a_taken_choice_is_an_error() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let admin = |from| Admin {
            address: Some(address.clone()),
            from,
            token: None,
        };
        let moved = bind(&admin(None)).unwrap().unwrap();
        assert_eq!(moved.instead_of.as_deref(), Some(address.as_str()));
        assert_ne!(moved.address.to_string(), address);
        let error = bind(&admin(Some("VITALSIGN_ADMIN"))).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("VITALSIGN_ADMIN: {address} is taken by another")),
            "{error}"
        );
        let off = Admin {
            address: None,
            from: Some("VITALSIGN_ADMIN"),
            token: None,
        };
        assert!(bind(&off).unwrap().is_none());
    }

    #[test]
    fn it_stops_when_dropped() {
        let server = start(None, Limits::default());
        let address = server.handle.address();
        server.handle.stop();
        let gone = || TcpStream::connect(address).is_err();
        let until = Instant::now() + Duration::from_secs(5);
        while !gone() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(gone());
    }
}
