//! What strangers send, over real sockets: scans, methods that are none, ids and headers made to break lines, bytes that are no text.
//! The service goes on, the page and the lines stay well-formed, and no secret comes out.

use axum::Router;
use axum::routing::get;
use std::fmt::Write as _;
use std::io::{BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;
use tests::live::{Live, live_with_lines};
use tests::page::Page;
use tower::{Layer as _, ServiceExt as _};
use vitalsign::http::layer;

/// A server that lives as long as the process.
fn server() -> (&'static Live, String) {
    let live = live_with_lines();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a socket that does not block");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async move {
            let router = Router::new()
                .route("/items/{id}", get(|| async { "an item" }))
                .layer(layer());
            let listener = tokio::net::TcpListener::from_std(listener).expect("inside the runtime");
            axum::serve(listener, router).await
        })
    });
    (live, address)
}

/// Status and headers of one answer, its body read past.
fn answer(reader: &mut impl std::io::BufRead) -> (u16, Vec<(String, String)>) {
    let mut line = String::new();
    reader.read_line(&mut line).expect("a status line");
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no status in {line:?}"));
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a header");
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    std::io::copy(&mut reader.take(length), &mut std::io::sink()).expect("a body");
    (status, headers)
}

/// One request of these bytes, on a connection of its own.
fn send(address: &str, request: &[u8]) -> (u16, Vec<(String, String)>) {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a time-out");
    stream.write_all(request).expect("written");
    answer(&mut BufReader::new(stream))
}

/// The series with a label. By lines, for the page's parser stumbles over the braces of routes.
fn series(page: &Page, label: &str) -> usize {
    page.text
        .lines()
        .filter(|line| line.starts_with("http_server_request_duration_seconds_count{") && line.contains(label))
        .count()
}

#[test]
fn a_scan_of_ten_thousand_paths_is_one_series() {
    tests::own_process!();
    let (live, address) = server();
    let mut stream = TcpStream::connect(&address).expect("a connection");
    let mut reader = BufReader::new(stream.try_clone().expect("both ways"));
    for batch in 0..100 {
        let mut requests = String::new();
        for n in 0..100 {
            let _ = write!(
                requests,
                "DELETE /scan/{batch}/{n}.php?q={n} HTTP/1.1\r\nHost: a\r\n\r\n"
            );
        }
        stream.write_all(requests.as_bytes()).expect("written");
        for _ in 0..100 {
            assert_eq!(answer(&mut reader).0, 404);
        }
    }
    let page = live.page();
    assert_eq!(series(&page, "http_request_method=\"DELETE\""), 1, "{}", page.text);
    let counted = [("http_request_method", "DELETE"), ("http_response_status_code", "404")];
    assert_eq!(
        page.value("http_server_request_duration_seconds_count", &counted),
        Some(10_000.0)
    );
    assert!(!page.text.contains("/scan/"), "{}", page.text);
}

#[test]
fn routes_beyond_the_limit_share_one_and_are_counted() {
    tests::own_process!();
    let live = live_with_lines();
    let mapped = layer().route_with(|parts| match parts.uri.path() {
        "/unmapped" => None,
        "/broken" => panic!("no route of this"),
        path => Some(path.to_owned().into()),
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let answer = async |_: http::Request<()>| Ok::<_, std::convert::Infallible>(http::Response::new(String::new()));
        let service = mapped.layer(tower::service_fn(answer));
        let paths = (0..1010).map(|n| format!("/made/{n}"));
        for path in paths.chain(["/unmapped".to_owned(), "/broken".to_owned()]) {
            let request = http::Request::builder().uri(path).body(()).expect("a request");
            let response = service.clone().oneshot(request).await.expect("infallible");
            assert_eq!(response.status(), 200);
        }
    });
    let page = live.page();
    assert_eq!(series(&page, "http_route=\"/made/"), 1000, "{}", page.text);
    let duration = |route| page.value("http_server_request_duration_seconds_count", &[("http_route", route)]);
    assert_eq!(duration("other"), Some(10.0), "{}", page.text);
    assert_eq!(
        series(&page, "http_request_method=\"GET\""),
        1002,
        "those without a route are one"
    );
    let of_routes = [("label", "http.route"), ("metric", "http.server.request.duration")];
    assert_eq!(
        page.value("vitalsign_label_overflow_total", &of_routes),
        Some(10.0),
        "{}",
        page.text
    );
}

