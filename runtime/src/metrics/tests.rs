//! Annotated functions as a macro writes them, and what is gathered of them.

use super::registry::{self, gather};
use crate::__private as p;
use crate::export::snapshot::{Family, Kind, Number, PointValue};
use crate::{ErrorLabel, LabelValue, switch};

/// A site in the link-time list.
macro_rules! site {
    ($def:expr) => {{
        #[linkme::distributed_slice(p::SITES)]
        #[allow(unsafe_code, reason = "a link section counts as unsafe; linkme places it")]
        static SITE: p::Site = p::Site {
            def: $def,
            slots: p::Slots::new(),
        };
        &SITE
    }};
}

const fn function(function: &'static str) -> p::Def {
    p::Def {
        module: function,
        ..p::Def::bare(function)
    }
}

#[derive(Clone, Copy)]
enum Channel {
    Web,
    Shop,
}

impl LabelValue for Channel {
    const LEN: usize = 2;
    type Key = Self;
    fn index(&self) -> usize {
        *self as usize
    }
    fn value(index: usize) -> &'static str {
        ["web", "shop"][index]
    }
}

enum OrderError {
    Rejected,
    Lost,
    Repeated,
}

impl ErrorLabel for OrderError {
    const LEN: usize = 3;
    fn index(&self) -> usize {
        match self {
            Self::Rejected => 0,
            Self::Lost => 1,
            Self::Repeated => 2,
        }
    }
    fn value(index: usize) -> &'static str {
        ["rejected", "lost", "repeated"][index]
    }
    fn is_failure(&self) -> bool {
        !matches!(self, Self::Repeated)
    }
}

fn family(name: &str) -> Family {
    let mut found: Vec<_> = gather().into_iter().filter(|family| family.name == name).collect();
    assert_eq!(found.len(), 1, "{name}");
    found.remove(0)
}

/// `a=1 b=2 -> value` of each series that has these words.
fn series(name: &str, with: &str) -> Vec<String> {
    let mut lines: Vec<String> = family(name)
        .points
        .iter()
        .map(|point| {
            let labels: Vec<_> = point
                .labels
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            let value = match &point.value {
                PointValue::Number {
                    value: Number::U64(n), ..
                } => n.to_string(),
                PointValue::Number {
                    value: Number::I64(n), ..
                } => n.to_string(),
                PointValue::Number {
                    value: Number::F64(n), ..
                } => n.to_string(),
                other => format!("count {}", other.count()),
            };
            format!("{} -> {value}", labels.join(" "))
        })
        .filter(|line| line.contains(with))
        .collect();
    lines.sort();
    lines
}

fn place(channel: Channel, outcome: Result<u32, OrderError>) -> Result<u32, OrderError> {
    let site = site!(p::Def {
        module: "shop",
        fallible: true,
        counter: Some(p::CounterDef {
            name: Some("test.orders.placed"),
            help: "Orders.",
            labels: &[
                p::LabelDef {
                    key: "tier",
                    source: p::LabelSource::Const("gold")
                },
                p::LabelDef {
                    key: "channel",
                    source: p::LabelSource::Entry(Some(&p::LabelType::of::<Channel>())),
                },
                p::LabelDef {
                    key: "big",
                    source: p::LabelSource::Returned(Some(&p::LabelType::of::<bool>()))
                },
            ],
            ..p::CounterDef::DEFAULT
        }),
        timer: Some(p::TimerDef::DEFAULT),
        ..function("place")
    });
    let mut call = p::Call::<35>::idle(site);
    call.begin();
    if call.on() {
        call.count_labels(p::labels(&(p::label(&channel),)));
    }
    let ret = p::run(move || {
        assert!(!matches!(outcome, Ok(13)), "unlucky");
        outcome
    });
    call.finish(&ret, |ret, s| {
        use p::probe::*;
        (&&&&&&&p::Probe(ret)).vitalsign_settle(s);
        s.count_labels(p::labels(&(p::label(&p::apply(ret, |ret| {
            ret.as_ref().is_ok_and(|n| *n > 100)
        })),)));
    });
    ret
}

