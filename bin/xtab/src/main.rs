//! Makes, dumps, restores, reads and changes xCAT's tables.

fn main() {}
