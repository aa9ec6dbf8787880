use vitalsign::traced;

struct Error;

#[traced(err(debug))]
fn fails() -> Result<(), Error> {
    Err(Error)
}

fn main() {
    let _ = fails();
}
