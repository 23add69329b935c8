//! One datagram to `/dev/log`. Where there is none (containers, genesis) nothing happens: a log is
//! never a reason to fail.

use std::os::unix::net::UnixDatagram;

use crate::escape::escape;

/// The two levels that we use, at facility `daemon`.
#[derive(Debug, Clone, Copy)]
pub enum Level {
    /// Somebody should look.
    Warning = 4,
    /// For the record.
    Info = 6,
}

/// Facility 3 (daemon), shifted as RFC 3164 wants it.
const DAEMON: u8 = 3 << 3;

/// Sends `ident[pid]: message`, control characters escaped, cut at 900 bytes.
pub fn log(ident: &str, level: Level, message: &str) {
    let mut message = escape(message).into_owned();
    if message.len() > 900 {
        let end = (0..=900)
            .rev()
            .find(|at| message.is_char_boundary(*at))
            .unwrap_or(0);
        message.truncate(end);
    }
    let line = format!(
        "<{}>{ident}[{}]: {message}",
        DAEMON | level as u8,
        std::process::id()
    );
    let Ok(socket) = UnixDatagram::unbound() else {
        return;
    };
    // A stuck log daemon must not stop us either.
    if socket.set_nonblocking(true).is_ok() {
        let _ = socket.send_to(line.as_bytes(), "/dev/log");
    }
}
