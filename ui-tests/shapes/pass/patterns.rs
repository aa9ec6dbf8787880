//! Patterns in arguments, those that borrow among them, taken apart for fields and for the body.
#![deny(warnings, clippy::pedantic)]
#![forbid(unsafe_code)]
#![allow(clippy::toplevel_ref_arg, clippy::needless_pass_by_value)]

use std::cell::RefCell;
use std::future::ready;
use vitalsign::{LabelValue, counted, observed, timed, traced};

#[derive(Debug)]
struct Order {
    id: u32,
    name: String,
}

struct Quantity<T>(T);

fn order() -> Order {
    Order {
        id: 7,
        name: "tea".to_owned(),
    }
}

#[observed]
fn nested((first, (second, _)): (u8, (u8, u8)), [head, .., last]: [u8; 4], &(third, ref text): &(u8, String)) -> String {
    format!("{first}{second}{head}{last}{third}{text}")
}

#[observed]
fn borrows(Order { ref mut id, ref name }: Order, [ref mut head, ..]: [u8; 2], (ref mut left, mut right): (u8, u8)) -> String {
    *id += 1;
    *head += 1;
    *left += 1;
    right += 1;
    format!("{id}{name}{head}{left}{right}")
}

#[traced(args, ret)]
fn borrows_captured(whole @ Order { .. }: Order, ref read: u8, ref mut written: u8) -> u32 {
    *written += *read;
    whole.id + u32::from(*written)
}

#[traced]
#[counted]
#[timed]
async fn borrows_later(Order { ref mut id, .. }: Order, ref mut list: Vec<u8>) -> Vec<u8> {
    *id += 1;
    let last = ready(u8::try_from(*id).unwrap_or_default()).await;
    list.push(last);
    list.clone()
}

#[traced(args, ret)]
#[counted(by = 2)]
async fn borrows_captured_later(Order { ref mut id, ref name }: Order, [ref mut head, ..]: [u8; 2], Quantity(many): Quantity<u8>, _left: String) -> String {
    *id += 1;
    *head += many;
    ready(format!("{id}{name}{head}")).await
}

#[traced(fields(id, name))]
async fn borrows_named(Order { ref id, ref name }: Order, _left: String) -> usize {
    ready(name.len()).await + *id as usize
}

#[observed]
fn hands_back(Quantity(list): Quantity<&mut Vec<u8>>) -> &mut Vec<u8> {
    list.push(9);
    list
}

thread_local!(static SEEN: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) });

fn see(what: &'static str) {
    SEEN.with_borrow_mut(|seen| seen.push(what));
}

#[derive(Debug)]
struct Drops(&'static str);

impl Drop for Drops {
    fn drop(&mut self) {
        see(self.0);
    }
}

#[derive(LabelValue, Clone, Copy)]
enum Channel {
    Web,
}

fn twice(number: u64) -> u64 {
    2 * number
}

async fn bare((first, _): (Drops, Drops), last: Drops, (id, _): (u64, Drops)) {
    let _local = Drops("local");
    ready(()).await;
    see("body");
    let _ = (&first, &last, id);
}

#[traced(fields(first = ?first.0, id, twice = twice(id)), when = id > 0)]
#[counted(by = id)]
async fn measured((first, _): (Drops, Drops), last: Drops, (id, _): (u64, Drops)) {
    let _local = Drops("local");
    ready(()).await;
    see("body");
    let _ = (&first, &last, id);
}

/// The parts have in options the types that they have in the body, and options alone may read them.
#[traced(fields(name, size = name.len(), boxed = twice(**boxed), n = twice(n), head = twice(head), third = twice(*third), text))]
#[counted(labels(channel = channel, same: Channel = channel))]
async fn typed(
    (name, (ref boxed, ..)): (String, (Box<u64>, u8)),
    &(mut n, _): &(u64, Drops),
    [head, ..]: [u64; 2],
    (third, text): &(u64, String),
    (channel, _): (Channel, u8),
) -> u64 {
    n += 1;
    ready(n).await
}

#[derive(Debug)]
struct Wrapped {
    id: u64,
}

/// Also within macros and where a field's name is its value.
#[traced(fields(one = matches!(id, 1), other = matches!(Some(id), Some(2..) if id > 1), wrapped = ?Wrapped { id }, list = ?vec![id; 2]))]
#[counted(labels(known = matches!(id, 7)))]
async fn spelled((id, _): (u64, Drops)) -> u64 {
    ready(Wrapped { id }.id).await
}

fn seen(call: impl Future<Output = ()>) -> Vec<&'static str> {
    futures_util::FutureExt::now_or_never(call);
    SEEN.take()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let capture = vitalsign::testing::capture();
    let arguments = || ((Drops("first"), Drops("rest")), Drops("last"), (7, Drops("guard")));
    let (a, b, c) = arguments();
    let expected = seen(bare(a, b, c));
    let (a, b, c) = arguments();
    assert_eq!(seen(measured(a, b, c)), expected);
    assert_eq!(nested((1, (2, 3)), [4, 5, 6, 7], &(8, "x".to_owned())), "12478x");
    assert_eq!(borrows(order(), [1, 2], (3, 4)), "8tea245");
    assert_eq!(borrows_captured(order(), 1, 2), 10);
    assert_eq!(borrows_later(order(), vec![1]).await, [1, 8]);
    let left = String::new;
    assert_eq!(borrows_captured_later(order(), [1, 2], Quantity(3), left()).await, "8tea4");
    assert_eq!(borrows_named(order(), left()).await, 10);
    let borrowed = (&(4, Drops("")), &(6, "x".to_owned()));
    let later = typed(("tea".to_owned(), (Box::new(3), 0)), borrowed.0, [5, 0], borrowed.1, (Channel::Web, 0));
    assert_eq!(later.await, 5);
    assert_eq!(spelled((7, Drops(""))).await, 7);
    assert_eq!(hands_back(Quantity(&mut vec![1])), &[1, 9]);
    // The fields saw the arguments as they came.
    let spans = capture.spans();
    let attributes = |name: &str| format!("{:?}", spans.iter().find(|span| span.name == name).expect("its span"));
    let captured = attributes("borrows_captured_later");
    assert!(captured.contains('7') && captured.contains("tea"), "{captured}");
    let captured = attributes("measured");
    assert!(captured.contains("first") && captured.contains('7') && captured.contains("14"), "{captured}");
    let captured = attributes("spelled");
    assert!(captured.contains("Wrapped { id: 7 }") && captured.contains("[7, 7]"), "{captured}");
}
