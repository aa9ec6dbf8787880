vitalsign::metrics! {
    /// A metric.
    static M: Counter = "orders_total";
}

fn main() {}
