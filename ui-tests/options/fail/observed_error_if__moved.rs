use vitalsign::{counted, observed};

#[observed(error_if = |names: &Vec<String>| names.len() > limit.len())]
async fn owned(limit: String) -> Vec<String> {
    vec![limit]
}

#[counted(by = |bytes| bytes.len() as u64 * factor.len() as u64)]
fn exclusive(factor: &mut Vec<u8>) -> Vec<u8> {
    factor.clone()
}

#[observed(error_if = |bytes: &Vec<u8>| bytes.len() > limit)]
async fn apart((limit, _): (usize, u8)) -> Vec<u8> {
    vec![0; limit]
}

fn main() {}
