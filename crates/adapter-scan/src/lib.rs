//! The work of getadapter.
