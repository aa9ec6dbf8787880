use vitalsign::{counted, traced};

#[traced(fields(n = text.parse::<u8>()?, m = (|| text.parse::<u8>().ok()?.checked_add(1))()))]
#[counted(by = if text.is_empty() { return Ok(0) } else { 1 })]
fn parsed(text: &str) -> Result<u8, std::num::ParseIntError> {
    text.parse()
}

fn main() {}