#[test]
fn labels_and_outcomes() {
    switch::set(true);
    let zeros = series("test.orders.placed", "");
    assert_eq!(zeros.len(), 2 * 2 * 2 + 2, "{zeros:#?}");
    assert!(zeros.iter().all(|line| line.ends_with("-> 0")), "{zeros:#?}");
    assert_eq!(
        series("function.duration", "module=shop"),
        ["function=place module=shop outcome=ok -> count 0"]
    );

    let _ = place(Channel::Web, Ok(1));
    let _ = place(Channel::Web, Ok(1000));
    let _ = place(Channel::Shop, Ok(1000));
    let _ = place(Channel::Shop, Err(OrderError::Rejected));
    let _ = place(Channel::Shop, Err(OrderError::Lost));
    let _ = place(Channel::Shop, Err(OrderError::Repeated));
    assert!(std::panic::catch_unwind(|| place(Channel::Shop, Ok(13))).is_err());

    let lines = series("test.orders.placed", "");
    for line in [
        "big=false channel=web tier=gold outcome=ok -> 1",
        "big=true channel=web tier=gold outcome=ok -> 1",
        "big=true channel=shop tier=gold outcome=ok -> 1",
        "big=false channel=shop tier=gold outcome=error error.type=rejected -> 1",
        "big=false channel=shop tier=gold outcome=error error.type=lost -> 1",
        "big=false channel=shop tier=gold outcome=ok -> 1",
        "big=none channel=shop tier=gold outcome=panic -> 1",
        "big=none channel=web tier=gold outcome=panic -> 0",
    ] {
        assert!(lines.iter().any(|have| have == line), "{line} in {lines:#?}");
    }
    assert_eq!(lines.len(), 12, "{lines:#?}");
    assert_eq!(
        series("function.duration", "module=shop"),
        [
            "function=place module=shop outcome=error error.type=lost -> count 1",
            "function=place module=shop outcome=error error.type=rejected -> count 1",
            "function=place module=shop outcome=ok -> count 4",
            "function=place module=shop outcome=panic -> count 1",
        ]
    );
}

fn generic<T: LabelValue>(value: T, amount: f64) {
    let site = site!(p::Def {
        counter: Some(p::CounterDef {
            name: Some("test.generic"),
            unit: "By",
            outcome: false,
            labels: &[p::LabelDef {
                key: "value",
                source: p::LabelSource::Entry(None)
            }],
            ..p::CounterDef::DEFAULT
        }),
        ..function("generic")
    });
    let mut call = p::Call::<33>::idle(site);
    call.begin();
    if call.on() {
        call.count_labels(p::labels(&(p::label(&value),)));
        call.by(amount);
    }
    call.finish(&(), |(), _| ());
}

#[test]
fn a_generic_function_has_a_table_for_each_type() {
    switch::set(true);
    generic(true, 1.5);
    generic(Channel::Shop, 2.0);
    generic(true, 2.0);
    generic(Some(Channel::Web), 3.0);
    generic(false, f64::NAN);
    generic(false, -1.0);
    assert_eq!(
        series("test.generic", ""),
        ["value=shop -> 2", "value=true -> 3.5", "value=web -> 3"]
    );
    let dropped = series("vitalsign.metrics.dropped", "");
    assert!(!dropped.contains(&"reason=not_finite -> 0".to_owned()), "{dropped:?}");
    assert!(!dropped.contains(&"reason=negative -> 0".to_owned()), "{dropped:?}");
}

fn limited(user: &str, body: impl FnOnce()) {
    static LIMIT: p::Limit = p::Limit::new(2);
    let site = site!(p::Def {
        counter: Some(p::CounterDef {
            name: Some("test.limited"),
            in_flight: true,
            labels: &[p::LabelDef {
                key: "user",
                source: p::LabelSource::Limited(&LIMIT)
            }],
            ..p::CounterDef::DEFAULT
        }),
        ..function("limited")
    });
    let mut call = p::Call::<41>::idle(site);
    call.begin();
    if call.on() {
        call.count_labels(p::labels(&(p::limit(&LIMIT, user),)));
        call.enter();
    }
    p::run(body);
    call.finish(&(), |(), _| ());
}

/// Says one series in two families, its labels in two orders.
struct TwoOrders;

impl registry::Source for TwoOrders {
    fn families(&self, out: &mut Vec<Family>) {
        let labels = [("a", "1"), ("b", "2")].map(|(key, value)| (key.into(), value.into()));
        let mut backwards = labels.clone();
        backwards.reverse();
        for (labels, value) in [(labels, 3), (backwards, 4)] {
            out.push(Family {
                name: "test.two_orders".into(),
                help: "".into(),
                unit: "".into(),
                kind: Kind::Counter,
                observed: false,
                scope: Vec::new(),
                points: vec![registry::point(labels.to_vec(), PointValue::number(Number::U64(value)))],
            });
        }
    }
}

#[test]
fn the_order_of_labels_makes_no_series() {
    registry::register(std::sync::Arc::new(TwoOrders));
    assert_eq!(series("test.two_orders", ""), ["a=1 b=2 -> 7"]);
}

