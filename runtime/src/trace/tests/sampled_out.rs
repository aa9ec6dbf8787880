//! Spans that are not kept: by the sampler, by a parent that was not sampled, by the tail rules.

use super::*;
use crate::trace::chosen::{Asked, Choose, Chosen, Custom};

#[test]
fn a_sampled_out_parent_keeps_its_children_out() {
    let traced = Traced::new(|setup| setup.sampler = Sampler::ParentBased(Root::AlwaysOff));
    let (outer, inner, spawned) = traced.run(|| {
        plain(site!("out"), || {
            let outer = crate::trace::current().unwrap();
            let here = tracing::Span::current();
            assert!(!here.is_none(), "a spawned task can be put under it");
            let dispatch = traced.dispatch.clone();
            let spawned = std::thread::spawn(move || {
                dispatcher::with_default(&dispatch, || {
                    here.in_scope(|| plain(site!("spawned"), || crate::trace::current().unwrap()))
                })
            });
            let inner = tracing::info_span!("in").in_scope(|| crate::trace::current().unwrap());
            (outer, inner, spawned.join().unwrap())
        })
    });
    assert!(!outer.is_sampled() && !inner.is_sampled() && !spawned.is_sampled());
    assert!(outer.trace_id == inner.trace_id && outer.trace_id == spawned.trace_id);
    assert!(outer.span_id != inner.span_id && inner.span_id.is_valid());
    assert!(traced.spans().is_empty());
}

#[test]
fn a_ratio_says_its_threshold_on_what_it_kept() {
    let traced = Traced::new(|setup| setup.sampler = Sampler::ParentBased(Root::Ratio(Ratio::new(0.5))));
    let kept = traced.run(|| {
        let mut kept = 0;
        for _ in 0..64 {
            plain(site!("root"), || {
                let root = crate::trace::current().unwrap();
                kept += usize::from(root.is_sampled());
                assert_eq!(root.trace_id.0 >> 55 & 1 == 1, root.is_sampled(), "by the low 56 bits");
                plain(site!("child"), || {
                    let state = crate::trace::current().unwrap().trace_state;
                    assert_eq!(state.as_deref(), root.is_sampled().then_some("ot=th:8"));
                });
            });
            tracing::info_span!("of tracing").in_scope(|| {
                let root = crate::trace::current().unwrap();
                kept += usize::from(root.is_sampled());
                assert_eq!(root.trace_id.0 >> 55 & 1 == 1, root.is_sampled(), "drawn once");
                assert_eq!(root.trace_state.as_deref(), root.is_sampled().then_some("ot=th:8"));
            });
        }
        kept
    });
    let spans = traced.spans();
    assert!(kept > 0 && spans.len() >= kept, "{kept} of 128");
    assert!(spans.iter().all(|(_, span)| span.trace_state == "ot=th:8"));
}

#[test]
fn the_random_flag_of_what_is_sampled_out_is_the_caller_s() {
    let traced = Traced::new(|_| ());
    for flags in [TraceFlags(0), TraceFlags::RANDOM] {
        traced.run(|| {
            let mut call = p::Call::<{ SPAN | SAID }>::idle(site!("outer"));
            call.begin();
            call.parent(&remote(flags));
            call.enter();
            plain(site!("middle"), || {
                plain(site!("inner"), || {
                    let inner = crate::trace::current().unwrap();
                    assert_eq!((inner.trace_id, inner.flags), (remote(flags).trace_id, flags));
                });
            });
            call.finish(&(), |(), _| ());
        });
    }
    assert!(traced.spans().is_empty());
}

#[test]
fn no_span_is_thought_sampled_after_its_frame_is_gone() {
    use crate::trace::local::Ids;
    use crate::trace::{direct, passing, stack};

    // It says no when it has seen the fields.
    let traced = Traced::new(|setup| setup.sampler = asked(|_| (false, None)));
    traced.run(|| {
        let mut call = p::Call::<{ SPAN | SAID }>::idle(site!("dropped late", fields: &["n"]));
        call.begin();
        assert!(call.open() && stack::any_sampled());
        call.fields(&[&1_u32]);
        assert!(!stack::any_sampled());
        call.finish(&(), |(), _| ());
    });
    let handed_on = Ids::of(&remote(TraceFlags::SAMPLED));
    let token = passing::begin(site!("handed on").metadata(), handed_on, 0);
    assert!(stack::any_sampled());
    direct::close(token, 0, crate::outcome::CallOutcome::Ok);
    assert!(crate::trace::current().is_none() && !stack::any_sampled());
}

