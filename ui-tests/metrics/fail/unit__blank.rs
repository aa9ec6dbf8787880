vitalsign::metrics! {
    /// A metric.
    static M: Counter = "m", unit = "two words";
}

fn main() {}
