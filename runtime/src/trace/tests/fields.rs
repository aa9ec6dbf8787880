//! Attributes, the names `otel.*`, and the limits.

use super::*;

#[test]
fn attributes_of_every_type() {
    struct Shown;
    impl fmt::Display for Shown {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("shown")
        }
    }
    impl fmt::Debug for Shown {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            tracing::info!("a line from inside a field");
            let _inner = tracing::info_span!("from inside a field").entered();
            panic!("in a field");
        }
    }
    let traced = Traced::new(|_| ());
    traced.run(|| {
        let error = std::io::Error::other("broken");
        let error: &(dyn std::error::Error + 'static) = &error;
        let span = tracing::info_span!(
            "all",
            yes = true,
            small = -3_i64,
            large = u64::MAX,
            huge = i128::MIN,
            real = 0.25,
            text = "text",
            owned = String::from("owned"),
            shown = %Shown,
            panics = ?Shown,
            error,
            bytes = b"\x00\xff".as_slice(),
            again = 1
        );
        span.record("again", 2);
    });
    let span = traced.span("all");
    assert_eq!(value(&span, "yes"), Some(Value::BoolValue(true)));
    assert_eq!(value(&span, "small"), Some(Value::IntValue(-3)));
    assert_eq!(text(&span, "large").unwrap(), u64::MAX.to_string());
    assert_eq!(text(&span, "huge").unwrap(), i128::MIN.to_string());
    assert_eq!(value(&span, "real"), Some(Value::DoubleValue(0.25)));
    assert_eq!(text(&span, "text").unwrap(), "text");
    assert_eq!(text(&span, "owned").unwrap(), "owned");
    assert_eq!(text(&span, "shown").unwrap(), "shown");
    assert_eq!(text(&span, "panics").unwrap(), "<panicked while formatting>");
    assert_eq!(text(&span, "error").unwrap(), "broken");
    assert_eq!(value(&span, "bytes"), Some(Value::BytesValue(vec![0, 255])));
    assert_eq!(value(&span, "again"), Some(Value::IntValue(2)), "the later one holds");
    assert!(traced.lines().is_empty());
    assert_eq!(traced.spans().len(), 1);
}

#[test]
fn otel_names_are_heard() {
    let traced = Traced::new(|_| ());
    traced.run(|| {
        tracing::info_span!(
            "a",
            otel.name = "GET /x",
            otel.kind = "SERVER",
            otel.status_code = "ERROR",
            otel.status_description = "no"
        )
        .in_scope(|| ());
        tracing::info_span!("b", otel.kind = "client", otel.status_code = "ok", otel.other = 1).in_scope(|| ());
    });
    let a = traced.span("GET /x");
    assert_eq!(a.kind, 2);
    let status = a.status.unwrap();
    assert_eq!((status.code, &*status.message), (2, "no"));
    let b = traced.span("b");
    assert_eq!((b.kind, b.status.as_ref().unwrap().code), (3, 1));
    assert_eq!(value(&b, "otel.other"), Some(Value::IntValue(1)));
    assert_eq!(value(&b, "otel.kind"), None);
}

#[test]
fn a_description_alone_says_that_it_failed() {
    let traced = Traced::new(|_| ());
    traced.run(|| {
        tracing::info_span!("failed", otel.status_description = "no").in_scope(|| ());
        let well = tracing::info_span!("well");
        well.in_scope(|| {
            crate::trace::hand::current().set_status(crate::trace::Status::Error("no".into()));
            crate::trace::hand::current().set_status(crate::trace::Status::Ok);
        });
    });
    let status = |name| traced.span(name).status.map(|status| (status.code, status.message));
    assert_eq!(status("failed"), Some((2, "no".to_owned())));
    assert_eq!(status("well"), Some((1, String::new())), "an Ok that was said is final");
}

