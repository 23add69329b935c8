//! Node names: expand, fold, groups.
//!
//! [`expand`] turns xCAT's noderange into names: lists, ranges, brackets, groups, selections by
//! attribute, patterns, files, parentheses, intersection and exclusion (spec xcat-tables section 8;
//! what differs from xCAT is said at [`expand`]). What the tables know is asked through [`Names`].
//! Where xCAT's answer is hardly what was meant it is given with a [`Warning`]. [`fold`] is the way
//! back. The grammar for users is in noderange(7).

mod atom;
mod count;
mod error;
mod expand;
mod file;
mod fold;
mod names;
mod numbered;
mod options;
pub mod pattern;
mod pieces;
mod range;
mod warning;

pub use error::Error;
pub use expand::expand;
pub use fold::fold;
pub use names::{Names, Nothing, Op};
pub use options::{Expansion, HARD_LIMIT, Options};
pub use pieces::parenthesis;
pub use warning::{Accident, Warning};
