vitalsign::metrics! {
    /// A metric.
    static M: Counter = "m", unti = "By";
}

fn main() {}