/// Says one name in units that are none, that only name what is counted, and that differ.
struct TwoUnits;

impl registry::Source for TwoUnits {
    fn families(&self, out: &mut Vec<Family>) {
        for (unit, value) in [("s", 1), ("ms", 1000), ("{call}", 2), ("", 4), ("s", 8)] {
            out.push(Family {
                name: "test.two_units".into(),
                help: "".into(),
                unit: unit.into(),
                kind: Kind::Counter,
                observed: false,
                scope: Vec::new(),
                points: vec![registry::point(vec![], PointValue::number(Number::U64(value)))],
            });
        }
    }
}

#[test]
fn numbers_of_two_units_are_not_added_up() {
    registry::register(std::sync::Arc::new(TwoUnits));
    let families = registry::gather();
    let mine = families.iter().filter(|family| family.name == "test.two_units");
    let said: Vec<_> = mine
        .map(|family| {
            let PointValue::Number { value, .. } = family.points[0].value else {
                panic!()
            };
            (&*family.unit, value.as_f64())
        })
        .collect();
    assert_eq!(said, [("s", 9.0), ("ms", 1000.0), ("{call}", 6.0)]);
}

/// Says one name in two scopes, of two kinds, and again in the first.
struct TwoScopes;

impl registry::Source for TwoScopes {
    fn families(&self, out: &mut Vec<Family>) {
        for (scope, kind, observed) in [
            ("a", Kind::Counter, false),
            ("b", Kind::UpDownCounter, true),
            ("a", Kind::Counter, false),
        ] {
            let labels = vec![("otel.scope.name".into(), scope.into())];
            out.push(Family {
                name: "test.two_scopes".into(),
                help: scope.into(),
                unit: format!("{{{scope}}}").into(),
                kind,
                observed,
                scope: labels.clone(),
                points: vec![registry::point(labels, PointValue::number(Number::U64(1)))],
            });
        }
    }
}

#[test]
fn a_name_is_one_of_its_own_in_each_scope() {
    registry::register(std::sync::Arc::new(TwoScopes));
    let families = registry::gather();
    let mine = families.iter().filter(|family| family.name == "test.two_scopes");
    let said: Vec<_> = mine
        .map(|family| {
            let PointValue::Number { value, .. } = family.points[0].value else {
                panic!()
            };
            let said = (&*family.help, &*family.unit, family.kind, family.observed);
            (said, family.points.len(), value)
        })
        .collect();
    let first = (("a", "{a}", Kind::Counter, false), 1, Number::U64(2));
    let second = (("b", "{b}", Kind::UpDownCounter, true), 1, Number::U64(1));
    assert_eq!(said, [first, second]);
}

#[test]
fn limits_share_and_say_so() {
    switch::set(true);
    for user in ["ann", "ben", "cid", "dan", "ann"] {
        limited(user, || ());
    }
    limited("ann", || {
        assert_eq!(
            series("test.limited.in_flight", ""),
            ["user=ann -> 1", "user=ben -> 0", "user=other -> 0"]
        );
    });
    let panicked = std::panic::catch_unwind(|| limited("ann", || panic!("in flight")));
    assert!(panicked.is_err());
    assert_eq!(
        series("test.limited.in_flight", "ann"),
        ["user=ann -> 0"],
        "a panic ends the flight"
    );
    assert_eq!(
        series("test.limited", "outcome=ok"),
        [
            "user=ann outcome=ok -> 3",
            "user=ben outcome=ok -> 1",
            "user=other outcome=ok -> 2"
        ]
    );
    assert_eq!(
        series("vitalsign.label.overflow", "test.limited"),
        ["label=user metric=test.limited -> 2"]
    );
}

fn short() {
    let site = site!(p::Def {
        counter: Some(p::CounterDef::DEFAULT),
        ..function("short")
    });
    let mut call = p::Call::<33>::idle(site);
    call.begin();
    call.finish(&(), |(), _| ());
}

#[test]
fn nothing_is_lost_when_threads_come_and_go() {
    switch::set(true);
    let before = super::cell::series();
    for _ in 0..100 {
        std::thread::scope(|scope| {
            for _ in 0..100 {
                scope.spawn(|| (0..10).for_each(|_| short()));
            }
        });
    }
    assert_eq!(
        series("function.calls", "module=short"),
        [
            "function=short module=short outcome=ok -> 100000",
            "function=short module=short outcome=panic -> 0"
        ]
    );
    // Other tests run beside this one; ten thousand threads with cells of their own would show.
    assert!(super::cell::series() - before < 5000);
}
