use vitalsign::observed;

#[observed(job = "send_mail", traced(db(system = "redis", operation = "GET")))]
fn f() {}

fn main() {
    f();
}
