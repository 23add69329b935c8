//! BMCs that are broken or evil: each ends in an error that says so, in time, and without a secret.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bmc::{BootDevice, BootOverride, Client, Error, Limits, Off, PowerState};
use support::{Asked, PASSWORD, Reply, Server, good, insecure, limits, say};

/// A good server but for requests that begin with `line`.
fn but(
    line: &'static str,
    other: impl Fn(u32, &Asked) -> Reply + Send + Sync + 'static,
) -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    let count = AtomicU32::new(0);
    let server = Server::start(dir.path(), move |asked| {
        match asked.line.starts_with(line) {
            true => other(count.fetch_add(1, Ordering::Relaxed), asked),
            false => good(asked),
        }
    });
    (dir, server)
}

fn power(server: &Server) -> Result<PowerState, Error> {
    let mut client = Client::connect(&server.target(), &insecure())?;
    client.power()
}

#[track_caller]
fn fails(server: &Server) -> Error {
    let error = power(server).unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(!text.contains(PASSWORD), "{text}");
    error
}

#[test]
fn one_that_is_as_it_should_be() {
    let (_dir, server) = but("nothing", |_, _| say(500, ""));
    let mut client = Client::connect(&server.target(), &insecure()).unwrap();
    assert_eq!(client.power().unwrap(), PowerState::On);
    client.on().unwrap();
    client.reset().unwrap();
    assert_eq!(
        client.boot_once(BootDevice::Network).unwrap(),
        BootOverride::Once
    );
    drop(client);
    let asked = server.asked();
    let login = &asked[1];
    let body: serde_json::Value = serde_json::from_str(&login.body).unwrap();
    assert_eq!(body["Password"], PASSWORD);
    assert!(
        asked[2..]
            .iter()
            .all(|one| one.header("x-auth-token") == Some("T"))
    );
    assert!(
        asked
            .iter()
            .all(|one| one.header("authorization").is_none())
    );
    // The session is ended, on this connection, wherever its Location pointed.
    assert_eq!(asked.last().unwrap().line, "DELETE /r/sessions/7");
}

#[test]
fn html_empty_and_cut_json() {
    for (body, part) in [
        ("<html>hello</html>", "HTML"),
        ("", "empty"),
        ("{\"PowerState\": \"On\"", "EOF"),
        ("{\"PowerState\": {}}", "invalid type"),
        ("[]", "no JSON object"),
    ] {
        let (_dir, server) = but("GET /r/systems/1", move |_, _| say(200, body));
        let error = fails(&server);
        assert!(matches!(error, Error::Answer { .. }), "{error}");
        assert!(error.to_string().contains(part), "{error}");
        assert!(error.to_string().contains("computer system"), "{error}");
    }
}

#[test]
fn neither_dialect() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), |_| say(200, "<html>a switch</html>"));
    let error = fails(&server);
    assert!(matches!(error, Error::NoDialect { .. }), "{error}");
    let server = Server::start(dir.path(), |_| say(404, ""));
    assert!(matches!(fails(&server), Error::NoDialect { .. }));
}

#[test]
fn a_password_in_an_error_is_blotted_out() {
    let (_dir, server) = but("POST /r/sessions", |_, asked| {
        let said: serde_json::Value = serde_json::from_str(&asked.body).unwrap();
        let text = format!("bad password {}", said["Password"].as_str().unwrap());
        say(
            401,
            &serde_json::json!({"error": {"message": text}}).to_string(),
        )
    });
    let error = fails(&server);
    assert!(matches!(error, Error::Login { .. }), "{error}");
    assert!(error.to_string().contains("[password]"), "{error}");
}

#[test]
fn an_empty_401_and_a_demand_for_a_new_password() {
    let (_dir, server) = but("POST /r/sessions", |_, _| say(401, ""));
    assert!(matches!(fails(&server), Error::Login { .. }));
    let (_dir, server) = but("POST /r/sessions", |_, _| {
        let body =
            r#"{"@Message.ExtendedInfo": [{"MessageId": "Base.1.8.PasswordChangeRequired"}]}"#;
        Reply::Say(201, "X-Auth-Token: T\r\n".to_string(), body.to_string())
    });
    assert!(fails(&server).to_string().contains("new password"));
}

