//! gRPC by tonic through our layers: the status that comes last, in trailers, decides what became of a call.

use futures_util::Stream;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use std::pin::Pin;
use std::time::Duration;
use tests::live::{Live, live_with_lines};
use tests::span::{Span, SpanKind, StatusCode, Trace};
use tonic::transport::{Channel, Server, server::TcpIncoming};
use tonic::{Code, Request, Response, Status};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tower::ServiceBuilder;
use vitalsign::http::{ClientService, client_layer, layer};

const LIMIT: Duration = Duration::from_secs(20);

/// Does as the request's text says.
struct Said;

#[tonic::async_trait]
impl Health for Said {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        match request.into_inner().service.as_str() {
            "missing" => Err(Status::not_found("no such thing")),
            "down" => Err(Status::unavailable("hunter2")),
            "panics" => panic!("in the method"),
            _ => Ok(Response::new(HealthCheckResponse { status: 1 })),
        }
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let first = futures_util::stream::iter([Ok(HealthCheckResponse { status: 1 })]);
        let rest: Self::WatchStream = if request.into_inner().service == "forever" {
            Box::pin(futures_util::stream::pending())
        } else {
            Box::pin(futures_util::stream::iter([Err(Status::data_loss("torn"))]))
        };
        Ok(Response::new(Box::pin(futures_util::StreamExt::chain(first, rest))))
    }
}

type Traced = ClientService<Channel>;

async fn channel() -> (Traced, http::Uri) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(
        Server::builder()
            .layer(layer())
            .add_service(HealthServer::new(Said))
            .serve_with_incoming(TcpIncoming::from(listener)),
    );
    let uri: http::Uri = format!("http://{address}").parse().expect("a URI");
    let channel = Channel::builder(uri.clone()).connect().await.expect("a connection");
    (ServiceBuilder::new().layer(client_layer()).service(channel), uri)
}

fn ask(service: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: service.to_owned(),
    }
}

/// The client's span and the server's under it, of the trace that `root` began.
async fn both(live: &'static Live, root: &'static str) -> (Span, Span) {
    let trace: Trace = tokio::task::spawn_blocking(move || {
        live.flush();
        live.receiver.trace(root, 3)
    })
    .await
    .expect("the spans");
    let of = |kind| {
        let found = trace.spans.iter().find(|span| span.kind == kind);
        found
            .unwrap_or_else(|| panic!("{kind:?} in\n{}", trace.outline()))
            .clone()
    };
    let (client, server) = (of(SpanKind::Client), of(SpanKind::Server));
    assert_eq!(server.parent_id, client.span_id);
    (client, server)
}