#[test]
fn no_threshold_is_said_where_the_tail_rules_choose_again() {
    let ratio = Ratio::new(0.999);
    for sampler in [Sampler::Ratio(ratio), Sampler::ParentBased(Root::Ratio(ratio))] {
        let traced = Traced::new(|setup| {
            setup.sampler = sampler.clone();
            setup.tail = Some("ratio=1".parse().unwrap());
        });
        let state = || crate::trace::current().unwrap().trace_state;
        traced.run(|| {
            for _ in 0..20 {
                plain(site!("root"), || {
                    assert_eq!(state(), None, "{sampler}");
                    plain(site!("child"), || assert_eq!(state(), None, "{sampler}"));
                });
            }
            let mut call = p::Call::<{ SPAN | SAID }>::idle(site!("served"));
            call.begin();
            call.parent(&caller(true, Some("ot=th:8;rv:fffffffffffffe,a=1")));
            call.enter();
            assert_eq!(state().as_deref(), Some("ot=rv:fffffffffffffe,a=1"), "{sampler}");
            call.finish(&(), |(), _| ());
        });
    }
}

/// A sampler of the program's own that wants attributes.
fn asked(choose: impl Fn(&Asked<'_>) -> (bool, Option<&'static str>) + Send + Sync + 'static) -> Sampler {
    struct Late<F>(F);
    impl<F: Fn(&Asked<'_>) -> (bool, Option<&'static str>) + Send + Sync> Choose for Late<F> {
        fn name(&self) -> &'static str {
            "late"
        }
        fn wants_attributes(&self) -> bool {
            true
        }
        fn choose(&self, span: &Asked<'_>) -> Chosen {
            let (sampled, state) = (self.0)(span);
            Chosen {
                sampled,
                state: state.map(|state| Some(state.into())),
                attributes: Vec::new(),
            }
        }
    }
    Sampler::Custom(Custom(Arc::new(Late(choose))))
}

#[test]
fn what_a_sampler_says_by_the_fields_reaches_what_the_call_calls() {
    for sampled in [true, false] {
        let traced = Traced::new(|setup| setup.sampler = asked(move |_| (sampled, Some("mine=1"))));
        let inside = || crate::trace::current().unwrap();
        let (plainly, later) = traced.run(|| {
            let mut call = p::Call::<SPAN>::idle(site!("plain", fields: &["f"]));
            call.begin();
            assert!(call.open());
            call.fields(&[&5_u32 as &dyn p::Value]);
            call.enter();
            let plainly = inside();
            call.finish(&(), |(), _| ());
            let future = p::future::<SPAN, _, _, _>(
                site!("async", fields: &["f"]),
                |call| {
                    assert!(call.on() && call.open());
                    call.fields(&[&5_u32 as &dyn p::Value]);
                    async move { inside() }
                },
                |_, _| (),
            );
            (plainly, block_on(future))
        });
        for context in [plainly, later] {
            assert_eq!(context.is_sampled(), sampled);
            assert_eq!(context.trace_state.as_deref(), Some("mine=1"));
        }
        assert_eq!(traced.spans().len(), if sampled { 2 } else { 0 });
        assert!(traced.spans().iter().all(|(_, span)| span.trace_state == "mine=1"));
    }
}

#[test]
fn a_sampler_that_waits_for_the_fields_is_told_the_links() {
    let known = caller(true, None);
    let linked = known.clone();
    let traced = Traced::new(|setup| setup.sampler = asked(move |span| (span.links == [linked.clone()], None)));
    traced.run(|| {
        let mut call = p::Call::<{ SPAN | SAID }>::idle(site!("linked", fields: &["f"]));
        call.begin();
        call.link(|link| link(known));
        assert!(call.open());
        call.fields(&[&5_u32 as &dyn p::Value]);
        call.enter();
        call.finish(&(), |(), _| ());
    });
    assert_eq!(traced.span("linked").links.len(), 1);
}

fn is_passed(span: &tracing::Span) -> bool {
    crate::trace::passed::is_passed(crate::trace::subscriber::named(&span.id().unwrap()).unwrap())
}

/// A caller that sent headers.
fn caller(sampled: bool, trace_state: Option<&str>) -> SpanContext {
    SpanContext {
        trace_id: TraceId(77 << 64 | 5),
        span_id: SpanId(9),
        flags: TraceFlags(if sampled { 3 } else { 2 }),
        is_remote: true,
        trace_state: trace_state.map(Into::into),
        ..SpanContext::default()
    }
}

