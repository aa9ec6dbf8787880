//! Certificates that fit, and those that do not: an error that names the variable, nothing sent in clear.

use super::receiver::{Answer, Receiver};
use super::*;
use crate::export::diag;
use crate::export::otlp::transport;
use crate::export::transport::{Kind, SendError, Signal};
use bytes::Bytes;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/export/tests/certs")
        .join(name)
}

fn path(name: &str) -> String {
    file(name).display().to_string()
}

/// A server's side of TLS with this certificate; `wants_client` asks for one of its own authority.
fn server_config(certificate: &str, wants_client: bool) -> Arc<ServerConfig> {
    let chain = vec![CertificateDer::from_pem_file(file(&format!("{certificate}.pem"))).unwrap()];
    let key = PrivateKeyDer::from_pem_file(file(&format!("{certificate}.key"))).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = if wants_client {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(file("ca.pem")).unwrap())
            .unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .unwrap();
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    Arc::new(builder.with_single_cert(chain, key).unwrap())
}

/// A collector over TLS.
fn receiver(certificate: &str, wants_client: bool) -> Receiver {
    let config = server_config(certificate, wants_client);
    let wrap = move |stream| {
        let connection = ServerConnection::new(config.clone()).ok()?;
        Some(Box::new(StreamOwned::new(connection, stream)) as Box<dyn super::receiver::Stream>)
    };
    Receiver::wrapped(TcpListener::bind("127.0.0.1:0").unwrap(), [], Arc::new(wrap))
}

fn config(url: &str, vars: &[(&str, String)]) -> Config {
    let (config, warnings) = Config::from(|name| {
        let set = vars.iter().find(|(n, _)| *n == name).map(|(_, value)| value.clone());
        set.or_else(|| (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| url.to_owned()))
    });
    assert!(warnings.is_empty(), "{warnings:?}");
    config
}

fn url(receiver: &Receiver) -> String {
    format!("https://localhost:{}", receiver.address.port())
}

/// Sends one request.
fn send(url: &str, vars: &[(&str, String)]) -> Result<(), SendError> {
    let transport = transport(config(url, vars).traces.otlp.as_ref().unwrap()).unwrap();
    let background = Background::start().unwrap();
    let sent = background.wait(Duration::from_secs(10), async move {
        transport
            .send(Signal::Traces, Bytes::from_static(b"\x0a\0"), 1)
            .await
            .map(|_| ())
    });
    sent.unwrap()
}

const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
#[cfg(feature = "grpc")]
const PROTOCOLS: [&str; 3] = ["http/protobuf", "http/json", "grpc"];
#[cfg(not(feature = "grpc"))]
const PROTOCOLS: [&str; 2] = ["http/protobuf", "http/json"];
const CA: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";
const KEY: &str = "OTEL_EXPORTER_OTLP_CLIENT_KEY";
const CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE";

#[test]
fn certificates_that_fit() {
    let plain = receiver("server", false);
    send(&url(&plain), &[(CA, path("ca.pem"))]).unwrap();
    assert_eq!(plain.requests().len(), 1);
    let mutual = receiver("server", true);
    let client = [
        (CA, path("ca.pem")),
        (KEY, path("client.key")),
        (CERTIFICATE, path("client.pem")),
    ];
    send(&url(&mutual), &client).unwrap();
    assert_eq!(mutual.requests().len(), 1);
}

#[test]
fn a_signal_s_own_files_hold_for_it() {
    const OWN: &str = "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE";
    let receiver = receiver("server", false);
    send(&url(&receiver), &[(CA, path("other-ca.pem")), (OWN, path("ca.pem"))]).unwrap();
    let error = send(&url(&receiver), &[(CA, path("ca.pem")), (OWN, path("other-ca.pem"))]).unwrap_err();
    assert!(error.message.starts_with(OWN), "{error}");
    let own = [
        (CA, path("ca.pem")),
        ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", path("client.key")),
        ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", path("client.pem")),
    ];
    let mutual = self::receiver("server", true);
    send(&url(&mutual), &own).unwrap();
    let Err(error) = transport(config(&url(&mutual), &own[..2]).traces.otlp.as_ref().unwrap()) else {
        panic!("a key without a certificate");
    };
    assert!(
        error.starts_with("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY is set"),
        "{error}"
    );
}

