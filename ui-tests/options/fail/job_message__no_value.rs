use vitalsign::observed;

#[observed(job(name = "send_mail", message = ))]
fn f() {}

fn main() {
    f();
}
