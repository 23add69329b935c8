//! Words for the caller and for the system's log. Nothing here can panic: whoever closes our output
//! must not be able to end us half-way.

use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::process::ExitCode;

use crate::NOTHING;

const NAME: &str = "nodereboot-priv";

/// Facility 10 (authpriv), level 5 (notice).
const PRIORITY: u8 = (10 << 3) | 5;

/// A panic tells the caller one fixed line, whatever RUST_BACKTRACE says; the log gets the rest.
pub(crate) fn hide_panics() {
    std::panic::set_hook(Box::new(|panic| {
        complain("internal error: nothing more is done: the system's log has the cause");
        log(&panic.to_string());
        #[allow(clippy::exit)]
        // Abort would look like a crash, with a core file where those are kept.
        std::process::exit(i32::from(NOTHING));
    }));
}

/// Prints help or version.
pub(crate) fn show(text: &str) -> ExitCode {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

/// Says why nothing was done, to the caller and to the log.
pub(crate) fn refuse(code: u8, why: &str) -> ExitCode {
    complain(why);
    log(why);
    ExitCode::from(code)
}

/// Tells the system's log, if there is one; a stuck one does not stop us.
pub(crate) fn log(message: &str) {
    let message: String = plain(message).chars().take(900).collect();
    let line = format!("<{PRIORITY}>{NAME}[{}]: {message}", std::process::id());
    if let Ok(socket) = UnixDatagram::unbound()
        && socket.set_nonblocking(true).is_ok()
    {
        let _ = socket.send_to(line.as_bytes(), "/dev/log");
    }
}

fn complain(why: &str) {
    let line = format!("{NAME}: {}\n", plain(why));
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}

/// Control characters, and everything that is not ASCII, as escapes.
fn plain(text: &str) -> String {
    let escaped = |c: char| match c {
        ' '..='~' => c.to_string(),
        c => c.escape_default().to_string(),
    };
    text.chars().map(escaped).collect()
}
