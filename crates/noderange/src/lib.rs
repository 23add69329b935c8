//! Node names: expand, fold, groups.
