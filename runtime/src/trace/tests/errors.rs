//! What a span says of an error and of a panic.

use super::*;

#[test]
fn an_error_is_told_where_it_surfaced() {
    let traced = Traced::new(|_| ());
    traced.run(|| wrong().unwrap_err());
    let (top, deep) = (traced.span("top"), traced.span("deep"));
    let message = "invalid digit found in string";
    assert_eq!(deep.status.as_ref().unwrap().code, 2);
    assert_eq!(deep.status.as_ref().unwrap().message, message);
    assert_eq!(text(&deep, "error.type").unwrap(), "core::num::error::ParseIntError");
    assert_eq!(text(&deep, "outcome").unwrap(), "error");
    let event = &deep.events[0];
    assert_eq!(event.name, "exception");
    assert!(event.time_unix_nano >= deep.start_time_unix_nano && event.time_unix_nano <= deep.end_time_unix_nano);
    let keys: Vec<&str> = event.attributes.iter().map(|attribute| &*attribute.key).collect();
    assert_eq!(keys, ["exception.type", "exception.message"]);
    assert_eq!(top.status.as_ref().unwrap().code, 2);
    assert!(text(&top, "error.type").unwrap().ends_with("Outer"));
    assert!(top.events.is_empty(), "passed on");
    let lines = traced.lines();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].0, format!("error in deep: {message}"));
    assert_eq!(lines[0].1.as_ref().unwrap().span_id.0.to_be_bytes(), *deep.span_id);
}

#[test]
fn an_error_that_returns_after_many_is_told_once() {
    let traced = Traced::new(|_| ());
    let attempt = |n: u32| {
        call(
            site!("attempt"),
            || Err::<(), _>(format!("attempt {n}")),
            |ret, s| {
                use p::probe::*;
                (&&&&&&&&p::Probe(ret)).vitalsign_settle(s);
            },
        )
    };
    let retried = traced.run(|| {
        call(
            site!("retries"),
            || {
                (0..99).for_each(|n| assert!(attempt(n).is_err()));
                attempt(99)
            },
            |ret, s| {
                use p::probe::*;
                (&&&&&&&&p::Probe(ret)).vitalsign_settle(s);
            },
        )
    });
    assert_eq!(retried, Err("attempt 99".to_owned()));
    let retries = traced.span("retries");
    assert_eq!(retries.status.unwrap().message, "attempt 99");
    assert!(retries.events.is_empty(), "passed on: {:?}", retries.events);
    assert_eq!(traced.lines().len(), 100, "a line for each attempt");
}

#[test]
fn an_unrecorded_error_is_told_once_too() {
    let traced = Traced::new(|setup| setup.sampler = Sampler::AlwaysOff);
    traced.run(|| wrong().unwrap_err());
    assert!(traced.spans().is_empty());
    assert_eq!(traced.lines().len(), 1);
}

#[test]
fn what_is_said_of_a_span_that_is_off_is_said_of_no_other() {
    let traced = Traced::new(|_| ());
    traced.run(|| {
        tracing::info_span!("around").in_scope(|| {
            call(
                site!("off", level: p::Level::DEBUG),
                || "x".parse::<u32>(),
                |ret, s| {
                    use p::probe::*;
                    s.ret(&"returned");
                    (&&&&&&&&p::Probe(ret)).vitalsign_settle(s);
                },
            )
            .unwrap_err();
        });
    });
    let around = traced.span("around");
    assert_eq!((around.status.clone(), around.events.len()), (None, 0), "{around:?}");
    assert_eq!(
        (text(&around, "return"), text(&around, "error.type")),
        (None, None),
        "{around:?}"
    );
    assert!(traced.lines().is_empty());
}

#[test]
fn a_panic_says_what_and_where() {
    let traced = Traced::new(|_| ());
    let caught = traced.run(|| {
        std::panic::catch_unwind(|| plain(site!("above"), || plain(site!("below"), || panic!("gone {}", "wrong"))))
    });
    assert!(caught.is_err());
    let (above, below) = (traced.span("above"), traced.span("below"));
    for span in [&above, &below] {
        assert_eq!(span.status.as_ref().unwrap().message, "gone wrong");
        assert_eq!(text(span, "outcome").unwrap(), "panic");
        assert_eq!(text(span, "error.type").unwrap(), "panic");
    }
    assert!(above.events.is_empty());
    let event = &below.events[0];
    assert_eq!(event.attributes.len(), 3);
    assert!(
        matches!(&event.attributes[2].value.as_ref().unwrap().value, Some(Value::StringValue(at)) if at.contains(file!()))
    );
    assert!(traced.run(crate::trace::current).is_none(), "the stack is empty again");
}

