//! What the server or the connection says, as errors that callers act on.

use std::error::Error as _;

use postgres::error::SqlState;

use crate::Error;

/// For `map_err`: names the table, and tells apart what a caller acts on. Of what the server says
/// only the message is kept: its details may hold a whole row, passwords and all.
pub(super) fn failure(table: &str) -> impl Fn(postgres::Error) -> Error {
    let table = table.to_string();
    move |error| {
        let table = table.clone();
        let Some(said) = error.as_db_error() else {
            return if is_lost(&error) {
                Error::Lost { table }
            } else {
                let source = chain(&error).into();
                Error::Database { table, source }
            };
        };
        let code = said.code();
        let busy = [
            SqlState::LOCK_NOT_AVAILABLE,
            SqlState::T_R_DEADLOCK_DETECTED,
        ];
        let gone = [
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
            SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        ];
        let why = said.message().to_string();
        if busy.contains(code) {
            Error::Busy { table }
        } else if gone.contains(code) {
            Error::Lost { table }
        } else if code.code().starts_with("23") || *code == SqlState::STRING_DATA_RIGHT_TRUNCATION {
            Error::Constraint { table, why }
        } else {
            let source = why.into();
            Error::Database { table, source }
        }
    }
}

/// True for a server that is starting, stopping or full: another time it may be there.
pub(super) fn may_pass(error: &postgres::Error) -> bool {
    let passing = [SqlState::CANNOT_CONNECT_NOW, SqlState::TOO_MANY_CONNECTIONS];
    error.code().is_some_and(|code| passing.contains(code))
}

/// The error and what caused it, in one line. The driver's own text names neither.
pub(super) fn chain(error: &postgres::Error) -> String {
    if let Some(said) = error.as_db_error() {
        return said.message().to_string();
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// The driver does not say which kind an error is; one from the socket is an I/O error underneath.
fn is_lost(error: &postgres::Error) -> bool {
    let io = error
        .source()
        .is_some_and(|cause| cause.is::<std::io::Error>());
    error.is_closed() || io
}