#[test]
fn methods_that_are_none_are_one_series() {
    tests::own_process!();
    let (live, address) = server();
    for n in 0..500 {
        let request = format!("M{n} /items/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert_eq!(send(&address, request.as_bytes()).0, 405);
    }
    let page = live.page();
    assert_eq!(series(&page, "http_request_method=\"_OTHER\""), 1, "{}", page.text);
    assert!(!page.text.contains("\"M1"), "{}", page.text);
}

#[test]
fn credentials_never_come_out() {
    tests::own_process!();
    let (live, address) = server();
    let request = format!(
        "GET http://ada:hunter2@{address}/items/1?token=hunter2&sig=hunter2&X-Goog-Signature=hunter2&api_key=hunter2&user%5Bpassword%5D=hunter2;token=hunter2&a=b HTTP/1.1\r\n\
         Host: {address}\r\nAuthorization: Bearer hunter2\r\nCookie: session=hunter2\r\nX-Api-Key: hunter2\r\n\
         Proxy-Authorization: Basic hunter2\r\ntraceparent: 00-c4ed0000000000000000000000000001-00f067aa0ba902b7-01\r\n\r\n"
    );
    assert_eq!(send(&address, request.as_bytes()).0, 200);
    live.flush();
    let trace = live.receiver.trace("GET /items/{id}", 1);
    assert!(
        !format!("{:?}", live.receiver.spans()).contains("hunter2"),
        "{}",
        trace.outline()
    );
    let lines = live.lines();
    assert!(
        lines
            .iter()
            .any(|line| line["trace_id"] == "c4ed0000000000000000000000000001")
    );
    assert!(!format!("{lines:?}").contains("hunter2"));
    assert!(!live.page().text.contains("hunter2"));
}

#[test]
fn hostile_ids_and_headers() {
    tests::own_process!();
    let (live, address) = server();
    let long = vec![b'x'; 100_000];
    let hostile: [&[u8]; 9] = [
        b"a b",
        b"a\tb",
        b"\"},{\"level\":\"ERROR",
        b"\xff\xfe",
        b"\xc2\x85\xe2\x80\xa8",
        b"id; DROP TABLE",
        b"${jndi:ldap://x}",
        b"",
        &long,
    ];
    let headers = [
        "X-Request-ID",
        "traceparent",
        "tracestate",
        "baggage",
        "User-Agent",
        "Content-Type",
        "X-Forwarded-For",
    ];
    for bytes in hostile {
        for name in headers {
            let mut request = b"GET /items/1 HTTP/1.1\r\nHost: a\r\n".to_vec();
            request.extend_from_slice(name.as_bytes());
            request.extend_from_slice(b": ");
            request.extend_from_slice(bytes);
            request.extend_from_slice(b"\r\n\r\n");
            let (status, headers) = send(&address, &request);
            let said = String::from_utf8_lossy(&bytes[..bytes.len().min(20)]);
            assert_eq!(status, 200, "{name}: {said}");
            let ids: Vec<_> = headers.iter().filter(|(name, _)| name == "x-request-id").collect();
            assert_eq!(ids.len(), 1, "{name}: {said}");
            let id = &ids[0].1;
            let minted = id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
            assert!(minted, "{name}: {said}: {id}");
        }
    }
    // A header that tries to be two, and control characters, which HTTP itself refuses.
    let split = b"GET /items/1 HTTP/1.1\r\nHost: a\r\nX-Request-ID: a\r\nX-Request-ID: b\r\n\r\n";
    let (status, headers) = send(&address, split);
    let id = headers
        .iter()
        .find(|(name, _)| name == "x-request-id")
        .map(|(_, id)| id.len());
    assert_eq!((status, id), (200, Some(32)));
    for control in [b'\x01', b'\x7f', b'\0'] {
        let mut request = b"GET /items/1 HTTP/1.1\r\nHost: a\r\nX-Request-ID: a".to_vec();
        request.push(control);
        request.extend_from_slice(b"b\r\n\r\n");
        assert_eq!(send(&address, &request).0, 400, "{control}");
    }
    // The service went on; lines are JSON, the page is a page.
    assert_eq!(send(&address, b"GET /items/1 HTTP/1.1\r\nHost: a\r\n\r\n").0, 200);
    let lines = live.lines();
    assert!(
        lines
            .iter()
            .all(|line| line.as_object().is_some_and(|it| it.contains_key("level")))
    );
    assert!(!format!("{lines:?}").contains("jndi"));
    live.page();
}

#[test]
fn paths_and_hosts_that_are_no_text() {
    tests::own_process!();
    let (live, address) = server();
    for path in [
        "/items/%FF%FE",
        "/items/%00",
        "/%c0%ae%c0%ae/etc/passwd",
        "/items/a%0d%0aX-Evil:%201",
        "/items/\"}{",
        "/items/%22%7d",
        "//",
        "/items/1?%FF=%FE&&&=",
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        let (status, _) = send(&address, request.as_bytes());
        assert!(status < 500, "{path}: {status}");
    }
    // Raw bytes: whatever the server says, it says something and goes on.
    for path in [&b"/items/\xff\xfe"[..], b"/items/\xc3\xa9", b"/\xe2\x80\xa8"] {
        let mut request = b"GET ".to_vec();
        request.extend_from_slice(path);
        request.extend_from_slice(b" HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(send(&address, &request).0 < 500);
    }
    for host in [&b"\xff"[..], b"a:b:c", b"[::1", b":99999", b"\"}"] {
        let mut request = b"GET /items/1 HTTP/1.1\r\nHost: ".to_vec();
        request.extend_from_slice(host);
        request.extend_from_slice(b"\r\n\r\n");
        assert!(send(&address, &request).0 < 500);
    }
    let request = format!("GET /items/{} HTTP/1.1\r\nHost: a\r\n\r\n", "y".repeat(50_000));
    assert_eq!(send(&address, request.as_bytes()).0, 200);
    assert_eq!(send(&address, b"GET /items/1 HTTP/1.1\r\nHost: a\r\n\r\n").0, 200);
    for line in live.lines() {
        assert!(line["message"].is_string(), "{line}");
    }
    live.flush();
    for span in live.receiver.spans() {
        assert!(!span.name.contains("etc"), "{}", span.name);
    }
    let page = live.page();
    assert!(!page.text.contains("passwd"), "{}", page.text);
}
