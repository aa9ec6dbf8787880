#[derive(vitalsign::LabelValue)]
enum Channel<T: Sized> {
    Web,
    #[allow(dead_code)]
    Other(std::marker::PhantomData<T>),
}

fn main() {
    let _ = Channel::<u8>::Web;
}
