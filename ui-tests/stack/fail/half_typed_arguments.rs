use vitalsign::traced;

#[traced(name = , level = "info", fields(a = ))]
async fn f() {}

fn main() {
    drop(f());
}
