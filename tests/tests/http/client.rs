//! A client and a server of ours over a real socket: one trace, the same ids in both processes' lines.

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use reqwest_middleware::ClientWithMiddleware;
use std::sync::atomic::{AtomicU32, Ordering};
use vitalsign::http::{REQUEST_ID, ReqwestTracing, layer};
use vitalsign::testing::capture;

async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

fn client() -> ClientWithMiddleware {
    client_with(ReqwestTracing::new())
}

fn client_with(tracing: ReqwestTracing) -> ClientWithMiddleware {
    reqwest_middleware::ClientBuilder::new(reqwest::Client::builder().no_proxy().build().unwrap())
        .with(tracing)
        .build()
}

#[tokio::test]
async fn client_and_server_are_one_trace() {
    let capture = capture();
    let url = serve(
        Router::new()
            .route("/items/{id}", get(|| async { "teapot" }))
            .layer(layer()),
    )
    .await;
    let body = client()
        .get(format!("{url}/items/7?token=abc"))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert_eq!(body, "teapot");
    assert_eq!(capture.tree(), "GET\n└ GET /items/{id}\n");
    let (sent, received) = (capture.span("GET"), capture.span("GET /items/{id}"));
    assert_eq!(received.parent_id, Some(sent.span_id));
    assert!(sent.attribute("url.full").unwrap().ends_with("/items/7?token=REDACTED"));
    assert_eq!(sent.attribute("server.address"), Some("127.0.0.1"));
    assert_eq!(received.attribute("url.query"), Some("token=REDACTED"));
    for (name, labels) in [
        ("http.client.request.duration", &[("http.request.method", "GET")][..]),
        ("http.server.request.duration", &[("http.route", "/items/{id}")]),
        (
            "http.server.response.body.size",
            &[("http.response.status_code", "200")],
        ),
    ] {
        let samples = capture.samples(name);
        let [sample] = &samples[..] else {
            panic!("one sample of {name}: {samples:?}")
        };
        for (key, value) in labels {
            assert_eq!(sample.label(key), Some(*value), "{name}");
        }
        assert!(sample.value > 0.0 && (name.ends_with("size") || sample.duration.as_secs_f64() > 0.0));
    }
}

/// The ids that a server behind another one was sent, where that one asks in these ways.
#[tokio::test]
async fn the_id_of_a_request_goes_on_to_who_is_asked_for_it() {
    let _capture = capture();
    let said = |headers: HeaderMap| async move {
        let ids = headers.get_all(REQUEST_ID).iter();
        ids.map(|id| id.to_str().unwrap().to_owned())
            .collect::<Vec<_>>()
            .join(",")
    };
    let behind = serve(Router::new().route("/", get(said))).await;
    let ask = |client: ClientWithMiddleware, own: Option<&'static str>| {
        let url = behind.clone();
        move || async move {
            let mut request = client.get(url);
            if let Some(own) = own {
                request = request.header(REQUEST_ID, own);
            }
            request.send().await.unwrap().text().await.unwrap()
        }
    };
    let silent = || client_with(ReqwestTracing::new().request_id(false));
    let spawned = ask(client(), None);
    let front = serve(
        Router::new()
            .route("/", get(ask(client(), None)))
            .route("/own", get(ask(client(), Some("own-1"))))
            .route("/silent", get(ask(silent(), None)))
            .route(
                "/spawned",
                get(|| async {
                    vitalsign::scope! { a = 1 }
                        .run(|| vitalsign::spawn(spawned()))
                        .await
                        .unwrap()
                }),
            )
            .layer(layer()),
    )
    .await;
    let plain = reqwest::Client::builder().no_proxy().build().unwrap();
    for (path, id, expected) in [
        ("/", Some("from-outside.7"), "from-outside.7"),
        ("/spawned", Some("from-outside.7"), "from-outside.7"),
        ("/own", Some("from-outside.7"), "own-1"),
        ("/silent", Some("from-outside.7"), ""),
        ("/", None, "minted"),
        // Not sane: another one is minted.
        ("/", Some("a b"), "minted"),
    ] {
        let mut request = plain.get(format!("{front}{path}"));
        if let Some(id) = id {
            request = request.header(REQUEST_ID, id);
        }
        let answer = request.send().await.unwrap();
        let echoed = answer.headers()[REQUEST_ID].to_str().unwrap().to_owned();
        let passed_on = answer.text().await.unwrap();
        if expected == "minted" {
            assert!(
                echoed.len() == 32 && echoed != id.unwrap_or_default(),
                "{path}: {echoed}"
            );
            assert_eq!(passed_on, echoed, "{path}");
        } else {
            assert_eq!(passed_on, expected, "{path}");
        }
    }
    // On behalf of no request.
    assert_eq!(ask(client(), None)().await, "");
}

#[tokio::test]
async fn what_cannot_be_reached() {
    let capture = capture();
    client().get("http://127.0.0.1:1/").send().await.unwrap_err();
    let span = capture.span("GET");
    assert_eq!(
        (span.outcome(), span.attribute("error.type")),
        ("error", Some("connect"))
    );
    assert_eq!(span.attribute("http.response.status_code"), None);
}

#[tokio::test]
async fn a_body_cut_short_by_the_client() {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    let capture = capture();
    let url = serve(
        Router::new()
            .route(
                "/slow",
                get(|| async {
                    ASKED.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
                    StatusCode::OK
                }),
            )
            .layer(layer()),
    )
    .await;
    let sent = client()
        .get(format!("{url}/slow"))
        .timeout(std::time::Duration::from_millis(200))
        .send()
        .await;
    assert!(sent.is_err());
    for _ in 0..200 {
        if capture.spans().len() == 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(capture.span("GET").attribute("error.type"), Some("timeout"));
    assert_eq!(capture.span("GET /slow").outcome(), "cancelled");
    assert_eq!(ASKED.load(Ordering::SeqCst), 1);
}
