//! How a field's value is shown: the wrappers of `fields(…)`.
