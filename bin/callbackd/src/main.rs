//! Takes nodes' reports off the wire and wakes who waits for them.

fn main() {}
