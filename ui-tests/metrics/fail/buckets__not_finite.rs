vitalsign::metrics! {
    /// A metric.
    static M: Histogram = "m", buckets = [0.1, f64::INFINITY];
}

fn main() {}
