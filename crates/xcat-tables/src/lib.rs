//! xCAT's tables: SQLite files or PostgreSQL, read by set, written in one transaction.