#[test]
fn an_ok_that_was_said_outlasts_errors_and_panics() {
    fn well() {
        crate::current().set_status(crate::trace::Status::Ok);
    }
    let traced = Traced::new(|_| ());
    traced.run(|| {
        tracing::info_span!("by hand").in_scope(|| {
            well();
            crate::current().record_error(&std::io::Error::other("handled"));
        });
        let returns = || {
            well();
            "x".parse::<u32>()
        };
        let _ = call(site!("returned"), returns, |ret, s| {
            use p::probe::*;
            (&&&&&&&&p::Probe(ret)).vitalsign_settle(s);
        });
        let panics = || {
            well();
            panic!("caught")
        };
        assert!(std::panic::catch_unwind(|| plain(site!("unwound"), panics)).is_err());
    });
    for name in ["by hand", "returned", "unwound"] {
        let span = traced.span(name);
        let status = span.status.as_ref().unwrap();
        assert_eq!((status.code, &*status.message), (1, ""), "{name}");
        assert!(text(&span, "error.type").is_some(), "{name}");
    }
}

#[test]
fn a_panic_that_is_over_is_told_of_no_other_span() {
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
    let traced = Traced::new(|_| ());
    let resumed = |site| catch_unwind(AssertUnwindSafe(|| plain(site, || resume_unwind(Box::new("resumed")))));
    traced.run(|| {
        assert!(catch_unwind(|| panic!("under no span")).is_err());
        assert!(resumed(site!("after one under no span")).is_err());
        let _ = catch_unwind(|| {
            plain(site!("around"), || {
                let first = catch_unwind(|| plain(site!("first"), || panic!("of the first"))).unwrap_err();
                plain(site!("between"), || ());
                plain(site!("passes it on"), || {
                    assert!(catch_unwind(|| plain(site!("second"), || panic!("of the second"))).is_err());
                });
                assert!(resumed(site!("after two")).is_err());
                resume_unwind(first)
            });
        });
        let _ = catch_unwind(|| {
            plain(site!("goes on"), || {
                let caught = catch_unwind(|| plain(site!("begins"), || panic!("caught and gone on with")));
                plain(site!("cleans up"), || ());
                resume_unwind(caught.unwrap_err())
            });
        });
    });
    for (name, message) in [
        ("after one under no span", ""),
        ("first", "of the first"),
        ("second", "of the second"),
        ("after two", ""),
        ("around", ""),
        ("begins", "caught and gone on with"),
        ("goes on", "caught and gone on with"),
    ] {
        let span = traced.span(name);
        assert_eq!(span.status.as_ref().unwrap().message, message, "{name}");
        assert_eq!(text(&span, "outcome").unwrap(), "panic", "{name}");
    }
    assert!(traced.span("goes on").events.is_empty(), "told by the one it began in");
}

#[test]
fn a_source_that_panics_ends_the_chain() {
    #[derive(Debug)]
    struct Bad;
    impl fmt::Display for Bad {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("bad")
        }
    }
    impl std::error::Error for Bad {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            panic!("in a source")
        }
    }
    let traced = Traced::new(|_| ());
    let returned = traced.run(|| {
        call(
            site!("source panics"),
            || Err::<(), _>(Bad),
            |ret, s| {
                use p::probe::*;
                (&&&&&&&&p::Probe(ret)).vitalsign_settle(s);
            },
        )
    });
    assert!(returned.is_err());
    let span = traced.span("source panics");
    assert_eq!(span.status.as_ref().unwrap().message, "bad");
    assert_eq!(text(&span, "outcome").unwrap(), "error");
}

/// Of a statement whose rows are dropped as its function unwinds.
#[test]
fn what_is_only_held_takes_no_panic_from_the_spans_around() {
    use crate::outcome::CallOutcome;
    struct Held(crate::trace::active::ActiveSpan);
    impl Drop for Held {
        fn drop(&mut self) {
            self.0.close(0, CallOutcome::Panic);
        }
    }
    let traced = Traced::new(|_| ());
    traced.run(|| {
        let caught = std::panic::catch_unwind(|| {
            plain(site!("holds"), || {
                let mut span = crate::trace::active::ActiveSpan::default();
                span.open(site!("is held"), 0, None);
                let _held = Held(span);
                panic!("of all")
            })
        });
        assert!(caught.is_err());
    });
    let holds = traced.span("holds");
    assert_eq!(holds.status.as_ref().unwrap().message, "of all");
    assert_eq!(holds.events.len(), 1, "told here");
    assert_eq!(text(&traced.span("is held"), "outcome").as_deref(), Some("panic"));
}