#[test]
fn what_is_sampled_out_has_one_trace_wherever_it_goes() {
    use crate::trace::SpanExt as _;
    let traced = Traced::new(|setup| setup.sampler = Sampler::ParentBased(Root::AlwaysOff));
    let (root, held) = traced.run(|| {
        let root = tracing::info_span!("root", n = tracing::field::Empty);
        assert!(is_passed(&root), "it takes no slot of the slab");
        let known = context(&root);
        assert!(known.is_valid() && !known.is_sampled());
        let other = tracing::info_span!("other");
        assert_ne!(context(&other).trace_id, known.trace_id);
        root.record("n", 1);
        root.follows_from(&other);
        root.set_attribute("k", "v");
        let child = tracing::info_span!(parent: &root, "child");
        let held = root.in_scope(|| {
            assert_eq!(crate::trace::current().unwrap(), known, "the same whoever asks");
            assert_eq!(tracing::Span::current(), root);
            let below = plain(site!("below"), || {
                let inner = tracing::info_span!("inner");
                assert!(is_passed(&inner));
                assert_eq!(crate::trace::current().unwrap().trace_id, known.trace_id);
                inner
            });
            assert_eq!(crate::trace::current().unwrap(), known);
            below
        });
        for span in [&child, &held] {
            assert_eq!(context(span).trace_id, known.trace_id);
            assert_ne!(context(span).span_id, known.span_id);
        }
        let (dispatch, clone, expected) = (traced.dispatch.clone(), root.clone(), known.clone());
        drop(root);
        let root = std::thread::spawn(move || {
            dispatcher::with_default(&dispatch, || {
                let again = clone.clone();
                drop(clone);
                again.in_scope(|| {
                    assert_eq!(crate::trace::current().unwrap(), expected);
                    let here = tracing::info_span!("elsewhere");
                    assert_eq!(context(&here).trace_id, expected.trace_id);
                });
                again
            })
        })
        .join()
        .unwrap();
        assert_eq!(context(&root), known);
        assert!(crate::trace::current().is_none(), "the stack is empty again");
        (root, held)
    });
    let handle = crate::trace::subscriber::handle(&root.id().unwrap()).unwrap();
    drop(root);
    assert!(crate::trace::store::ids_of(handle).is_none(), "closed with the last");
    assert!(!context(&held).is_sampled(), "which its child outlives");
    drop(held);
    assert!(traced.spans().is_empty());
}

#[test]
fn what_is_sampled_out_is_current_however_deep_and_left_in_any_order() {
    let traced = Traced::new(|setup| setup.sampler = Sampler::ParentBased(Root::AlwaysOff));
    let before = stats().sampled_out;
    traced.run(|| {
        // More than are entered without a look at the stack.
        let mut spans = vec![tracing::info_span!("root")];
        let mut entered = vec![spans[0].clone().entered()];
        for _ in 0..40 {
            let span = tracing::info_span!("below");
            assert!(is_passed(&span));
            entered.push(span.clone().entered());
            spans.push(span);
        }
        let known: Vec<_> = spans.iter().map(context).collect();
        assert!(known.iter().all(|context| context.trace_id == known[0].trace_id));
        assert_eq!(crate::trace::current().unwrap(), known[40]);
        entered.remove(39).exit();
        assert_eq!(crate::trace::current().unwrap(), known[40]);
        entered.pop();
        assert_eq!(crate::trace::current().unwrap(), known[38]);
        let last = tracing::info_span!("last");
        let inner = last.clone().entered();
        let first = entered.remove(0);
        drop((first, inner));
        assert_eq!(crate::trace::current().unwrap(), known[38]);
        drop(entered);
        assert!(crate::trace::current().is_none());
        assert_eq!(spans.iter().map(context).collect::<Vec<_>>(), known);
    });
    assert!(stats().sampled_out >= before + 42);
}

#[test]
fn what_is_closed_while_it_is_current_stays_so_until_it_is_left() {
    let traced = Traced::new(|setup| setup.sampler = Sampler::ParentBased(Root::AlwaysOff));
    traced.run(|| {
        let outer = tracing::info_span!("outer");
        let trace = context(&outer).trace_id;
        let entered = outer.enter();
        let inner = tracing::info_span!("inner");
        let id = inner.id().unwrap();
        traced.dispatch.enter(&id);
        drop(inner);
        let other = tracing::info_span!("in its slot, perhaps");
        let now = crate::trace::current().unwrap();
        assert!(now.is_valid() && now.span_id != context(&outer).span_id && now.span_id != context(&other).span_id);
        traced.dispatch.exit(&id);
        assert_eq!(crate::trace::current().unwrap(), context(&outer));
        drop(entered);
        assert_eq!(context(&outer).trace_id, trace);
    });
}

