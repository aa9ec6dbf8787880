vitalsign::metrics! {
    /// A metric.
    static M: Histogram = "m", buckets = [0.1, 0.1];
}

fn main() {}
