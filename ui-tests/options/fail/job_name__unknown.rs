use vitalsign::observed;

#[observed(job(nmae = "send_mail"))]
fn f() {}

fn main() {
    f();
}
