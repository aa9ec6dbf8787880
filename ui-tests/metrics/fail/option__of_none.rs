vitalsign::metrics! {
    /// A metric.
    static M: Info = "m", unit = "By";
}

fn main() {}
