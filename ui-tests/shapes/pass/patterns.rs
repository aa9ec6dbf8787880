//! Patterns in arguments, those that borrow among them, taken apart for fields and for the body.
#![deny(warnings, clippy::pedantic)]
#![forbid(unsafe_code)]
#![allow(clippy::toplevel_ref_arg, clippy::needless_pass_by_value)]

use std::future::ready;
use vitalsign::{counted, observed, timed, traced};

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

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let capture = vitalsign::testing::capture();
    assert_eq!(nested((1, (2, 3)), [4, 5, 6, 7], &(8, "x".to_owned())), "12478x");
    assert_eq!(borrows(order(), [1, 2], (3, 4)), "8tea245");
    assert_eq!(borrows_captured(order(), 1, 2), 10);
    assert_eq!(borrows_later(order(), vec![1]).await, [1, 8]);
    let left = String::new;
    assert_eq!(borrows_captured_later(order(), [1, 2], Quantity(3), left()).await, "8tea4");
    assert_eq!(borrows_named(order(), left()).await, 10);
    assert_eq!(hands_back(Quantity(&mut vec![1])), &[1, 9]);
    // The fields saw the arguments as they came.
    let spans = capture.spans();
    let captured = spans.iter().find(|span| span.name == "borrows_captured_later");
    let attributes = format!("{:?}", captured.expect("its span"));
    assert!(attributes.contains('7') && attributes.contains("tea"), "{attributes}");
}