#[test]
fn what_a_span_says_itself_stands_once() {
    let traced = Traced::new(|setup| setup.span_events = true);
    traced.run(|| {
        tracing::info_span!("placed").in_scope(|| {
            let current = crate::trace::hand::current();
            current.set("code.file.path", "elsewhere");
            current.event("e", [("k", 1.into()), ("l", 2.into()), ("k", 3.into())]);
            tracing::info!(level = 7, "line");
        });
        call(
            site!("failing"),
            || {
                crate::trace::hand::current().set("outcome", "mine");
                "x".parse::<u32>()
            },
            |ret, s| {
                use p::probe::*;
                (&&&&&&&&p::Probe(ret)).vitalsign_settle(s);
            },
        )
        .unwrap_err();
    });
    let placed = traced.span("placed");
    assert_eq!(text(&placed, "code.file.path").unwrap(), "elsewhere");
    assert!(value(&placed, "code.line.number").is_some());
    let of_event = |at: usize| -> Vec<_> {
        let attributes = placed.events[at].attributes.iter();
        attributes.map(|attribute| attribute.key.clone()).collect()
    };
    assert_eq!(of_event(0), ["l", "k"], "of two the later");
    assert_eq!(of_event(1), ["target", "level"]);
    assert_eq!(text(&traced.span("failing"), "outcome").unwrap(), "mine");
}

#[test]
fn what_is_recorded_again_needs_no_more_room() {
    let traced = Traced::new(|setup| setup.limits.attributes = 3);
    traced.run(|| {
        let span = tracing::info_span!("loop", n = 0, a = 1, later = tracing::field::Empty);
        for n in 1..=50 {
            span.record("n", n);
            span.record("later", n);
        }
        span.in_scope(|| {
            let current = crate::trace::hand::current();
            for n in 0..50_i64 {
                current.set("a", n);
                current.set("too many", n);
            }
        });
    });
    let span = traced.span("loop");
    for (key, last) in [("n", 50), ("later", 50), ("a", 49)] {
        assert_eq!(value(&span, key), Some(Value::IntValue(last)), "{key}");
    }
    assert_eq!((value(&span, "too many"), span.dropped_attributes_count), (None, 50));
}

/// Looking for each of them behind each other one would take longer than a flush waits.
#[test]
fn attributes_without_a_limit_are_encoded_at_once() {
    const MANY: usize = 40_000;
    let traced = Traced::new(|setup| setup.limits.attributes = u32::MAX);
    traced.run(|| {
        let span = tracing::info_span!("many");
        for n in 0..MANY {
            crate::trace::SpanExt::set_attribute(&span, &format!("k{n}"), n);
        }
        crate::trace::SpanExt::set_attribute(&span, "k0", "again");
    });
    let span = traced.span("many");
    assert_eq!(text(&span, "k0").as_deref(), Some("again"));
    assert!(span.attributes.len() >= MANY);
}

#[test]
fn what_is_said_of_the_span_takes_no_attribute_s_room() {
    let traced = Traced::new(|setup| {
        setup.limits.attributes = 1;
        setup.limits.attributes_per_event = 1;
        setup.limits.value_length = 4;
    });
    traced.run(|| {
        let span = tracing::info_span!("full", a = 1, otel.status_code = tracing::field::Empty);
        span.in_scope(|| {
            let current = crate::trace::hand::current();
            for n in 0..5000 {
                current.set("otel.name", &*format!("another name {n}"));
                current.set_status(crate::trace::Status::Error(format!("for no reason {n}")));
            }
            current.set("b", 1);
            current.event("e", [("x", 1.into()), ("y", 2.into())]);
            current.record_error(&std::io::Error::other("broken"));
        });
        let said = tracing::info_span!("x", a = 1, otel.status_code = tracing::field::Empty, otel.name = %"said");
        said.record("otel.status_code", "ERROR");
    });
    let span = traced.span("another name 4999");
    let status = span.status.as_ref().unwrap();
    assert_eq!((status.code, &*status.message), (2, "broken"));
    assert_eq!(value(&span, "a"), Some(Value::IntValue(1)));
    assert_eq!(span.dropped_attributes_count, 2, "`b` and `error.type`");
    let events: Vec<_> = span
        .events
        .iter()
        .map(|event| (event.attributes.len(), event.dropped_attributes_count))
        .collect();
    assert_eq!(events, [(1, 1), (1, 1)]);
    let said = traced.span("said");
    assert_eq!((said.status.unwrap().code, said.dropped_attributes_count), (2, 0));
}

