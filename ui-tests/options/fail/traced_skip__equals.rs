use vitalsign::traced;

#[traced(args, skip = a)]
fn f(a: u8) {
    let _ = a;
}

fn main() {
    f(1);
}
