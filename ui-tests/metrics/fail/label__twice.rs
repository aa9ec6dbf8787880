vitalsign::metrics! {
    /// A metric.
    static M: Counter<u64, (paid: bool, sent: bool, paid: bool)> = "m";
    /// Another.
    static N: Histogram<(le: bool)> = "n";
}

fn main() {}