#[test]
fn arguments_under_secret_names_are_hidden() {
    let traced = Traced::new(|setup| setup.span_events = true);
    traced.run(|| {
        let span = tracing::info_span!(
            "login",
            user = "ada",
            password = "hunter2",
            pin.token = 7,
            max_tokens = 8
        );
        span.record("password", "hunter3");
        span.in_scope(|| {
            tracing::info!(token = 7, tokens = 8, "a line");
            crate::trace::hand::current().event("by hand", [("token", 7.into())]);
        });
        with_fields(site!("meant", fields: &["token", "n"]), [&"shown", &1_u32], || ());
    });
    let span = traced.span("login");
    assert_eq!(text(&span, "user").unwrap(), "ada");
    assert_eq!(text(&span, "password").unwrap(), "[redacted]");
    assert_eq!(text(&span, "pin.token").unwrap(), "[redacted]");
    assert_eq!(value(&span, "max_tokens"), Some(Value::IntValue(8)));
    let of_event = |at: usize, key: &str| {
        let attribute = span.events[at].attributes.iter().find(|of| of.key == key).unwrap();
        attribute.value.clone().unwrap().value.unwrap()
    };
    assert_eq!(of_event(0, "token"), Value::StringValue("[redacted]".to_owned()));
    assert_eq!(of_event(0, "tokens"), Value::IntValue(8));
    assert_eq!(of_event(1, "token"), Value::IntValue(7), "given by hand, one by one");
    assert_eq!(
        text(&traced.span("meant"), "token").unwrap(),
        "shown",
        "`plain` says so"
    );
}

#[test]
fn integers_of_any_width_are_set_by_hand() {
    let traced = Traced::new(|_| ());
    traced.run(|| {
        tracing::info_span!("wide").in_scope(|| {
            let current = crate::trace::hand::current();
            current.set("len", [1, 2].len());
            current.set("most", u64::MAX);
            current.set("least", i128::MIN);
            current.set("owned", format!("{}-{}", 1, 2));
            current.event("e", [("len", [1, 2].len().into())]);
        });
    });
    let span = traced.span("wide");
    assert_eq!(value(&span, "len"), Some(Value::IntValue(2)));
    assert_eq!(text(&span, "most").unwrap(), u64::MAX.to_string());
    assert_eq!(text(&span, "least").unwrap(), i128::MIN.to_string());
    assert_eq!(text(&span, "owned").unwrap(), "1-2");
    assert_eq!(span.events[0].attributes.len(), 1);
}

#[test]
fn links_tell_the_flags_that_are_defined() {
    let traced = Traced::new(|_| ());
    let linked = SpanContext {
        trace_id: TraceId(1),
        span_id: SpanId(2),
        flags: TraceFlags(0xff),
        is_remote: true,
        trace_state: Some("a=1".into()),
        ..SpanContext::default()
    };
    traced.run(|| {
        let span = tracing::info_span!("linked");
        span.in_scope(|| crate::trace::hand::current().link(&linked));
    });
    let link = &traced.span("linked").links[0];
    assert_eq!((link.flags, &*link.trace_state), (0x303, "a=1"));
}

