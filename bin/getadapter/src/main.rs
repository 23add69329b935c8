//! Asks nodes, through genesis, what network adapters they have.

fn main() {}
