//! Every type of metric, with and without labels and options.
#![forbid(unsafe_code)]
#![deny(warnings)]

use vitalsign::LabelValue;
use vitalsign::metrics::Limited;

#[derive(Clone, Copy, LabelValue)]
enum Channel {
    Web,
    Shop,
}

const LARGE: f64 = 10.0;

vitalsign::metrics! {
    /// Orders.
    pub static ORDERS: Counter = "orders", unit = "{order}";
    /// Their value.
    static VALUE: Counter<f64, (channel: Channel, shop: Limited<5>)> = "orders.value", unit = "EUR";
    /// Open.
    static OPEN: UpDownCounter<(channel: Channel)> = "orders.open";
    /// Level.
    static LEVEL: Gauge<f64> = "level";
    /// Asked.
    static ASKED: ObservableGauge = "asked";
    /// Sizes.
    static SIZES: Histogram<(channel: Channel)> = "sizes", unit = "By", buckets = [1.0, 10.0];
    /// Bounds by name, and whole numbers among them.
    static BOUNDS: Histogram = "bounds", buckets = [1, LARGE, 100];
    /// Native.
    static NATIVE: Histogram = "native", native = true;
    /// Quantiles.
    static WAITING: Summary = "waiting", unit = "s", quantiles = [0.5, 0.99];
    /// Facts.
    static FACTS: Info = "facts";
}

fn main() {
    ORDERS.add(1);
    VALUE.with(Channel::Web, "berlin").add(2.5);
    OPEN.with(Channel::Shop).add(-1);
    LEVEL.set(0.5);
    ASKED.observe(|| 1.0);
    SIZES.with(Channel::Web).observe(3.0);
    BOUNDS.observe(3.0);
    NATIVE.observe(3.0);
    WAITING.observe(3.0);
    FACTS.set([("color", "green")]);
}
