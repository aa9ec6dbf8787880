//! What the benches share: generated packages, and the measuring of one case per process.

pub mod allocations;
pub mod cpu;
#[cfg(feature = "http-peers")]
pub mod http_peers;
pub mod load;
pub mod measure;
pub mod package;
pub mod wrapped;
