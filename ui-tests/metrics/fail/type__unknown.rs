vitalsign::metrics! {
    /// A metric.
    static M: Count = "m";
}

fn main() {}
