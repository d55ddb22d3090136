//! Placeholder until its first story is written.
fn main() {}
