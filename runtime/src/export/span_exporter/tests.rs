use super::*;
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::trace::InMemorySpanExporter;

const BOUNDS: Bounds = Bounds {
    queue: 4,
    timeout: Duration::from_millis(200),
};

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

/// Two spans, encoded by hand of the decoder's own types.
fn two() -> Arc<[u8]> {
    use opentelemetry_proto::tonic::trace::v1 as proto;
    use prost::Message as _;
    let span = |name: &str| proto::Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        name: name.to_owned(),
        ..proto::Span::default()
    };
    let scope = proto::ScopeSpans {
        spans: vec![span("a"), span("b")],
        ..proto::ScopeSpans::default()
    };
    let resource = proto::ResourceSpans {
        scope_spans: vec![scope],
        ..proto::ResourceSpans::default()
    };
    resource.encode_to_vec().into()
}

fn start(exporter: impl SpanExporter + 'static) -> Arc<Outlet> {
    Outlet::start(Box::new(exporter), &Resource::default(), BOUNDS).expect("a thread")
}

#[test]
fn spans_reach_it_in_order() {
    let memory = InMemorySpanExporter::default();
    let outlet = start(memory.clone());
    outlet.push(&two(), 2);
    assert!(outlet.flush(soon()));
    let names: Vec<_> = memory
        .get_finished_spans()
        .expect("spans")
        .into_iter()
        .map(|span| span.name)
        .collect();
    assert_eq!(names, ["a", "b"]);
    assert!(outlet.shutdown(soon()) && memory.is_shutdown_called());
    outlet.push(&two(), 2);
    assert_eq!((outlet.losses(), outlet.flush(soon())), (2, true));
}

/// What a bad day does.
#[derive(Debug)]
enum Hostile {
    Panics,
    Fails,
    /// Its future is never done.
    Hangs,
    /// It holds the thread.
    Blocks(std::sync::mpsc::Sender<()>),
}

impl SpanExporter for Hostile {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        match self {
            Self::Panics => panic!("no"),
            Self::Fails => Err(OTelSdkError::InternalFailure("no".into())),
            Self::Hangs => std::future::pending().await,
            Self::Blocks(began) => {
                let _ = began.send(());
                loop {
                    std::thread::park();
                }
            }
        }
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        panic!("not at the end either");
    }

    fn set_resource(&mut self, _: &opentelemetry_sdk::Resource) {
        panic!("nor at the beginning");
    }
}

fn lost(outlet: &Outlet, why: Loss) -> u64 {
    outlet.lost[why as usize].load(Relaxed)
}

#[test]
fn one_that_fails_loses_its_own_and_goes_on() {
    for (hostile, why) in [
        (Hostile::Panics, Loss::Panicked),
        (Hostile::Fails, Loss::Failed),
        (Hostile::Hangs, Loss::TimedOut),
    ] {
        let outlet = start(hostile);
        for round in 1..=2 {
            outlet.push(&two(), 2);
            assert!(outlet.flush(soon()));
            assert_eq!(lost(&outlet, why), 2 * round);
        }
        assert!(outlet.shutdown(soon()));
        assert_eq!(outlet.losses(), 4);
    }
}

#[test]
fn one_that_blocks_costs_a_bounded_queue_and_the_deadline() {
    let (began, begun) = std::sync::mpsc::channel();
    let outlet = start(Hostile::Blocks(began));
    outlet.push(&two(), 2);
    begun.recv().expect("it began");
    for _ in 0..1000 {
        outlet.push(&two(), 2);
    }
    assert_eq!((outlet.state().spans, lost(&outlet, Loss::QueueFull)), (4, 1996));
    assert!(!outlet.flush(Instant::now() + Duration::from_millis(20)));
    assert!(!outlet.shutdown(Instant::now() + Duration::from_millis(20)));
    assert_eq!((lost(&outlet, Loss::Shutdown), outlet.state().spans), (6, 0));
    let mut out = Vec::new();
    registry::Source::families(&Families, &mut out);
    assert!(out.iter().any(|family| family.name == "vitalsign.span_exporter.lost"));
}
