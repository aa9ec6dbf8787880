use futures_util::stream::{self, Stream};
use vitalsign::{counted, traced};

#[traced(stream, ret)]
#[counted(name = "items", by = |items| 1, labels(kind = |items| true))]
fn f() -> impl Stream<Item = u8> {
    stream::empty()
}

fn main() {
    let _ = f();
}
