vitalsign::metrics! {
    /// A metric.
    static M: Counter = "orders placed";
}

fn main() {}
