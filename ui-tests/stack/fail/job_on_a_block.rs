use vitalsign::observed;

struct Mailer;

#[observed(job = "send_mail")]
impl Mailer {
    fn send(&self) {}
}

fn main() {
    Mailer.send();
}
