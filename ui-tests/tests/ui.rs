//! Runs the cases of each topic: `pass` compiles and runs, `fail` says exactly what lies beside it.
//!
//! The messages are ours word for word; what rustc adds is that of the pinned toolchain. `TRYBUILD=overwrite cargo test -p ui-tests`
//! writes them anew.

fn topic(name: &str) {
    let cases = trybuild::TestCases::new();
    cases.pass(format!("{name}/pass/*.rs"));
    if std::fs::read_dir(format!("{name}/fail")).is_ok_and(|mut dir| dir.next().is_some()) {
        cases.compile_fail(format!("{name}/fail/*.rs"));
    }
}

#[test]
fn shapes() {
    topic("shapes");
}

#[test]
fn stack() {
    topic("stack");
}

#[test]
fn options() {
    topic("options");
}

#[test]
fn labels() {
    topic("labels");
}

#[test]
fn metrics() {
    topic("metrics");
}

#[test]
fn health() {
    topic("health");
}
