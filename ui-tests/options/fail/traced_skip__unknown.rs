use vitalsign::traced;

#[traced(args, skip(boddy))]
fn f(body: u8) {
    let _ = body;
}

fn main() {
    f(1);
}