#[test]
fn what_is_sampled_out_in_another_pipeline_is_no_parent() {
    let outer = Traced::new(|setup| setup.sampler = Sampler::ParentBased(Root::AlwaysOff));
    let inner = Traced::new(|_| ());
    outer.run(|| {
        tracing::info_span!("not recorded").in_scope(|| inner.run(|| tracing::info_span!("recorded").in_scope(|| ())));
    });
    assert!(outer.spans().is_empty());
    assert!(inner.span("recorded").parent_span_id.is_empty());
}

#[test]
fn what_is_sampled_out_outlives_its_thread() {
    let traced = Traced::new(|setup| setup.sampler = Sampler::AlwaysOff);
    let span = || {
        let dispatch = traced.dispatch.clone();
        let made = std::thread::spawn(move || dispatcher::with_default(&dispatch, || tracing::info_span!("left")));
        made.join().unwrap()
    };
    let first = span();
    let known = context(&first);
    let others: Vec<_> = (0..4).map(|_| span()).collect();
    for other in &others {
        assert!(is_passed(other) && other.id() != first.id());
        assert_ne!(context(other).trace_id, known.trace_id);
    }
    drop(others);
    assert_eq!(context(&first), known);
}

#[test]
fn more_sampled_out_spans_than_a_table_has_slots() {
    let traced = Traced::new(|setup| setup.sampler = Sampler::AlwaysOff);
    traced.run(|| {
        for _ in 0..3 {
            let open: Vec<_> = (0..300).map(|_| tracing::info_span!("open")).collect();
            assert!(is_passed(&open[0]) && !is_passed(&open[299]));
            let mut ids: Vec<_> = open.iter().map(|span| context(span).span_id.0).collect();
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len(), 300);
            // Dropped by others, the slots are found again.
            std::thread::spawn(move || drop(open)).join().unwrap();
        }
    });
    assert!(traced.spans().is_empty());
}

#[test]
fn a_parent_that_comes_later_decides_anew() {
    use crate::trace::SpanExt as _;
    let traced = Traced::new(|setup| setup.sampler = Sampler::ParentBased(Root::AlwaysOff));
    let held = traced.run(|| {
        let span = tracing::info_span!("request", n = tracing::field::Empty);
        assert!(is_passed(&span));
        let before = context(&span);
        let entered = span.clone().entered();
        span.set_parent(&caller(true, Some("a=b")));
        drop(entered);
        assert!(crate::trace::current().is_none(), "left by the name it was entered by");
        let now = context(&span);
        assert_eq!(
            (now.trace_id, now.span_id),
            (caller(true, None).trace_id, before.span_id)
        );
        assert!(now.is_sampled() && now.trace_state.as_deref() == Some("a=b"));
        span.record("n", 7);
        span.in_scope(|| drop(tracing::info_span!("below")));
        let unsampled = tracing::info_span!("unsampled");
        unsampled.set_parent(&caller(false, Some("a=b")));
        unsampled.in_scope(|| {
            let inner = tracing::info_span!("carries the state");
            assert_eq!(context(&inner).trace_state.as_deref(), Some("a=b"));
            assert!(!context(&inner).is_sampled());
        });
        span
    });
    assert_eq!(traced.spans().len(), 1, "open still");
    std::thread::spawn(move || drop(held)).join().unwrap();
    let (request, below) = (traced.span("request"), traced.span("below"));
    assert_eq!(request.parent_span_id, 9_u64.to_be_bytes());
    assert_eq!(below.parent_span_id, request.span_id);
    assert_eq!(request.attributes.iter().filter(|a| a.key == "n").count(), 1);
    assert_eq!(traced.spans().len(), 2);
}

#[test]
fn tail_rules_know_an_error_however_it_was_said() {
    let traced = Traced::new(|setup| setup.tail = Some("errors".parse().unwrap()));
    traced.run(|| {
        tracing::info_span!("by code", otel.status_code = "ERROR").in_scope(|| ());
        tracing::info_span!("by description", otel.status_description = "no").in_scope(|| ());
        tracing::info_span!("by code, later", otel.status_code = tracing::field::Empty)
            .record("otel.status_code", "error");
        tracing::info_span!("well", otel.status_code = "OK").in_scope(|| ());
    });
    let names: Vec<String> = traced.spans().into_iter().map(|(_, span)| span.name).collect();
    assert_eq!(names, ["by code", "by description", "by code, later"]);
}