#[test]
fn limits_hold_and_drops_are_counted() {
    let traced = Traced::new(|setup| {
        setup.limits.attributes = 2;
        setup.limits.events = 1;
        setup.limits.links = 1;
        setup.limits.value_length = 3;
        setup.span_events = true;
    });
    traced.run(|| {
        let other = tracing::info_span!("other");
        let span = tracing::info_span!("limited", a = "äöüß", b = ?"long", c = 3, d = 4);
        span.follows_from(&other);
        span.follows_from(&other);
        span.in_scope(|| {
            tracing::info!(n = 1, "first");
            tracing::info!("second");
        });
    });
    let span = traced.span("limited");
    assert_eq!(text(&span, "a").unwrap(), "äöü");
    assert_eq!(text(&span, "b").unwrap(), "\"lo");
    assert_eq!(span.dropped_attributes_count, 2);
    assert_eq!((span.events.len(), span.dropped_events_count), (1, 1));
    assert_eq!(span.events[0].name, "first");
    assert_eq!((span.links.len(), span.dropped_links_count), (1, 1));
}

/// Takes the room of the span whose value it is while it is being formatted.
struct Greedy;

impl fmt::Debug for Greedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let current = crate::trace::hand::current();
        for n in 0..3 {
            current.set(&format!("set {n}"), n);
            current.event("by a value", []);
        }
        f.write_str("shown")
    }
}

#[test]
fn limits_hold_whoever_takes_the_room_meanwhile() {
    let traced = Traced::new(|setup| {
        (setup.limits.attributes, setup.limits.events) = (2, 2);
        setup.span_events = true;
    });
    traced.run(|| {
        let entered = tracing::info_span!("of tracing", n = tracing::field::Empty).entered();
        tracing::info!(n = ?Greedy, "line");
        entered.record("n", tracing::field::debug(Greedy));
        drop(entered);
        let shown = tracing_core::field::debug(Greedy);
        with_fields(site!("call", fields: &["n", "m"]), [&shown, &1_u32], || ());
    });
    for (name, attributes, events) in [("of tracing", 3, 5), ("call", 3, 1)] {
        let span = traced.span(name);
        let own = |key: &str| !key.starts_with("code.") && key != "outcome";
        let kept = span.attributes.iter().filter(|of| own(&of.key)).count();
        assert_eq!((kept, span.dropped_attributes_count), (2, attributes), "{name}");
        assert_eq!((span.events.len(), span.dropped_events_count), (2, events), "{name}");
    }
}

#[test]
fn an_event_limit_holds_across_threads() {
    const LIMIT: u32 = 64;
    let traced = Traced::new(|setup| setup.limits.events = LIMIT);
    for _ in 0..20 {
        let span = traced.run(|| tracing::info_span!("many"));
        let handle = crate::trace::subscriber::handle(&span.id().unwrap()).unwrap();
        let adds = || {
            for _ in 0..LIMIT / 2 {
                crate::trace::store::event(handle, "e", |_| std::thread::yield_now(), 0);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(adds);
            }
        });
    }
    let spans = traced.spans();
    assert_eq!(spans.len(), 20);
    for (_, span) in spans {
        let events = (span.events.len() as u32, span.dropped_events_count);
        assert_eq!(events, (LIMIT, LIMIT));
    }
}

#[test]
fn bytes_are_cut_to_the_limit() {
    let traced = Traced::new(|setup| setup.limits.value_length = 3);
    traced.run(|| {
        tracing::info_span!("bytes", long = [7_u8; 100].as_slice(), fits = [7_u8; 3].as_slice()).in_scope(|| {
            crate::current().set("set", [7_u8; 50].as_slice());
        });
    });
    let span = traced.span("bytes");
    for key in ["long", "fits", "set"] {
        assert_eq!(value(&span, key), Some(Value::BytesValue(vec![7; 3])), "{key}");
    }
}

