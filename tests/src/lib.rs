//! Support for scenarios over several programs.
