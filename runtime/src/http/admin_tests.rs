use super::super::routes::AdminRoutes;
use super::*;
use crate::config::parse::Secret;
use crate::export::page::PageContext;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

struct Running {
    handle: AdminHandle,
    _background: Background,
}

fn start(token: Option<&str>, limits: Limits) -> Running {
    start_over(None, token, limits)
}

fn start_over(tls: Option<Tls>, token: Option<&str>, limits: Limits) -> Running {
    let background = Background::start().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let bound = Bound {
        address: listener.local_addr().unwrap(),
        listener,
        tls,
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
    Running {
        handle,
        _background: background,
    }
}

impl Running {
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
            "GET /metrics HTTP/1.1\r\nAccept: text/html\r\nAccept: \u{e9}\r\nAccept: application/openmetrics-text;version=1.0.0\r\n",
            200,
            "content-type: application/openmetrics-text; version=1.0.0",
        ),
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

#[test]
fn where_there_is_a_token_reasons_are_for_who_has_it() {
    use crate::health::{CheckOptions, check_fn, engine};
    let options = CheckOptions::new().readiness().critical(false);
    let check = check_fn(|| async { Err::<(), _>("no route to 10.1.2.3") });
    let _registered = engine().register_with("reasons", options, check).unwrap();
    for (token, head, told) in [
        (None, "", true),
        (Some("s3cret"), "X-Forwarded-For: 203.0.113.9\r\n", false),
        (Some("s3cret"), "Authorization: Bearer s3cret\r\n", true),
    ] {
        let server = start(token, Limits::default());
        let (_, answer) = server.ask(&format!("GET /readyz?verbose HTTP/1.1\r\n{head}"));
        assert!(answer.contains("reasons ok: degraded"), "{answer}");
        assert_eq!(answer.contains("10.1.2.3"), told, "{head} {answer}");
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
fn the_silent_give_way_to_a_probe() {
    let limits = Limits::default();
    let server = start(None, limits);
    let mut silent: Vec<_> = (0..limits.connections).map(|_| server.connect()).collect();
    // One that has asked before stays when others have not.
    let mut other = silent.pop().unwrap();
    let mut ask = || {
        write!(other, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = [0; 4096];
        let n = other.read(&mut answer).unwrap();
        assert!(
            answer[..n].starts_with(b"HTTP/1.1 200"),
            "{:?}",
            String::from_utf8_lossy(&answer[..n])
        );
    };
    ask();
    silent.push(server.connect());
    for _ in 0..10 {
        let began = Instant::now();
        assert_eq!(server.ask("GET /livez HTTP/1.1\r\n").0, 200);
        assert!(began.elapsed() < limits.head_timeout / 2, "{:?}", began.elapsed());
    }
    ask();
}

#[test]
fn who_withholds_a_body_gives_way_to_a_probe() {
    let limits = Limits {
        connections: 4,
        ..Limits::default()
    };
    let server = start(None, limits);
    let held: Vec<_> = (0..limits.connections)
        .map(|_| {
            let mut stream = server.connect();
            write!(stream, "POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n").unwrap();
            stream
        })
        .collect();
    let began = Instant::now();
    assert_eq!(server.ask("GET /livez HTTP/1.1\r\n").0, 200);
    assert!(began.elapsed() < limits.head_timeout / 2, "{:?}", began.elapsed());
    drop(held);
}

#[test]
fn a_taken_default_moves_and_a_taken_choice_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let admin = |from| Admin {
        address: Some(address.clone()),
        from,
        token: None,
        certificate: None,
        key: None,
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
        certificate: None,
        key: None,
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

/// Somebody who sends a byte now and then holds a place no longer than one who sends nothing.
#[test]
fn a_head_that_drips_ends_at_its_time() {
    let limits = Limits {
        connections: 1,
        head_timeout: Duration::from_millis(500),
        ..Limits::default()
    };
    let server = start(None, limits);
    let mut slow = server.connect();
    let head = format!("GET /livez HTTP/1.1\r\nX-Long: {}\r\n\r\n", "y".repeat(2000));
    let dripping = std::thread::spawn(move || {
        let sent = head
            .bytes()
            .take_while(|byte| {
                std::thread::sleep(Duration::from_millis(20));
                slow.write_all(&[*byte]).is_ok()
            })
            .count();
        (sent, head.len())
    });
    // The one place is free again for this.
    assert_eq!(server.ask("GET /livez HTTP/1.1\r\n").0, 200);
    let (sent, whole) = dripping.join().unwrap();
    assert!(sent < whole, "it was sent away after {sent} of {whole} bytes");
}

#[test]
fn scrapes_at_the_same_time_are_bounded() {
    use crate::export::snapshot::Family;
    use crate::metrics::registry::{Source, register};
    use std::sync::{Condvar, Mutex};
    /// Gathering waits while it is closed.
    struct Gate(Mutex<bool>, Condvar);
    impl Source for Gate {
        fn families(&self, _: &mut Vec<Family>) {
            let open = self.0.lock().unwrap();
            drop(self.1.wait_while(open, |open| !*open).unwrap());
        }
    }
    let gate = Arc::new(Gate(Mutex::new(true), Condvar::new()));
    register(gate.clone());
    let server = start(None, Limits::default());
    *gate.0.lock().unwrap() = false;
    let waiting: Vec<_> = (0..4)
        .map(|_| {
            let mut stream = server.connect();
            write!(stream, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
            stream
        })
        .collect();
    let until = Instant::now() + Duration::from_secs(10);
    let refused = loop {
        // Who comes before the four have begun is one of them, and would wait as they do.
        std::thread::sleep(Duration::from_millis(200));
        let mut stream = server.connect();
        stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let (status, answer) = read(stream);
        if status == 503 || Instant::now() > until {
            break answer;
        }
    };
    assert!(refused.contains("retry-after: 1"), "{refused}");
    assert_eq!(
        server.ask("GET /livez HTTP/1.1\r\n").0,
        200,
        "probes are answered meanwhile"
    );
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
    for stream in waiting {
        assert_eq!(read(stream).0, 200);
    }
}

#[test]
fn hostile_requests_are_answered_or_refused_and_nothing_else() {
    let server = start(Some("s3cret"), Limits::default());
    let long = "x".repeat(3000);
    let queries = [
        "?verbose&verbose&verbose",
        "?exclude=",
        "?exclude=%00%ff%2e%2e%2f",
        "?exclude=../../etc/passwd&exclude=<script>alert(1)</script>",
        "?%",
        "?exclude=%",
        "?exclude=%f0%9f%a6",
        "?&&&===&&&",
        "?verbose=false;exclude",
        &format!("?exclude={long}"),
    ];
    let headers = [
        "Accept: application/json;q=-1;q=NaN;q=99999999999999999999, */*;;;,,,",
        "Accept: \u{fffd}\u{1f980}",
        "Authorization: Bearer",
        "Authorization: Bearer s3cret s3cret",
        "Accept-Encoding: gzip;q=0.0000000000000000000000000001, \t ,",
        &format!("X-Long: {long}"),
        "Content-Length: 0",
        "Transfer-Encoding: chunked",
        "Host: x\r\nHost: y",
    ];
    for path in ["/livez", "/readyz", "/readyz/no%2fname", "/healthz", "/metrics"] {
        for query in queries {
            let (status, answer) = server.ask(&format!("GET {path}{query} HTTP/1.1\r\n"));
            assert!(matches!(status, 200 | 400 | 401 | 404 | 503), "{path}{query}: {answer}");
            assert!(!answer.contains("<script>") && !answer.contains("s3cret"), "{answer}");
        }
        for header in headers {
            let mut stream = server.connect();
            write!(
                stream,
                "GET {path} HTTP/1.1\r\n{header}\r\nHost: x\r\nConnection: close\r\n\r\n"
            )
            .unwrap();
            // A body that is promised and does not come.
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let (status, answer) = read(stream);
            assert!(
                matches!(status, 0 | 200 | 400 | 401 | 404 | 408 | 413 | 503),
                "{header}: {answer}"
            );
            assert!(!answer.contains("s3cret"), "{answer}");
        }
    }
    let many: Vec<String> = (0..200).map(|n| format!("X-{n}: y\r\n")).collect();
    let many = many.concat();
    assert_eq!(server.ask(&format!("GET /livez HTTP/1.1\r\n{many}")).0, 431);
    assert_eq!(server.ask("GET /livez HTTP/1.1\r\n").0, 200);
}

#[cfg(feature = "tls")]
mod tls {
    use super::*;
    use crate::config::env::FileFrom;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
    use std::path::{Path, PathBuf};

    fn file(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("src/export/tests/certs")
            .join(name)
    }

    fn admin(certificate: Option<&str>, key: Option<&str>) -> Admin {
        let from = |variable, name: &str| FileFrom {
            path: file(name),
            variable,
        };
        Admin {
            address: Some("127.0.0.1:0".to_owned()),
            from: None,
            token: None,
            certificate: certificate.map(|name| from("VITALSIGN_ADMIN_TLS_CERT", name)),
            key: key.map(|name| from("VITALSIGN_ADMIN_TLS_KEY", name)),
        }
    }

    fn over(stream: TcpStream, authority: &str) -> StreamOwned<ClientConnection, TcpStream> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(file(authority)).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = "localhost".try_into().unwrap();
        StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream)
    }

    #[test]
    fn it_speaks_tls_and_nothing_else() {
        let limits = Limits {
            connections: 1,
            head_timeout: Duration::from_millis(500),
            ..Limits::default()
        };
        let tls = Tls::of(&admin(Some("server.pem"), Some("server.key"))).unwrap();
        let server = start_over(tls, Some("s3cret"), limits);
        let (status, answer) = server.ask("GET /livez HTTP/1.1\r\n");
        assert_eq!(status, 0, "in clear there is no answer: {answer}");
        // Who shakes no hand holds its place no longer than who sends no head.
        let silent = server.connect();
        for (path, status) in [("/livez", 200), ("/metrics", 401)] {
            let mut stream = over(server.connect(), "ca.pem");
            write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
            let mut answer = String::new();
            let _ = stream.read_to_string(&mut answer);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        }
        drop(silent);
        let mut stranger = over(server.connect(), "other-ca.pem");
        assert!(stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").is_err());
    }

    #[test]
    fn files_that_are_wrong_are_errors_that_name_the_variable() {
        for (certificate, key, says) in [
            (
                Some("server.pem"),
                None,
                "VITALSIGN_ADMIN_TLS_CERT is set and VITALSIGN_ADMIN_TLS_KEY is not",
            ),
            (
                None,
                Some("server.key"),
                "VITALSIGN_ADMIN_TLS_KEY is set and VITALSIGN_ADMIN_TLS_CERT is not",
            ),
            (Some("nowhere.pem"), Some("server.key"), "VITALSIGN_ADMIN_TLS_CERT="),
            (Some("server.pem"), Some("server.pem"), "VITALSIGN_ADMIN_TLS_KEY="),
            (
                Some("server.pem"),
                Some("client.key"),
                "VITALSIGN_ADMIN_TLS_CERT and VITALSIGN_ADMIN_TLS_KEY do not fit",
            ),
        ] {
            let error = bind(&admin(certificate, key)).unwrap_err().to_string();
            assert!(error.starts_with(says), "{error}");
        }
    }
}
