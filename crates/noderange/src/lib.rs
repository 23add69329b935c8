//! Node names: expand, fold, groups.

mod error;
pub mod pattern;

pub use error::Error;
