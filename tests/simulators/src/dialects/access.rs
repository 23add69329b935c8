//! Who asks, and whether they may.

use crate::Fault;
use crate::bmc::{Bmc, State};
use crate::message::{Answer, Request};
use crate::world::World;

use super::{redfish, rest};

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Nobody that is known; true: something was shown, but it is not (or no longer) good.
    Stranger,
    /// With a session's token in the header.
    Token(String),
    /// With a session's cookie.
    Cookie(String),
    /// With name and password in this request.
    Basic,
}

impl Caller {
    /// The id of the session, if it is one.
    pub(crate) fn session(&self) -> Option<&str> {
        match self {
            Caller::Token(id) | Caller::Cookie(id) => Some(id),
            _ => None,
        }
    }
}

/// Name and password are what the configuration says.
pub(super) fn known(world: &World, user: &str, password: &str) -> bool {
    user == world.config.user && password == world.config.password
}

/// Who sends this request.
pub(super) fn caller(world: &World, bmc: &Bmc, state: &State, request: &Request) -> Caller {
    let dialect = bmc.dialect;
    if let Some(token) = request.header("x-auth-token")
        && !dialect.envelope
    {
        return match state.sessions.by_token(token) {
            Some(session) => Caller::Token(session.id.clone()),
            None => Caller::Stranger,
        };
    }
    if let Some(value) = request.cookie(dialect.cookie) {
        let token = value.trim_matches('"');
        let token = token.split_once('?').map_or(token, |(_, token)| token);
        if let Some(session) = state.sessions.by_token(token) {
            let reads = matches!(request.method.as_str(), "GET" | "HEAD");
            let shown = request.header("x-xsrf-token");
            if reads || !dialect.xsrf || shown == Some(session.xsrf.as_str()) {
                return Caller::Cookie(session.id.clone());
            }
        }
        return Caller::Stranger;
    }
    let basic = request
        .header("authorization")
        .and_then(|value| value.strip_prefix("Basic "))
        .and_then(base64);
    if dialect.basic
        && let Some(pair) = basic
        && let Some((user, password)) = pair.split_once(':')
        && known(world, user, password)
        && !state.rules.has(&Fault::LoginRefused)
    {
        return Caller::Basic;
    }
    Caller::Stranger
}

/// The refusal of a caller who may not ask this.
pub(super) fn allowed(
    bmc: &Bmc,
    state: &State,
    caller: &Caller,
    open: bool,
    request: &Request,
) -> Result<(), Answer> {
    if open {
        return Ok(());
    }
    if *caller == Caller::Stranger {
        return Err(if bmc.dialect.envelope {
            rest::error(401, "Login required")
        } else if bmc.dialect.basic {
            Answer::empty(401).with("WWW-Authenticate", "Basic")
        } else {
            Answer::empty(401)
        });
    }
    let leaves = request.method == "DELETE" && request.path.contains("/Sessions/");
    if state.rules.has(&Fault::PasswordChangeRequired) && !leaves {
        return Err(redfish::error(
            403,
            "PasswordChangeRequired",
            &["/redfish/v1/AccountService/Accounts/root"],
        ));
    }
    Ok(())
}

/// Text from base64; `None` for what is none.
fn base64(text: &str) -> Option<String> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0u32, 0);
    for letter in text.trim().trim_end_matches('=').bytes() {
        let value = LETTERS.iter().position(|one| *one == letter)?;
        bits = (bits << 6) | u32::try_from(value).ok()?;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn base64_is_read() {
        assert_eq!(
            super::base64("cm9vdDowcGVuQm1j"),
            Some("root:0penBmc".into())
        );
        assert_eq!(super::base64("cm9vdDph"), Some("root:a".into()));
        assert_eq!(super::base64("?"), None);
    }
}
