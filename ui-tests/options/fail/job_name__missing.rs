use vitalsign::observed;

#[observed(job(queue = "mails"))]
fn f() {}

fn main() {
    f();
}
