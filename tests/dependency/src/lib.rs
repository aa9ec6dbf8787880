//! A library that brings health checks of its own: a program that depends on it decides whether its probes ask them.

/// One that the program asks for by name.
#[vitalsign::health_check(name = "dependency.wanted")]
pub fn wanted() -> bool {
    true
}

/// One that it does not.
#[vitalsign::health_check(name = "dependency.unwanted")]
pub fn unwanted() -> bool {
    false
}
