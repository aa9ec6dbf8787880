//! The layers for HTTP and gRPC, over real sockets.

mod actix;
mod client;
mod conventions;
mod grpc;
mod hostile;
mod many;
mod python;
mod shutdown;