#[test]
fn a_lost_session_is_made_anew_once() {
    let (_dir, server) = but("GET /r/systems/1", |count, asked| match count {
        0 => say(401, ""),
        _ => good(asked),
    });
    assert_eq!(power(&server).unwrap(), PowerState::On);
    let (_dir, server) = but("GET /r/systems/1", |_, _| say(401, ""));
    assert!(matches!(fails(&server), Error::Login { .. }));
    let logins = server.lines();
    assert_eq!(
        logins
            .iter()
            .filter(|line| *line == "POST /r/sessions")
            .count(),
        2
    );
}

#[test]
fn busy_is_waited_for_as_long_as_told_and_no_longer_than_the_limit() {
    let (_dir, server) = but("GET /r/systems/1", |count, asked| match count {
        0 => Reply::Say(503, "Retry-After: 1\r\n".to_string(), String::new()),
        _ => good(asked),
    });
    let start = Instant::now();
    assert_eq!(power(&server).unwrap(), PowerState::On);
    assert!(start.elapsed() >= Duration::from_secs(1));

    let (_dir, server) = but("GET /r/systems/1", |_, _| {
        Reply::Say(503, "Retry-After: 99999\r\n".to_string(), String::new())
    });
    let start = Instant::now();
    assert!(matches!(fails(&server), Error::Busy { .. }));
    assert!(start.elapsed() < Duration::from_secs(15));

    // Real levels put a URL there.
    let (_dir, server) = but("GET /r/systems/1", |_, _| {
        Reply::Say(
            503,
            "Retry-After: /redfish/v1\r\n".to_string(),
            String::new(),
        )
    });
    assert!(matches!(fails(&server), Error::Busy { .. }));
    let asked = server.lines();
    let tries = asked.iter().filter(|line| *line == "GET /r/systems/1");
    assert_eq!(tries.count(), 3);
}

#[test]
fn a_connection_that_breaks_off() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"PowerState\": \"On\"".to_vec();
    let broken = head.clone();
    let (_dir, server) = but("GET /r/systems/1", move |count, asked| match count {
        0 => Reply::Break(broken.clone()),
        _ => good(asked),
    });
    assert_eq!(power(&server).unwrap(), PowerState::On);
    for bytes in [head, Vec::new(), b"HTTP/1.1 2".to_vec()] {
        let (_dir, server) = but("GET /r/systems/1", move |_, _| Reply::Break(bytes.clone()));
        let error = fails(&server);
        assert!(matches!(error, Error::Dropped { .. }), "{error}");
    }
}

#[test]
fn an_answer_without_a_length_is_whole_when_its_json_is() {
    for (body, whole) in [
        ("{\"PowerState\": \"Off\"}", true),
        ("{\"PowerState\": \"Off\"", false),
    ] {
        let bytes = format!("HTTP/1.1 200 OK\r\n\r\n{body}").into_bytes();
        let (_dir, server) = but("GET /r/systems/1", move |_, _| Reply::Break(bytes.clone()));
        assert_eq!(power(&server).is_ok(), whole);
    }
}

#[test]
fn what_is_no_http_or_has_no_end() {
    for bytes in [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec(),
        [b"HTTP/1.1 200 OK\r\n".to_vec(), b"X: y\r\n".repeat(200_000)].concat(),
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n".to_vec(),
    ] {
        let (_dir, server) = but("GET /r/systems/1", move |_, _| Reply::Break(bytes.clone()));
        let error = fails(&server);
        assert!(matches!(error, Error::Answer { .. }), "{error}");
    }
    let huge = format!("{{\"a\": \"{}\"}}", "x".repeat(2 << 20));
    let (_dir, server) = but("GET /r/systems/1", move |_, _| say(200, &huge));
    assert!(fails(&server).to_string().contains("longer than"));
}

