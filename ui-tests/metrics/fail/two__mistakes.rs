vitalsign::metrics! {
    /// A metric.
    static FIRST: Counter = "first_total", unti = "By";
    /// Another.
    static SECOND: Histogram = "second", buckets = [0.1, 0.1, 0.05];
}

fn main() {
    FIRST.inc();
    SECOND.observe(1.0);
}
