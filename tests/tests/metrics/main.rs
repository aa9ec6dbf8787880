//! Metrics, by the pages that parsers and a Prometheus read. What makes `init()` fail stands in a program of its own.

mod caps;
mod exemplars;
mod other_apis;
mod page;
mod scrapes;
mod threads;
