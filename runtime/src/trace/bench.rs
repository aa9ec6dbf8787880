//! Figures of the hot path; run with `cargo test --release --lib trace::bench -- --ignored --nocapture --test-threads=1`.

#![allow(
    clippy::needless_borrow,
    clippy::unchecked_time_subtraction,
    reason = "written as the macros write; clocks that only go on"
)]
use super::event::EventSink;
use super::pipeline::{EncodedSpans, SpanSink, TraceSetup, install};
use super::sampler::{Ratio, Root, Sampler};
use super::*;
use crate::__private as p;
use crate::probe::ErrorRef;
use crate::site::Site;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing_core::subscriber::Interest;
use tracing_core::{Event, LevelFilter, Metadata};

struct Null(std::sync::atomic::AtomicU64);
impl SpanSink for Null {
    fn spans(&self, batch: EncodedSpans) {
        black_box(&batch.bytes);
        self.0.fetch_add(batch.count, Ordering::Relaxed);
    }
}
impl EventSink for Null {
    fn interest(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::never()
    }
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        false
    }
    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::INFO)
    }
    fn event(&self, _: &Event<'_>, _: Option<&SpanContext>) {}
    fn error(&self, _: &'static Site, _: &ErrorRef<'_>, _: Option<&SpanContext>) {}
}

macro_rules! site {
    ($name:literal) => {{
        static SITE: p::Site = p::Site {
            def: p::Def {
                function: $name,
                module: module_path!(),
                file: file!(),
                line: line!(),
                asynchronous: false,
                fallible: false,
                span: Some(p::SpanDef {
                    name: $name,
                    ..p::SpanDef::DEFAULT
                }),
                counter: None,
                timer: None,
            },
            slots: p::Slots::new(),
        };
        &SITE
    }};
}
macro_rules! field_site {
    ($name:literal) => {{
        static SITE: p::Site = p::Site {
            def: p::Def {
                function: $name,
                module: module_path!(),
                file: file!(),
                line: line!(),
                asynchronous: false,
                fallible: false,
                span: Some(p::SpanDef {
                    name: $name,
                    fields: &["order.id", "channel"],
                    ..p::SpanDef::DEFAULT
                }),
                counter: None,
                timer: None,
            },
            slots: p::Slots::new(),
        };
        &SITE
    }};
}

#[inline(never)]
fn root(n: u64) -> u64 {
    let mut call = p::Call::<4>::idle(site!("root"));
    call.entered();
    let ret = p::run(|| n.wrapping_mul(3));
    if let Some(s) = call.settling() {
        let ended = s.ended();
        call.end(&ended);
    }
    ret
}
#[inline(never)]
fn with_fields(n: u64) -> u64 {
    let mut call = p::Call::<4>::idle(field_site!("with_fields"));
    call.begin();
    if call.on() && call.open() {
        call.fields(&[&n as &dyn p::Value, &"web"]);
    }
    call.enter();
    let ret = p::run(|| n.wrapping_mul(3));
    if let Some(s) = call.settling() {
        let ended = s.ended();
        call.end(&ended);
    }
    ret
}
#[inline(never)]
fn tree(n: u64) -> u64 {
    let mut call = p::Call::<4>::idle(site!("tree"));
    call.entered();
    let mut sum = 0;
    for i in 0..99 {
        sum += root(n + i);
    }
    if let Some(s) = call.settling() {
        let ended = s.ended();
        call.end(&ended);
    }
    sum
}
#[inline(never)]
fn instrumented(n: u64) -> u64 {
    let span = tracing::info_span!("instrumented");
    let _e = span.enter();
    n.wrapping_mul(3)
}
#[inline(never)]
fn bare(n: u64) -> u64 {
    n.wrapping_mul(3)
}

fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap().split_whitespace().collect();
    Duration::from_millis((fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) * 10)
}

