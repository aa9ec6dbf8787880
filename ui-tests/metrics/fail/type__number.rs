vitalsign::metrics! {
    /// How long.
    static LASTING: Histogram<f64, (urgent: bool)> = "lasting", unit = "s";
}

fn main() {
    LASTING.with(true).observe(1.0);
}