#[test]
fn what_is_held_for_a_first_poll_has_the_same_limits() {
    let traced = Traced::new(|setup| {
        setup.limits.value_length = 3;
        setup.limits.attributes = 1;
    });
    traced.run(|| {
        let site = site!("held", fields: &["text", "bytes", "otel.kind", "otel.name"]);
        let mut call = p::Call::<SPAN>::prepare(site);
        assert!(call.on() && call.open());
        call.fields(&[&"longer", &[7_u8; 50].as_slice(), &"server", &"GET /x"]);
        block_on(p::future_prepared::<SPAN, _, _>(
            call,
            std::future::ready(()),
            |(), _| (),
        ));
    });
    let span = traced.span("GET /x");
    assert_eq!((span.kind, span.dropped_attributes_count), (2, 1));
    assert_eq!(
        (text(&span, "text").as_deref(), value(&span, "bytes")),
        (Some("lon"), None)
    );
}

/// A call with two fields.
fn with_fields<R>(site: &'static Site, fields: [&dyn p::Value; 2], body: impl FnOnce() -> R) -> R {
    let mut call = p::Call::<{ SPAN | SAID }>::idle(site);
    call.begin();
    if call.open() {
        call.fields(&fields);
    }
    call.enter();
    let ret = body();
    call.finish(&ret, |_, _| ());
    ret
}

#[test]
fn fields_stay_with_their_calls() {
    /// Asks for the current span by a handle while it is being formatted.
    struct Asks;
    impl fmt::Debug for Asks {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{}", crate::trace::hand::current().is_recording())
        }
    }
    let traced = Traced::new(|setup| setup.limits.attributes = 2);
    traced.run(|| {
        for n in 0..3_u32 {
            with_fields(site!("outer", fields: &["n", "of"]), [&n, &"outer"], || {
                with_fields(site!("inner", fields: &["n", "of"]), [&n, &"inner"], || {
                    if n == 1 {
                        crate::trace::hand::current().set("one too many", 1);
                    }
                });
                plain(site!("bare"), || ());
            });
        }
        with_fields(
            site!("asked", fields: &["n", "asks"]),
            [&7_u32, &tracing_core::field::debug(Asks)],
            || (),
        );
        let mut early = p::Call::<{ SPAN | SAID }>::idle(site!("early", fields: &["n"]));
        early.begin();
        assert!(early.open());
        early.fields(&[&1_u32 as &dyn p::Value]);
        early.enter();
        with_fields(site!("late", fields: &["n", "of"]), [&2_u32, &"late"], || {
            early.finish(&(), |(), _| ()); // out of order
        });
        assert!(crate::trace::current().is_none());
    });
    let spans = traced.spans();
    for (of, dropped) in [("outer", [0; 3]), ("inner", [0, 1, 0])] {
        let named: Vec<_> = spans.iter().filter(|(_, span)| span.name == of).collect();
        assert_eq!(named.len(), 3);
        for (n, (_, span)) in named.iter().enumerate() {
            assert_eq!(value(span, "n"), Some(Value::IntValue(n as i64)));
            assert_eq!(text(span, "of").unwrap(), of);
            assert_eq!(span.dropped_attributes_count, dropped[n]);
        }
    }
    for (_, bare) in spans.iter().filter(|(_, span)| span.name == "bare") {
        assert_eq!(value(bare, "n"), None, "nobody else's");
    }
    assert_eq!(value(&traced.span("asked"), "n"), Some(Value::IntValue(7)));
    assert!(text(&traced.span("asked"), "asks").is_some());
    assert_eq!(value(&traced.span("early"), "n"), Some(Value::IntValue(1)));
    assert_eq!(value(&traced.span("late"), "n"), Some(Value::IntValue(2)));
    assert_eq!(text(&traced.span("late"), "of").unwrap(), "late");
}

#[test]
fn fields_beyond_the_limit_are_counted() {
    let traced = Traced::new(|setup| setup.limits.attributes = 1);
    traced.run(|| with_fields(site!("many", fields: &["a", "b"]), [&1_u32, &2_u32], || ()));
    let span = traced.span("many");
    assert_eq!(value(&span, "a"), Some(Value::IntValue(1)));
    assert_eq!((value(&span, "b"), span.dropped_attributes_count), (None, 1));
}