#[test]
fn redirects_are_not_followed() {
    let elsewhere = tempfile::tempdir().unwrap();
    let other = Server::start(elsewhere.path(), good);
    let to = format!("Location: https://{}/redfish/v1\r\n", other.address);
    for status in [301, 302, 307, 308] {
        let to = to.clone();
        let (_dir, server) = but("POST /r/sessions", move |_, _| {
            Reply::Say(status, to.clone(), String::new())
        });
        assert!(matches!(fails(&server), Error::Refused { .. }));
    }
    let (_dir, server) = but("GET /redfish/v1", move |_, _| {
        Reply::Say(302, to.clone(), String::new())
    });
    assert!(matches!(fails(&server), Error::NoDialect { .. }));
    assert!(other.asked().is_empty());
}

#[test]
fn links_to_elsewhere_stay_here() {
    let elsewhere = tempfile::tempdir().unwrap();
    let other = Server::start(elsewhere.path(), good);
    let link = format!("https://{}/r/systems/1", other.address);
    let (_dir, server) = but("GET /r/systems", move |count, asked| match count {
        0 => say(
            200,
            &format!("{{\"Members\": [{{\"@odata.id\": \"{link}\"}}]}}"),
        ),
        _ => good(asked),
    });
    assert_eq!(power(&server).unwrap(), PowerState::On);
    assert!(other.asked().is_empty());
}

#[test]
fn several_systems() {
    let list = r#"{"Members": [{"@odata.id": "/r/a"}, {"@odata.id": "/r/b"}]}"#;
    let system = |name: &str, actions: bool| {
        let actions = match actions {
            true => r##", "Actions": {"#ComputerSystem.Reset": {"target": "/r/reset"}}"##,
            false => "",
        };
        say(
            200,
            &format!("{{\"Id\": \"{name}\", \"PowerState\": \"Off\"{actions}}}"),
        )
    };
    // The first is a hypervisor's entry; by name; none.
    for (a, b, ok) in [
        (("hypervisor", false), ("system", true), true),
        (("n2", true), ("N1.cluster", true), true),
        (("left", true), ("right", true), false),
        (("n1", true), ("n1", true), false),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(dir.path(), move |asked| match asked.line.as_str() {
            "GET /r/systems" => say(200, list),
            "GET /r/a" => system(a.0, a.1),
            "GET /r/b" => system(b.0, b.1),
            _ => good(asked),
        });
        match power(&server) {
            Ok(state) => assert!(ok && state == PowerState::Off),
            Err(error) => {
                assert!(!ok && matches!(error, Error::System { .. }), "{error}");
                assert!(error.to_string().contains("/r/a /r/b"), "{error}");
            }
        }
    }
    let (_dir, server) = but("GET /r/systems", |_, _| say(200, "{\"Members\": []}"));
    assert!(matches!(fails(&server), Error::System { .. }));
}

