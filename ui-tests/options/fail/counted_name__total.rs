use vitalsign::counted;

#[counted(name = "orders_placed_total")]
fn f() {}

fn main() {
    f();
}