#[test]
fn fields_of_a_call() {
    let traced = Traced::new(|_| ());
    traced.run(|| {
        let mut call = p::Call::<SPAN>::idle(site!("with fields", fields: &["n", "s"], kind: p::SpanKind::Producer));
        call.begin();
        assert!(call.open());
        call.fields(&[&7_u32 as &dyn p::Value, &"seven"]);
        call.enter();
        call.finish(&8_u8, |ret, s| {
            if s.recording() {
                s.ret(ret);
            }
        });
    });
    let span = traced.span("with fields");
    assert_eq!(span.kind, 4);
    assert_eq!(value(&span, "n"), Some(Value::IntValue(7)));
    assert_eq!(text(&span, "s").unwrap(), "seven");
    assert_eq!(value(&span, "return"), Some(Value::IntValue(8)));
}

/// A span of what many have in common, with one field more; and what is said of it then.
#[cfg(feature = "tower")]
fn in_common(traced: &Traced, number: u32, then: impl FnOnce(&crate::trace::active::ActiveSpan)) -> (bool, Span) {
    let site = site!("of many", fields: &["first"]);
    let mut begun = false;
    traced.run(|| {
        let mut span = crate::trace::active::ActiveSpan::default();
        span.open(site, 0, None);
        begun = span.common_fields(number, site, &[(0, Some(7_i64.into()))]);
        then(&span);
        span.close(crate::clock::now(), crate::outcome::CallOutcome::Ok);
    });
    (begun, traced.spans().pop().unwrap().1)
}

#[cfg(feature = "tower")]
fn kept() -> u32 {
    let attributes = vec![("http.route", "/orders".into()), ("url.scheme", "http".into())];
    crate::trace::common::keep("GET /orders", attributes).unwrap()
}

#[cfg(feature = "tower")]
#[test]
fn what_spans_have_in_common_is_said_of_each() {
    let (begun, span) = in_common(&Traced::new(|_| ()), kept(), |_| ());
    let attributes: Vec<_> = span.attributes.iter().map(|pair| &*pair.key).collect();
    assert!(begun);
    assert_eq!(span.name, "GET /orders");
    assert_eq!(attributes[..3], ["http.route", "url.scheme", "first"]);
    assert_eq!(text(&span, "http.route").unwrap(), "/orders");
    assert_eq!(value(&span, "first"), Some(Value::IntValue(7)));
}

#[cfg(feature = "tower")]
#[test]
fn what_is_said_of_one_span_holds_over_what_it_has_in_common() {
    for long in [false, true] {
        let (_, span) = in_common(&Traced::new(|_| ()), kept(), |span| {
            span.replace("otel.name", "its own");
            span.replace("http.route", "/else");
            if long {
                span.replace("long", &"x".repeat(5000));
            }
        });
        let count = |name: &str| span.attributes.iter().filter(|pair| pair.key == name).count();
        assert_eq!(span.name, "its own");
        assert_eq!(
            ["http.route", "url.scheme", "first", "otel.name"].map(count),
            [1, 1, 1, 0]
        );
        assert_eq!(text(&span, "http.route").unwrap(), "/else");
    }
}

#[cfg(feature = "tower")]
#[test]
fn what_spans_have_in_common_is_said_one_by_one_where_limits_cut_it() {
    let few = |setup: &mut TraceSetup| setup.limits.attributes = 2;
    let short = |setup: &mut TraceSetup| setup.limits.value_length = 6;
    for limited in [Traced::new(few), Traced::new(short)] {
        let (begun, span) = in_common(&limited, kept(), |_| ());
        assert!(!begun);
        assert_eq!((&*span.name, span.dropped_attributes_count), ("of many", 0));
    }
    let enough = Traced::new(|setup| (setup.limits.attributes, setup.limits.value_length) = (3, 7));
    assert!(in_common(&enough, kept(), |_| ()).0);
}
