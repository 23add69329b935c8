//! `/login` and `/logout`.

use serde_json::json;

use super::{Call, access, rest};
use crate::Fault;
use crate::dialect::Login;
use crate::message::Answer;

/// `POST /login`.
pub(super) fn login(call: &mut Call<'_>) -> Answer {
    let dialect = call.bmc.dialect;
    let array = call.body["data"].as_array().and_then(|data| {
        let user = data.first()?.as_str()?.to_string();
        Some((user, data.get(1)?.as_str()?.to_string(), true))
    });
    let named = || {
        let user = call.body["username"].as_str()?.to_string();
        Some((user, call.body["password"].as_str()?.to_string(), false))
    };
    let shown = match dialect.login {
        Login::Message => array,
        Login::Both | Login::Token => array.or_else(named),
        Login::Strict => named(),
        Login::None => None,
    };
    let Some((user, password, by_array)) = shown else {
        return if dialect.envelope {
            rest::error(
                400,
                "Expecting request format { \"data\": [<string>, <string>] }, got something else",
            )
        } else {
            Answer::empty(400)
        };
    };
    let refused = call.state.rules.has(&Fault::LoginRefused);
    if refused || !access::known(call.world, &user, &password) {
        return if dialect.envelope {
            rest::error(401, "Invalid username or password")
        } else {
            Answer::empty(401)
        };
    }
    let session = call.state.sessions.open(call.bmc.number, dialect.sessions);
    let message = match dialect.login {
        Login::Message => true,
        Login::Both => by_array,
        _ => false,
    };
    let answer = if message {
        rest::data(json!(format!("User '{user}' logged in")))
    } else {
        Answer::json(200, &json!({"token": session.token}))
    };
    if dialect.envelope {
        let cookie = format!("sid=\"!Sg+n4tur3=?{}\"; HttpOnly; Secure", session.token);
        return answer.with("Set-Cookie", cookie);
    }
    answer
        .with(
            "Set-Cookie",
            format!("XSRF-TOKEN={}; SameSite=Strict; Secure", session.xsrf),
        )
        .with(
            "Set-Cookie",
            format!(
                "{}={}; SameSite=Strict; Secure; HttpOnly",
                dialect.cookie, session.token
            ),
        )
}

/// `POST /logout`.
pub(super) fn logout(call: &mut Call<'_>) -> Answer {
    if let Some(id) = call.caller.session() {
        call.state.sessions.close(id);
    }
    rest::data(json!(format!(
        "User '{}' logged out",
        call.world.config.user
    )))
}
