//! A node's report: claim, spool, bell, apply; waiter, poster, listener.
