vitalsign::metrics! {
    /// A metric.
    static M: Summary = "m", quantiles = [0.5, 99.0];
}

fn main() {}