fn measure(name: &str, spans_per_call: u64, pipeline: &Pipeline, f: impl Fn(u64) -> u64) {
    let mut rounds = Vec::new();
    let dropped = stats().dropped_ring;
    let (cpu0, mut total) = (cpu(), 0);
    for _ in 0..25 {
        let calls = 4000 / spans_per_call.max(1);
        let mut best = f64::MAX;
        for _ in 0..8 {
            let start = Instant::now();
            for n in 0..calls {
                black_box(f(black_box(n)));
            }
            best = best.min(start.elapsed().as_nanos() as f64 / (calls * spans_per_call) as f64);
            total += calls * spans_per_call;
            pipeline.flush(Instant::now() + Duration::from_secs(5));
        }
        rounds.push(best);
    }
    rounds.sort_by(f64::total_cmp);
    println!(
        "{name:32} {:7.1} ns (min {:.1})  cpu/span {:6.1}  dropped {}",
        rounds[rounds.len() / 2],
        rounds[0],
        (cpu() - cpu0).as_nanos() as f64 / total as f64,
        stats().dropped_ring - dropped
    );
}

#[test]
#[ignore = "figures"]
fn figures() {
    let null = Arc::new(Null(0.into()));
    let which = std::env::var("CASE").unwrap_or_default();
    let mut setup = TraceSetup::new(null.clone(), null.clone());
    if which == "out" {
        setup.sampler = Sampler::ParentBased(Root::Ratio(Ratio::new(0.0)));
    }
    let pipeline = install(setup).unwrap();
    measure("off: bare", 1, &pipeline, bare);
    measure("off: root", 1, &pipeline, root);
    crate::switch::set(true);
    measure("root", 1, &pipeline, root);
    measure("root with 2 fields", 1, &pipeline, with_fields);
    measure("1 + 99", 100, &pipeline, tree);
    measure("tracing span root", 1, &pipeline, instrumented);
    println!("{:?}", stats());
}

fn micro(name: &str, f: impl Fn()) {
    let mut best = f64::MAX;
    for _ in 0..50 {
        let start = Instant::now();
        for _ in 0..2000 {
            f();
        }
        best = best.min(start.elapsed().as_nanos() as f64 / 2000.0);
    }
    println!("{name:32} {best:7.1} ns");
}

#[test]
#[ignore = "figures"]
fn micros() {
    use super::store::{self, Live, SLAB};
    use super::{local, stack::Frame};
    println!(
        "Head {} Live {} Frame {} Ids {} Active {} Call {}",
        size_of::<store::Head>(),
        size_of::<Live>(),
        size_of::<Frame>(),
        size_of::<local::Ids>(),
        size_of::<active::ActiveSpan>(),
        size_of::<p::Call<4>>()
    );
    let null = Arc::new(Null(0.into()));
    let pipeline = install(TraceSetup::new(null.clone(), null.clone())).unwrap();
    micro("clock::now", || {
        black_box(crate::clock::now());
    });
    micro("local::with", || {
        local::with(|l| {
            black_box(&l.stack);
        });
    });
    micro("is_formatting", || {
        black_box(local::is_formatting());
    });
    micro("get_default + downcast", || {
        tracing_core::dispatcher::get_default(|d| {
            black_box(d.downcast_ref::<subscriber::Recorder>().is_some());
        });
    });
    micro("span id", || {
        local::with(|l| {
            black_box(l.rng.span_id());
        });
    });
    micro("trace id", || {
        local::with(|l| {
            black_box(l.rng.trace_words());
        });
    });
    micro("counter", || {
        local::with(|l| {
            l.counters().started.add(1);
        });
    });
    let site = site!("m");
    micro("metadata", || {
        black_box(black_box(site).metadata());
    });
    micro("slab fill+release", || {
        local::with(|l| {
            let free = l.free_slot().unwrap();
            let h = SLAB
                .fill(free, |live| {
                    live.fixed.parent = 1;
                })
                .unwrap();
            let c = SLAB.release(h, |_| ()).unwrap();
            l.recycle(c.free());
        });
    });
    let shared = &drain::pipeline(1).unwrap();
    let start = store::Start {
        meta: site.metadata(),
        site: Some(site),
        kind: p::SpanKind::Internal,
        parent: store::ParentRef::Root,
        ticks: 1,
    };
    micro("start + discard", || {
        let mut ids = local::Ids::default();
        let h = local::with(|l| store::start(shared, l, &start, &mut ids))
            .flatten()
            .unwrap();
        let c = SLAB.release(h, |_| ()).unwrap();
        local::with(|l| l.recycle(c.free()));
    });
    drop(pipeline);
}
