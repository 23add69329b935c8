//! Reads a node's network adapters from the kernel and reports them to its master.

fn main() {}
