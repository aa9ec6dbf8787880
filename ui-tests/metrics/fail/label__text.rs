vitalsign::metrics! {
    /// A metric.
    static M: Counter<u64, (user: String)> = "m";
}

fn main() {}
