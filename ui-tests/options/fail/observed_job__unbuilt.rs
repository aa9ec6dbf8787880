use vitalsign::observed;

#[observed(job = "send_mail")]
fn f() {}

fn main() {
    f();
}
