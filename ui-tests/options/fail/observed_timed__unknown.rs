use vitalsign::observed;

#[observed(timed(bucket = [1.0]))]
fn f() {}

fn main() {
    f();
}
