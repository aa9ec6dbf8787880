use vitalsign::traced;

#[traced(stream)]
async fn f() {}

fn main() {
    let _ = f();
}