#[test]
fn certificates_that_do_not() {
    for (certificate, wants_client, vars, says) in [
        (
            "expired",
            false,
            vec![(CA, path("ca.pem"))],
            "OTEL_EXPORTER_OTLP_ENDPOINT: the server's certificate is expired",
        ),
        (
            "wrong-host",
            false,
            vec![(CA, path("ca.pem"))],
            "OTEL_EXPORTER_OTLP_ENDPOINT: the server's certificate is for another host",
        ),
        (
            "server",
            false,
            vec![(CA, path("other-ca.pem"))],
            "OTEL_EXPORTER_OTLP_CERTIFICATE: the server's certificate is of an authority that is not trusted",
        ),
        (
            "server",
            true,
            vec![(CA, path("ca.pem"))],
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY are not set",
        ),
    ] {
        for protocol in PROTOCOLS {
            let receiver = receiver(certificate, wants_client);
            let mut vars = vars.clone();
            vars.push((PROTOCOL, protocol.to_owned()));
            let error = send(&url(&receiver), &vars).unwrap_err();
            // Whether a server's reason arrives before the end of the connection is chance.
            assert!(error.kind == Kind::Tls || wants_client, "{protocol}: {error}");
            assert!(error.message.contains(says), "{protocol}: {error}");
            assert!(receiver.requests().is_empty());
        }
    }
}

#[test]
fn nothing_is_sent_in_clear() {
    for protocol in PROTOCOLS {
        // Somebody who speaks no TLS listens: all that reaches them is the beginning of a handshake.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heard = std::thread::spawn(move || {
            let mut bytes = [0; 3];
            let (mut stream, _) = listener.accept().unwrap();
            stream.read_exact(&mut bytes).unwrap();
            bytes
        });
        let vars = [
            (CA, path("ca.pem")),
            (PROTOCOL, protocol.to_owned()),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=secret".to_owned()),
        ];
        send(&format!("https://{address}"), &vars).unwrap_err();
        assert_eq!(heard.join().unwrap()[..2], [0x16, 0x03], "a TLS record");
    }
    let plain = Receiver::scripted([Answer::Ok]);
    send(&url(&plain), &[(CA, path("ca.pem"))]).unwrap_err();
    assert!(plain.requests().is_empty());
}

#[test]
fn files_that_are_wrong_are_named_at_the_start() {
    let missing = "/nowhere/x.pem".to_owned();
    for (vars, says) in [
        (
            vec![(CA, missing.clone())],
            "OTEL_EXPORTER_OTLP_CERTIFICATE=/nowhere/x.pem is no PEM file",
        ),
        (vec![(CA, path("server.key"))], "OTEL_EXPORTER_OTLP_CERTIFICATE="),
        (
            vec![(CA, path("ca.pem")), (KEY, path("client.key"))],
            "OTEL_EXPORTER_OTLP_CLIENT_KEY is set and OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE is not",
        ),
        (
            vec![(CA, path("ca.pem")), (CERTIFICATE, path("client.pem"))],
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE is set and OTEL_EXPORTER_OTLP_CLIENT_KEY is not",
        ),
        (
            vec![
                (CA, path("ca.pem")),
                (CERTIFICATE, path("client.pem")),
                (KEY, path("client.pem")),
            ],
            "OTEL_EXPORTER_OTLP_CLIENT_KEY=",
        ),
        (
            vec![
                (CA, path("ca.pem")),
                (CERTIFICATE, path("client.pem")),
                (KEY, path("server.key")),
            ],
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY do not fit",
        ),
        (
            vec![("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", missing)],
            "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE=/nowhere/x.pem",
        ),
    ] {
        let Err(error) = transport(config("https://localhost:1", &vars).traces.otlp.as_ref().unwrap()) else {
            panic!("{says}");
        };
        assert!(error.starts_with(says), "{error}");
    }
    assert_eq!(diag::tame("a\nb"), "a b");
}

/// A server that takes one connection after the other, as `alpn` has it; `greets` with the settings of HTTP/2, hangs up on who named
/// no protocol, or waits.
fn server(alpn: &[&[u8]], greets: Option<&'static [u8]>, hangs_up: bool) -> String {
    let mut config = (*server_config("server", false)).clone();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let config = Arc::new(config);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut stream = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream);
            while stream.conn.is_handshaking() && stream.conn.complete_io(&mut stream.sock).is_ok() {}
            if let Some(greeting) = greets {
                let _ = stream.write_all(greeting);
            }
            if !(hangs_up && stream.conn.alpn_protocol().is_none()) {
                // Until it has been looked at.
                let _ = stream.read(&mut [0]);
            }
        }
    });
    url
}

/// An empty frame of settings.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

#[test]
fn grpc_behind_tls_is_seen_before_anything_is_sent() {
    let background = Background::start().unwrap();
    let seen = |url: String| {
        let config = config(&url, &[(CA, path("ca.pem"))]);
        let otlp = config.traces.otlp.unwrap();
        background
            .wait(Duration::from_secs(10), async move {
                let stream = tokio::net::TcpStream::connect(otlp.url.authority()).await.unwrap();
                crate::export::otlp::greeting::is_http2(stream, &otlp).await
            })
            .unwrap()
    };
    assert!(seen(server(&[b"h2"], Some(SETTINGS), false)));
    assert!(seen(server(&[b"h2"], None, true)), "as grpc-go does");
    assert!(!seen(server(&[], None, false)));
    assert!(
        !seen(server(&[b"h2", b"http/1.1"], None, false)),
        "an HTTP/1.1 server may offer both"
    );
}
