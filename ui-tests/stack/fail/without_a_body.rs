use vitalsign::observed;

trait Load {
    #[observed]
    fn load(&self);
}

fn main() {
    let _: Option<&dyn Load> = None;
}
