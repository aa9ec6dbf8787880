use vitalsign::observed;

#[observed(job = "send_mail", traced(kind = server))]
fn f() {}

fn main() {
    f();
}
