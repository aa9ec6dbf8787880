vitalsign::metrics! {
    /// A metric.
    static M: Counter;
}

fn main() {}
