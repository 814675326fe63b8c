//! Start-up and shut-down, nothing else.

fn main() {}
