vitalsign::metrics! {
    /// A metric.
    static M: Summary = "m", quantiles = [0.99, 0.5];
}

fn main() {}
