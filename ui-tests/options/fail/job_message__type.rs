use vitalsign::observed;

#[observed(job(name = "send_mail", message = n))]
fn f(n: u8) {}

fn main() {
    f(1);
}
