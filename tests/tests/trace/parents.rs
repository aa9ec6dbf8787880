//! Parents are right across `.await`, `join!`, spawned tasks, threads, and a call over HTTP.

use axum::http::HeaderMap;
use axum::routing::get;
use std::time::Duration;
use tests::live::live;
use vitalsign::traced;

#[traced]
async fn leaf(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

#[traced]
fn plain_leaf() {
    std::thread::sleep(Duration::from_millis(1));
}

#[traced]
async fn branch(millis: u64) {
    leaf(millis).await;
    tokio::task::yield_now().await;
    plain_leaf();
}

#[traced]
async fn across_await() {
    branch(2).await;
    leaf(1).await;
}

#[tokio::test]
async fn hold_across_await() {
    let live = live();
    across_await().await;
    assert_eq!(
        live.outline("across_await", 5),
        "across_await\n  branch\n    leaf\n    plain_leaf\n  leaf\n"
    );
}

#[traced(name = "left")]
async fn left() {
    leaf(3).await;
    leaf(3).await;
}

#[traced(name = "right")]
async fn right() {
    tokio::time::sleep(Duration::from_millis(1)).await;
    plain_leaf();
    leaf(6).await;
}

#[traced]
async fn across_join() {
    tokio::join!(left(), right());
}

#[tokio::test]
async fn hold_across_join() {
    let live = live();
    across_join().await;
    let expected = "across_join\n  left\n    leaf\n    leaf\n  right\n    plain_leaf\n    leaf\n";
    assert_eq!(live.outline("across_join", 7), expected);
}

#[traced]
async fn across_spawn() {
    vitalsign::spawn(branch(1)).await.expect("the task");
    vitalsign::spawn_blocking(plain_leaf).await.expect("the thread");
    leaf(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn hold_across_spawned_tasks() {
    let live = live();
    across_spawn().await;
    let expected = "across_spawn\n  branch\n    leaf\n    plain_leaf\n  plain_leaf\n  leaf\n";
    assert_eq!(live.outline("across_spawn", 6), expected);
}

#[traced]
fn across_threads() {
    let first = vitalsign::thread::spawn(plain_leaf);
    first.join().expect("the thread");
    plain_leaf();
}

#[test]
fn hold_across_threads() {
    let live = live();
    across_threads();
    assert_eq!(
        live.outline("across_threads", 3),
        "across_threads\n  plain_leaf\n  plain_leaf\n"
    );
}

/// A plain spawn starts a trace of its own: the parent has to be handed on.
#[traced]
async fn without_help() {
    tokio::spawn(lonely()).await.expect("the task");
}

#[traced]
async fn lonely() {
    leaf(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_spawn_is_a_new_trace() {
    let live = live();
    without_help().await;
    assert_eq!(live.outline("lonely", 2), "lonely\n  leaf\n");
    assert_eq!(live.outline("without_help", 1), "without_help\n");
}

#[traced(kind = server, parent = headers)]
async fn serve(headers: HeaderMap) -> &'static str {
    leaf(1).await;
    "served"
}

#[traced(kind = client)]
async fn call(address: String) -> u16 {
    let mut headers = HeaderMap::new();
    vitalsign::current().inject(&mut headers);
    let pairs: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()))
        .collect();
    let answer = tokio::task::spawn_blocking(move || {
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        tests::http::get_with(&address, &pairs)
    });
    answer.await.expect("the thread").expect("an answer").status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hold_across_http() {
    let live = live();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}/", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().route("/", get(serve))).await });
    assert_eq!(call(address).await, 200);
    assert_eq!(live.outline("call", 3), "call\n  serve\n    leaf\n");
}

type Boxed = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// What is returned is a future, which the attribute learns only when it has it.
#[traced]
fn by_alias() -> Boxed {
    let future = leaf(1);
    plain_leaf();
    Box::pin(future)
}

#[traced]
async fn around_alias() {
    let (polled, never) = (by_alias(), by_alias());
    leaf(1).await;
    polled.await;
    drop(never);
    plain_leaf();
}

#[tokio::test]
async fn hold_for_a_box_by_alias() {
    let live = live();
    around_alias().await;
    let outline = live.outline("around_alias", 7);
    // By alias the span's own life begins with the first poll, and a future never polled leaves none: what its function did
    // before it returned stands without a parent.
    assert!(
        outline.starts_with("around_alias\n  leaf\n  by_alias\n    plain_leaf\n    leaf\n  plain_leaf\n"),
        "{outline}"
    );
}

/// A future polled by two tasks in turn, dropped on another thread than it began on.
#[traced]
async fn wanders() {
    leaf(5).await;
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hold_when_dropped_elsewhere() {
    let live = live();
    let mut future = Box::pin(wanders());
    assert!(
        tokio::time::timeout(Duration::from_millis(20), &mut future)
            .await
            .is_err()
    );
    std::thread::spawn(move || drop(future)).join().expect("the thread");
    assert_eq!(live.outline("wanders", 2), "wanders\n  leaf\n");
}

/// Spans held by clones on several threads, entered there, the last of them closed elsewhere: one span, open until then.
#[test]
fn hold_for_clones_on_other_threads() {
    let live = live();
    let held = tracing::info_span!("held");
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let clone = held.clone();
            std::thread::spawn(move || {
                clone.in_scope(|| tracing::info_span!("on a thread").in_scope(|| ()));
                clone
            })
        })
        .collect();
    let clones: Vec<_> = threads.into_iter().map(|thread| thread.join().expect("it")).collect();
    let context = vitalsign::SpanExt::context(&held).expect("ours");
    drop(held);
    live.flush();
    let arrived = live.receiver.trace_of(&context.trace_id.to_string());
    assert_eq!(arrived.spans.len(), 4, "it is open: {}", arrived.outline());
    std::thread::spawn(move || drop(clones)).join().expect("it");
    let expected = format!("held\n{}", "  on a thread\n".repeat(4));
    assert_eq!(live.outline("held", 5), expected);
}

#[test]
fn an_order_out_of_the_ordinary_costs_no_span() {
    let live = live();
    let (one, two) = (tracing::info_span!("left first"), tracing::info_span!("left last"));
    let (entered_one, entered_two) = (one.enter(), two.enter());
    drop(entered_one);
    tracing::info_span!("under the last").in_scope(|| ());
    drop(entered_two);
    assert!(vitalsign::current().span_id().is_none(), "nothing stays behind");
    drop((one, two));
    assert_eq!(live.outline("left first", 1), "left first\n");
    assert_eq!(live.outline("left last", 2), "left last\n  under the last\n");
}

#[tracing::instrument(fields(late = tracing::field::Empty))]
fn says_more_later() {
    tracing::Span::current().record("late", 7);
    says_more_of_ours();
}

#[traced(fields(late, unknown))]
fn says_more_of_ours() {
    tracing::Span::current().record("late", "of ours");
}

#[test]
fn what_is_recorded_on_the_current_span_is_its_own() {
    let live = live();
    says_more_later();
    live.flush();
    let trace = live.receiver.trace("says_more_later", 2);
    assert_eq!(trace.span("says_more_later").attribute("late"), "7");
    let ours = trace.span("says_more_of_ours");
    assert_eq!(ours.attribute("late"), "of ours");
    assert!(!ours.attributes.contains_key("unknown"));
}

#[test]
fn what_a_span_follows_from_is_a_link() {
    let live = live();
    let cause = tracing::info_span!("cause");
    let effect = tracing::info_span!("effect");
    effect.follows_from(&cause);
    let of_other_kind = tracing::span::Id::from_u64(u64::MAX - 1);
    effect.follows_from(of_other_kind);
    drop((cause, effect));
    live.flush();
    let cause = live.receiver.trace("cause", 1).span("cause").clone();
    let effect = live.receiver.trace("effect", 1).span("effect").clone();
    assert_eq!(effect.links, [(cause.trace_id, cause.span_id)]);
    assert!(effect.parent_id.is_empty());
}

/// Ids that were never given out, or long ago: entered, left, cloned, closed and recorded on, they touch no span.
#[test]
fn hold_against_forged_ids() {
    let live = live();
    let span = tracing::info_span!("not forged", field = tracing::field::Empty);
    let id = span.id().expect("ours").into_u64();
    let gone = tracing::info_span!("gone").id().expect("ours").into_u64();
    tracing::dispatcher::get_default(|dispatch| {
        for forged in [1, u64::MAX, id + 1, id ^ (1 << 40), id.wrapping_add(1 << 32), gone] {
            let forged = tracing::span::Id::from_u64(forged);
            dispatch.enter(&forged);
            assert!(vitalsign::current().span_id().is_none());
            dispatch.exit(&forged);
            dispatch.record_follows_from(&forged, &tracing::span::Id::from_u64(id));
            let clone = dispatch.clone_span(&forged);
            dispatch.try_close(clone);
            dispatch.try_close(forged);
        }
    });
    span.in_scope(|| tracing::info_span!("beside it").in_scope(|| ()));
    drop(span);
    assert_eq!(live.outline("not forged", 2), "not forged\n  beside it\n");
}
