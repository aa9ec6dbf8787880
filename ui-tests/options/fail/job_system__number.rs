use vitalsign::observed;

#[observed(job(name = "send_mail", system = 1))]
fn f() {}

fn main() {
    f();
}
