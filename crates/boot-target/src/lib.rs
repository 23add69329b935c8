//! What a node boots next.
