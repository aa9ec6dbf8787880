use vitalsign::traced;

#[traced(fields(%truncate(a, 3), b = ?hash(b)))]
fn f(a: &str, b: u8) {}

fn main() {
    f("x", 2);
}
