//! Health: the engine, the probes, real servers, Kubernetes.

mod engine;
mod k8s;
mod log;
mod probes;
mod servers;