async fn in_span<F: Future>(name: &'static str, future: F) -> F::Output {
    use tracing::Instrument as _;
    let span = tracing::info_span!("root", otel.name = name);
    future.instrument(span).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_succeeds() {
    tests::own_process!();
    let live = live_with_lines();
    let (channel, uri) = channel().await;
    let mut client = HealthClient::with_origin(channel, uri.clone());
    in_span("succeeds", client.check(ask(""))).await.expect("an answer");
    let (client, server) = both(live, "succeeds").await;
    for span in [&client, &server] {
        assert_eq!(span.name, "grpc.health.v1.Health/Check");
        for (key, value) in [
            ("rpc.system.name", "grpc"),
            ("rpc.method", "grpc.health.v1.Health/Check"),
            ("rpc.status_code", "OK"),
            ("server.address", "127.0.0.1"),
            ("server.port", &uri.port_u16().unwrap_or_default().to_string()),
            ("error.type", ""),
            ("http.request.method", ""),
            ("http.response.status_code", ""),
        ] {
            assert_eq!(span.attribute(key), value, "{key} of {:?}", span.kind);
        }
        assert_eq!(span.status, StatusCode::Unset);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_no_failures_of_the_server() {
    tests::own_process!();
    let live = live_with_lines();
    let (channel, uri) = channel().await;
    let mut client = HealthClient::with_origin(channel, uri);
    let refused = in_span("answers", client.check(ask("missing"))).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    let (client, server) = both(live, "answers").await;
    assert_eq!((server.status, server.attribute("error.type")), (StatusCode::Unset, ""));
    assert_eq!(server.attribute("rpc.status_code"), "NOT_FOUND");
    assert_eq!(
        (client.status, client.attribute("error.type")),
        (StatusCode::Error, "NOT_FOUND")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_are_failures_of_both() {
    tests::own_process!();
    let live = live_with_lines();
    let (channel, uri) = channel().await;
    let mut client = HealthClient::with_origin(channel, uri);
    in_span("fails", client.check(ask("down"))).await.unwrap_err();
    let (client, server) = both(live, "fails").await;
    for span in [&client, &server] {
        assert_eq!(
            (
                span.status,
                span.attribute("error.type"),
                span.attribute("rpc.status_code")
            ),
            (StatusCode::Error, "UNAVAILABLE", "UNAVAILABLE")
        );
        assert!(!format!("{span:?}").contains("hunter2"), "the message is the user's");
    }
    let lines = tokio::task::spawn_blocking(|| live.lines()).await.expect("lines");
    let line = lines
        .iter()
        .find(|line| line["trace_id"] == server.trace_id.as_str() && line["target"] == "vitalsign::access")
        .expect("an access line");
    assert_eq!(
        (&line["message"], &line["level"]),
        (&"POST /grpc.health.v1.Health/Check UNAVAILABLE".into(), &"ERROR".into())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_fails_in_its_trailers() {
    tests::own_process!();
    let live = live_with_lines();
    let (channel, uri) = channel().await;
    let mut client = HealthClient::with_origin(channel, uri);
    in_span("trailers", async {
        let mut stream = client
            .watch(ask(""))
            .await
            .expect("a head with status 200")
            .into_inner();
        assert!(stream.message().await.expect("the first message").is_some());
        assert_eq!(stream.message().await.unwrap_err().code(), Code::DataLoss);
    })
    .await;
    let (client, server) = both(live, "trailers").await;
    for span in [&client, &server] {
        assert_eq!(
            (
                span.status,
                span.attribute("error.type"),
                span.attribute("rpc.status_code")
            ),
            (StatusCode::Error, "DATA_LOSS", "DATA_LOSS")
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_nobody_reads_on() {
    tests::own_process!();
    let live = live_with_lines();
    let (channel, uri) = channel().await;
    let mut client = HealthClient::with_origin(channel, uri);
    in_span("leaves", async {
        let mut stream = client.watch(ask("forever")).await.expect("a stream").into_inner();
        assert!(stream.message().await.expect("the first message").is_some());
    })
    .await;
    let (client, server) = both(live, "leaves").await;
    for span in [&client, &server] {
        assert_eq!(
            (span.attribute("outcome"), span.attribute("rpc.status_code")),
            ("cancelled", "CANCELLED")
        );
        assert_eq!(span.status, StatusCode::Unset);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn methods_that_the_server_does_not_know_share_a_series() {
    tests::own_process!();
    let live = live_with_lines();
    let (channel, uri) = channel().await;
    let mut stranger = TraceServiceClient::with_origin(channel.clone(), uri.clone());
    let refused = in_span("unknown", stranger.export(ExportTraceServiceRequest::default()))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
    let (_, server) = both(live, "unknown").await;
    assert_eq!(server.attribute("rpc.status_code"), "UNIMPLEMENTED");
    let mut client = HealthClient::with_origin(channel, uri);
    client.check(ask("")).await.expect("an answer");
    let page = tokio::task::spawn_blocking(move || {
        tests::wait_for("the server's series", LIMIT, || {
            let page = live.page();
            let known = [("rpc_method", "grpc.health.v1.Health/Check"), ("rpc_status_code", "OK")];
            page.value("rpc_server_call_duration_seconds_count", &known)?;
            Some(page)
        })
    })
    .await
    .expect("a page");
    let unknown = [("rpc_method", "_OTHER"), ("rpc_status_code", "UNIMPLEMENTED")];
    assert_eq!(
        page.value("rpc_server_call_duration_seconds_count", &unknown),
        Some(1.0),
        "{}",
        page.text
    );
    assert!(!page.text.contains("TraceService"), "{}", page.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_method_that_panics() {
    tests::own_process!();
    let live = live_with_lines();
    let (channel, uri) = channel().await;
    let mut client = HealthClient::with_origin(channel, uri);
    in_span("panics", client.check(ask("panics"))).await.unwrap_err();
    let (_, server) = both(live, "panics").await;
    assert_eq!(
        (server.status, server.attribute("error.type")),
        (StatusCode::Error, "panic")
    );
    assert_eq!(server.attribute("rpc.status_code"), "UNKNOWN");
}

/// By a client that knows nothing of gRPC: its status still comes in trailers, behind the body.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_the_middleware_of_reqwest() {
    tests::own_process!();
    use prost::Message as _;
    let live = live_with_lines();
    let (_, uri) = channel().await;
    let http2 = reqwest::Client::builder().http2_prior_knowledge().no_proxy();
    let client = reqwest_middleware::ClientBuilder::new(http2.build().expect("a client"))
        .with(vitalsign::http::ReqwestTracing::new())
        .build();
    for (root, method, code, error) in [
        ("reqwest, well", "Check", "OK", ""),
        ("reqwest, torn", "Watch", "DATA_LOSS", "DATA_LOSS"),
    ] {
        let message = ask("").encode_to_vec();
        let mut body = vec![0, 0, 0, 0, u8::try_from(message.len()).expect("a short one")];
        body.extend(message);
        let url = format!("{uri}grpc.health.v1.Health/{method}");
        let call = client
            .post(&url)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(body);
        in_span(root, async {
            let response = call.send().await.expect("a response");
            assert_eq!(
                (response.url().as_str(), response.status().as_u16()),
                (url.as_str(), 200)
            );
            assert!(response.remote_addr().is_some());
            assert_eq!(response.bytes().await.expect("its body")[..5], [0, 0, 0, 0, 2]);
        })
        .await;
        let (client, _) = both(live, root).await;
        assert_eq!(client.name, format!("grpc.health.v1.Health/{method}"));
        assert_eq!(
            (client.attribute("rpc.status_code"), client.attribute("error.type")),
            (code, error)
        );
        let failed = client.status == StatusCode::Error;
        assert_eq!(failed, !error.is_empty());
    }
}
