//! Every option of `counted`.
#![deny(warnings)]
#![forbid(unsafe_code)]

use vitalsign::{LabelValue, counted};

#[derive(LabelValue, Clone, Copy)]
enum Channel {
    Web,
    App,
}

struct Order {
    channel: Channel,
    country: String,
    items: Vec<u8>,
}

impl Order {
    fn channel(&self) -> Option<Channel> {
        Some(self.channel)
    }
}

const REGION: &str = "eu";

/// Places an order.
#[counted(name = "orders.placed", help = "Orders placed.", unit = "{order}", in_flight)]
async fn named() {}

#[counted(labels(
    channel = order.channel,
    by_method = order.channel(),
    typed: Option<Channel> = order.channel(),
    region = REGION,
    literal = "x",
    version = 2,
    country = limit(order.country, 50),
    many = order.items.len() > 3,
))]
fn labelled(order: &Order) -> usize {
    order.items.len()
}

#[counted(labels(channel = channel, flag = flag, both = channel_of(channel, flag)))]
async fn named_types(channel: Channel, flag: bool) {
    let _ = (channel, flag);
}

fn channel_of(channel: Channel, flag: bool) -> Channel {
    if flag { Channel::App } else { channel }
}

#[counted(labels(found: bool = |ret| ret.is_some(), text = |ret| limit(ret.unwrap_or(""), 10), size = limit(|ret| ret.map_or(0, str::len), 5)))]
fn returned(n: u8) -> Option<&'static str> {
    (n > 0).then_some("x")
}

#[counted(labels(channel = channel))]
fn generic<T: LabelValue>(channel: T) -> T {
    channel
}

struct Of<T>(T);
impl<T: LabelValue + Copy> Of<T> {
    #[counted(labels(value = value, own = self.0))]
    fn generic(&self, value: T) -> T {
        value
    }
}

#[counted(labels(channel = channel))]
fn borrowed<'a>(channel: &'a Channel, _other: &'a Channel) -> &'a Channel {
    channel
}

#[counted(name = "rows.read", unit = "{row}", by = |rows| rows.len())]
fn by_returned() -> Vec<u8> {
    vec![1]
}

#[counted(by = bytes.len(), outcome = off)]
async fn by_argument(bytes: &[u8]) -> u8 {
    bytes[0]
}

#[counted(by = 0.5, crate = ::vitalsign)]
fn by_float() {}

#[counted(ok_if = Vec::is_empty)]
fn ok_if() -> Vec<u8> {
    vec![]
}

#[counted(error_if = |n: &u8| *n == 0)]
fn error_if() -> u8 {
    1
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    named().await;
    let order = Order { channel: Channel::Web, country: "de".into(), items: vec![] };
    assert_eq!(labelled(&order), 0);
    named_types(Channel::Web, true).await;
    assert_eq!(returned(1), Some("x"));
    generic(Channel::App);
    Of(true).generic(false);
    borrowed(&Channel::Web, &Channel::App);
    assert_eq!(by_returned(), [1]);
    assert_eq!(by_argument(&[1]).await, 1);
    by_float();
    assert!(ok_if().is_empty());
    assert_eq!(error_if(), 1);
}
