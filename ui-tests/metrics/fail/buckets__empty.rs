vitalsign::metrics! {
    /// A metric.
    static M: Histogram = "m", buckets = [];
}

fn main() {}
