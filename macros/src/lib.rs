//! The attributes and derives of `vitalsign`.
