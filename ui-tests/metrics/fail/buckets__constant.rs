const BOUNDS: [f64; 2] = [1.0, 0.1];

vitalsign::metrics! {
    /// A metric.
    static M: Histogram = "m", buckets = BOUNDS;
}

fn main() {}
