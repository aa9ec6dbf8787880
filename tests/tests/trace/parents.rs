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
