use vitalsign::traced;

struct Order;

#[traced(fields(order, id = 3))]
fn place(order: Order) {}

fn main() {}
