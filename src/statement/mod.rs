//! One piece of code and its output.
