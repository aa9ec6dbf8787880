use vitalsign::traced;

#[traced(name = "x" level = "info", fields(a b, c: a))]
fn f(a: u8, b: u8) {}

fn main() {
    f(1, 2);
}
