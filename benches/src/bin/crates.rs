//! Promise: fewer crates than the hand-wired equal; no default features at most 8, `record` alone at most 20.
//!
//! `cargo run -p benches --bin crates`

use benches::package::{Package, vitalsign};

/// What one wires by hand for the same: spans, OTLP over HTTP/protobuf, log lines as JSON with a filter, the metrics page, the
/// probes. No TLS on either side.
const BY_HAND: &str = r#"
tracing = "0.1.44"
tracing-subscriber = { version = "0.3.23", features = ["env-filter", "json"] }
tracing-log = "0.2"
opentelemetry = "0.33"
opentelemetry_sdk = { version = "0.33", features = ["rt-tokio"] }
opentelemetry-otlp = { version = "0.33", default-features = false, features = ["trace", "metrics", "logs", "http-proto", "reqwest-client"] }
tracing-opentelemetry = "0.34"
opentelemetry-appender-tracing = "0.33"
prometheus-client = "0.25"
axum = { version = "0.8", default-features = false, features = ["http1", "tokio"] }
tokio = { version = "1", features = ["rt-multi-thread", "net", "time", "signal"] }
"#;

fn main() {
    let count = |name: &str, dependencies: &str| Package::new(name, dependencies, "", "").crates().len();
    let none = count("crates-none", &vitalsign(""));
    let record = count("crates-record", &vitalsign("\"record\""));
    let default = count("crates-default", &vitalsign("\"default\""));
    let by_hand = count("crates-by-hand", BY_HAND);
    println!("crates, build scripts' and macros' included");
    println!("{none:>5}  vitalsign without default features (at most 8)");
    println!("{record:>5}  vitalsign with `record` alone (at most 20)");
    println!("{default:>5}  vitalsign with default features");
    println!("{by_hand:>5}  the same wired by hand");
    if none > 8 || record > 20 || default >= by_hand {
        eprintln!("more than promised");
        std::process::exit(1);
    }
}