#[test]
fn a_trace_that_comes_in_again_and_fails_is_kept_from_there() {
    let traced = Traced::new(|setup| setup.tail = Some("errors".parse().unwrap()));
    let caller = SpanContext {
        trace_id: TraceId(7),
        span_id: SpanId(8),
        flags: TraceFlags::SAMPLED,
        is_remote: true,
        ..SpanContext::default()
    };
    traced.run(|| {
        for (name, status) in [("first", "OK"), ("second", "OK"), ("third", "ERROR"), ("fourth", "OK")] {
            let span = tracing::info_span!("entry", otel.name = name);
            crate::trace::SpanExt::set_parent(&span, &caller);
            span.in_scope(|| tracing::info_span!("work", otel.status_code = status).in_scope(|| ()));
        }
    });
    let names: Vec<String> = traced.spans().into_iter().map(|(_, span)| span.name).collect();
    assert_eq!(names, ["third", "work", "fourth", "work"]);
}

#[test]
fn a_late_span_of_a_kept_trace_follows_it_in_a_busy_service() {
    let traced = Traced::new(|setup| setup.tail = Some("errors".parse().unwrap()));
    traced.run(|| {
        let late = plain(site!("kept"), || {
            let _ = wrong();
            tracing::info_span!("late")
        });
        for n in 0..20_000 {
            plain(site!("another"), || ());
            if n % 1000 == 0 {
                assert!(traced.pipeline.flush(Instant::now() + Duration::from_secs(20)));
            }
        }
        drop(late);
    });
    let names: Vec<String> = traced.spans().into_iter().map(|(_, span)| span.name).collect();
    assert_eq!(names, ["kept", "top", "deep", "late"]);
}

#[test]
fn tail_rules_keep_and_discard_whole_traces() {
    let traced = Traced::new(|setup| setup.tail = Some("errors,slow=20ms".parse().unwrap()));
    let before = stats().discarded_tail;
    traced.run(|| {
        plain(site!("fast root"), || plain(site!("fast child"), || ()));
        plain(site!("slow root"), || {
            plain(site!("quick child"), || ());
            std::thread::sleep(Duration::from_millis(25));
        });
        plain(site!("failed root"), || {
            tracing::info_span!("failed child", otel.status_code = "ERROR").in_scope(|| ());
            let _ = wrong();
        });
        let late = plain(site!("root before its child"), || tracing::info_span!("late child"));
        drop(late);
        std::mem::forget(tracing::info_span!("never ends").entered());
        plain(site!("below what never ends"), || wrong().unwrap_err());
    });
    let names: Vec<String> = traced.spans().into_iter().map(|(_, span)| span.name).collect();
    assert_eq!(
        names,
        ["slow root", "quick child", "failed root", "failed child", "top", "deep"]
    );
    assert!(stats().discarded_tail >= before + 4);
    assert!(traced.pipeline.shutdown(Instant::now() + Duration::from_secs(20)));
    assert_eq!(
        traced.spans().len(),
        9,
        "at the end what waits is decided on what is known"
    );
}

/// `info_span!` and then `set_parent`, as servers of other crates do it: the caller's word holds, and nothing that was said is lost.
#[test]
fn a_root_that_was_dropped_has_its_fields_under_a_sampled_caller() {
    use crate::SpanExt as _;
    let caller = SpanContext {
        trace_id: TraceId(7),
        span_id: SpanId(8),
        flags: TraceFlags::SAMPLED,
        is_remote: true,
        ..SpanContext::default()
    };
    let traced = Traced::new(|setup| setup.sampler = Sampler::ParentBased(Root::Ratio(Ratio::new(0.0))));
    traced.run(|| {
        let request = |name: &str, route: &str| {
            tracing::info_span!("request", otel.name = name, otel.kind = "server", http.route = route)
        };
        let span = request("GET /first", "/first");
        span.set_parent(&caller);
        span.in_scope(|| tracing::info_span!("below", n = 1).in_scope(|| ()));
        // One that stays dropped between making and moving.
        let other = request("GET /second", "/second");
        let baggage = crate::trace::Baggage::default().with("tenant", "acme");
        let third = baggage.run(|| request("GET /third", "/third"));
        third.set_parent(&caller);
        other.in_scope(|| ());
    });
    let mut names: Vec<_> = traced.spans().into_iter().map(|(_, span)| span.name).collect();
    names.sort();
    assert_eq!(names, ["GET /first", "GET /third", "below"]);
    let first = traced.span("GET /first");
    assert_eq!(
        (first.kind, first.trace_id.clone()),
        (2, caller.trace_id.0.to_be_bytes().to_vec())
    );
    assert_eq!(text(&first, "http.route").as_deref(), Some("/first"));
    assert_eq!(
        text(&traced.span("GET /third"), "http.route").as_deref(),
        Some("/third")
    );
    assert_eq!(value(&first, "otel.kind"), None);
}
