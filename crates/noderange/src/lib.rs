//! Node names: expand, fold, groups.
//!
//! [`expand`] turns xCAT's noderange into names: lists, ranges, brackets, groups, selections by
//! attribute, patterns, files, parentheses, intersection and exclusion (spec xcat-tables section 8;
//! what differs from xCAT is said at [`expand`]). What the tables know is asked through [`Names`].
//! [`fold`] is the way back.

mod atom;
mod count;
mod error;
mod expand;
mod fold;
mod names;
pub mod pattern;
mod pieces;

pub use error::Error;
pub use expand::{Expansion, HARD_LIMIT, Options, expand};
pub use fold::fold;
pub use names::{Names, Op};
