//! One lock, one holder, a published address.
