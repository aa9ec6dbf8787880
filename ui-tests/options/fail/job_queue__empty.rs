use vitalsign::observed;

#[observed(job(name = "send_mail", queue = ""))]
fn f() {}

fn main() {
    f();
}
