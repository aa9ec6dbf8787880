use vitalsign::traced;

#[traced(db(system = "sqlite", operation = "VACUUM"), kind = server)]
fn f() {}

fn main() {
    f();
}