#[test]
fn reset_types_are_chosen_from_what_is_offered() {
    let system = |allowed: &str| {
        format!(
            r##"{{"Id": "1", "PowerState": "On", "Actions": {{"#ComputerSystem.Reset": {{"target": "/r/reset", {allowed}}}}}}}"##
        )
    };
    let offers = system(r#""ResetType@Redfish.AllowableValues": ["ForceOn", "PushPowerButton"]"#);
    let (_dir, server) = but("GET /r/systems/1", move |_, _| say(200, &offers));
    let mut client = Client::connect(&server.target(), &insecure()).unwrap();
    client.on().unwrap();
    let error = client.off(Off::Soft).unwrap_err();
    assert!(matches!(error, Error::NotOffered { .. }), "{error}");
    assert!(
        error.to_string().contains("ForceOn, PushPowerButton"),
        "{error}"
    );
    let posted = server.asked();
    let posted = posted.iter().filter(|one| one.line == "POST /r/reset");
    assert_eq!(
        posted.map(|one| one.body.as_str()).collect::<Vec<_>>(),
        [r#"{"ResetType":"ForceOn"}"#]
    );

    let info = system(r#""@Redfish.ActionInfo": "/r/info""#);
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), move |asked| match asked.line.as_str() {
        "GET /r/systems/1" => say(200, &info),
        "GET /r/info" => say(
            200,
            r#"{"Parameters": [{"Name": "ResetType", "AllowableValues": ["ForceOff"]}]}"#,
        ),
        _ => good(asked),
    });
    let mut client = Client::connect(&server.target(), &insecure()).unwrap();
    client.off(Off::Hard).unwrap();
    assert!(matches!(client.on().unwrap_err(), Error::NotOffered { .. }));
}

#[test]
fn a_refusal_of_what_is_so_already_is_success() {
    let (_dir, server) = but("POST /r/reset", |_, _| {
        say(400, r#"{"error": {"message": "The power is on"}}"#)
    });
    let mut client = Client::connect(&server.target(), &insecure()).unwrap();
    client.on().unwrap();
    let error = client.off(Off::Hard).unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");
    assert!(
        error.to_string().contains("status 400: The power is on"),
        "{error}"
    );
}

#[test]
fn a_reset_whose_answer_is_lost_is_not_sent_again() {
    let (_dir, server) = but("POST /r/reset", |_, _| Reply::Break(Vec::new()));
    let mut client = Client::connect(&server.target(), &insecure()).unwrap();
    assert!(matches!(client.reset().unwrap_err(), Error::Dropped { .. }));
    assert!(client.on().is_err());
    let lines = server.lines();
    // One reset, and three tries to switch on.
    assert_eq!(
        lines.iter().filter(|line| *line == "POST /r/reset").count(),
        4
    );
}

#[test]
fn a_task_is_as_good_as_done_and_a_version_tag_is_sent_where_it_is_asked_for() {
    let (_dir, server) = but("POST /r/reset", |_, _| {
        Reply::Say(
            202,
            "Location: /r/task\r\n".to_string(),
            "{\"TaskState\": \"Running\"}".to_string(),
        )
    });
    Client::connect(&server.target(), &insecure())
        .unwrap()
        .on()
        .unwrap();

    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), |asked| {
        match (asked.line.as_str(), asked.header("if-match")) {
            ("PATCH /r/systems/1", Some("\"v7\"")) => say(204, ""),
            ("PATCH /r/systems/1", _) => say(428, ""),
            ("GET /r/systems/1", _) => match good(asked) {
                Reply::Say(status, _, body) => {
                    Reply::Say(status, "ETag: \"v7\"\r\n".to_string(), body)
                }
                other => other,
            },
            _ => good(asked),
        }
    });
    let mut client = Client::connect(&server.target(), &insecure()).unwrap();
    client.boot_once(BootDevice::Network).unwrap();
}

#[test]
fn a_boot_device_that_is_accepted_and_not_kept() {
    let (_dir, server) = but("nothing", |_, _| say(500, ""));
    let mut client = Client::connect(&server.target(), &insecure()).unwrap();
    let error = client.boot_once(BootDevice::Disk).unwrap_err();
    assert!(matches!(error, Error::NotTaken { .. }), "{error}");
    assert!(error.to_string().contains("Pxe Once"), "{error}");
}

#[test]
fn where_there_are_no_sessions_each_request_carries_the_login() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), |asked| match asked.line.as_str() {
        "GET /redfish/v1" => say(200, r#"{"Systems": {"@odata.id": "/r/systems"}}"#),
        _ if asked.header("authorization").is_none() => say(401, ""),
        _ => good(asked),
    });
    assert_eq!(power(&server).unwrap(), PowerState::On);
    let asked = server.asked();
    assert!(asked[0].header("authorization").is_none());
}

#[test]
fn the_time_for_one_operation_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), |asked| match asked.line.as_str() {
        "GET /r/systems/1" => {
            // Longer than any limit here; the client is gone by then.
            std::thread::sleep(Duration::from_secs(60));
            say(200, "{}")
        }
        _ => good(asked),
    });
    let start = Instant::now();
    let error = fails(&server);
    assert!(matches!(error, Error::TimedOut { .. }), "{error}");
    assert!(start.elapsed() < Duration::from_secs(8));

    let short = bmc::Settings::new(
        bmc::Certificates::Insecure,
        Default::default(),
        Limits {
            total: Duration::from_millis(300),
            ..limits()
        },
    );
    let start = Instant::now();
    let mut client = Client::connect(&server.target(), &short.unwrap()).unwrap();
    assert!(client.power().is_err());
    drop(client);
    assert!(start.elapsed() < Duration::from_secs(3));
}
