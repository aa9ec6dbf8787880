vitalsign::metrics! {
    /// A metric.
    static M: Counter = "m", buckets = [0.1, 1.0];
}

fn main() {}
