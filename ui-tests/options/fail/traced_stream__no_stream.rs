use vitalsign::traced;

#[traced(stream)]
fn f() -> Vec<u8> {
    Vec::new()
}

fn main() {
    f();
}
