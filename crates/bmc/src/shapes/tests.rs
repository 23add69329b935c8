#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

#[test]
fn a_system_as_bmcs_tell_it() {
    let body = br##"{"@odata.id": "/redfish/v1/Systems/system", "@odata.etag": "W/\"1\"", "Id": "system",
        "PowerState": "PoweringOff", "Boot": {"BootSourceOverrideEnabled": "Disabled",
        "BootSourceOverrideTarget": "None", "BootSourceOverrideTarget@Redfish.AllowableValues": ["None", "Pxe"]},
        "Actions": {"#ComputerSystem.Reset": {"target": "/redfish/v1/Systems/system/Actions/ComputerSystem.Reset",
        "@Redfish.ActionInfo": "https://elsewhere/redfish/v1/Systems/system/ResetActionInfo"}}}"##;
    let system: System = read(body).unwrap();
    assert_eq!(system.power(), PowerState::PoweringOff);
    assert_eq!(system.tag(), Some("W/\"1\""));
    assert_eq!(system.boot().allowed.unwrap(), ["None", "Pxe"]);
    let reset = system.reset().unwrap();
    assert!(reset.path().unwrap().ends_with("ComputerSystem.Reset"));
    assert_eq!(
        reset.info().unwrap(),
        "/redfish/v1/Systems/system/ResetActionInfo"
    );
    assert!(system.is_called("SYSTEM") && !system.is_called("n1"));
}

#[test]
fn wrong_types_and_other_things_are_named() {
    for (body, part) in [
        (&b"{\"PowerState\": 1}"[..], "invalid type"),
        (b"{\"Id\": null} x", "trailing"),
        (b"<html><body>login</body></html>", "HTML"),
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"[\"a\", \"b\"]", "no JSON object"),
        (b"{\"PowerState\": \"On\"", "EOF"),
        (b"{\"PowerState\": \"O\xff\"}", "invalid unicode"),
    ] {
        let why = read::<System>(body).unwrap_err();
        assert!(why.contains(part), "{why}");
    }
    let deep = [b"{\"a\":".to_vec(), vec![b'['; 100_000]].concat();
    assert!(read::<Value>(&deep).unwrap_err().contains("recursion"));
}

#[test]
fn uris_stay_on_their_connection() {
    for (uri, path) in [
        (
            "/redfish/v1/Systems/1?x=1",
            Some("/redfish/v1/Systems/1?x=1"),
        ),
        ("https://evil.example/redfish/v1", Some("/redfish/v1")),
        ("http://evil.example:80/a", Some("/a")),
        ("//evil.example/a", Some("/a")),
        ("/a#/Members/0", Some("/a")),
        (
            "/a?to=http://evil.example/",
            Some("/a?to=http://evil.example/"),
        ),
        ("https://evil.example", None),
        ("https://evil.example//x", None),
        ("relative", None),
        ("", None),
        ("/a b", None),
        ("/a\r\nHost: x", None),
        ("@evil.example/", None),
    ] {
        assert_eq!(local_path(uri).as_deref(), path, "{uri}");
    }
    assert_eq!(local_path(&format!("/{}", "a".repeat(URI))), None);
}

#[test]
fn refusals_in_every_form() {
    for body in [
        r#"{"error": {"code": "x", "message": "no", "@Message.ExtendedInfo": [{"Message": "power is on"}]}}"#,
        r#"{"error": {"message": "power is on"}}"#,
        r#"{"data": {"description": "power is on"}, "message": "403 Forbidden", "status": "error"}"#,
        r#"{"message": "power is on"}"#,
    ] {
        assert_eq!(refusal(body.as_bytes()), "power is on");
    }
    assert_eq!(refusal(b"{\"message\": \"\\u001b[2J\"}"), "\\u{1b}[2J");
    assert_eq!(refusal(b"<html>"), "");
}

#[test]
fn rest_power_states() {
    let said = |state: &str| rest_power(format!("{{\"data\": \"{state}\"}}").as_bytes()).unwrap();
    let of = "xyz.openbmc_project.State.Chassis.PowerState.";
    assert_eq!(said(&format!("{of}On")), PowerState::On);
    assert_eq!(said(&format!("{of}Off")), PowerState::Off);
    assert_eq!(said("x.Odd"), PowerState::Unknown("Odd".to_string()));
    for body in [
        "{}",
        "{\"data\": 1}",
        "{\"data\": \"On\", \"status\": \"error\"}",
    ] {
        assert!(rest_power(body.as_bytes()).is_err(), "{body}");
    }
}

#[test]
fn ipmitool_s_words() {
    assert_eq!(ipmi_power(b"Chassis Power is on\n"), Ok(PowerState::On));
    assert_eq!(
        ipmi_power(b"warning\nChassis Power is off\n"),
        Ok(PowerState::Off)
    );
    assert!(ipmi_power(b"Chassis Power").is_err());
}

#[test]
fn a_password_that_has_to_be_changed_first() {
    let body =
        br#"{"@Message.ExtendedInfo": [{"MessageId": "Base.1.8.1.PasswordChangeRequired"}]}"#;
    assert!(wants_new_password(body));
    assert!(!wants_new_password(b"{}"));
}

/// JSON that looks like what a BMC says, with anything in any place.
fn strange() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        Just("PowerState"),
        Just("Boot"),
        Just("Actions"),
        Just("#ComputerSystem.Reset"),
        Just("target"),
        Just("@odata.id"),
        Just("Members"),
        Just("Systems"),
        Just("Links"),
        Just("Sessions"),
        Just("data"),
        Just("status"),
        Just("error"),
        Just("message"),
        Just("Parameters"),
        Just("AllowableValues"),
        Just("Name"),
        Just("@Redfish.ActionInfo"),
    ];
    let leaf = prop_oneof![
        Just("null".to_string()),
        Just("true".to_string()),
        Just("-1e400".to_string()),
        any::<i64>().prop_map(|n| n.to_string()),
        "[a-zA-Z/:.# \\\\]{0,12}".prop_map(|text| Value::from(text).to_string()),
    ];
    leaf.prop_recursive(4, 32, 4, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4)
                .prop_map(|all| format!("[{}]", all.join(","))),
            proptest::collection::vec((key.clone(), inner), 0..4).prop_map(|all| {
                let pairs: Vec<String> = all
                    .iter()
                    .map(|(key, value)| format!("\"{key}\":{value}"))
                    .collect();
                format!("{{{}}}", pairs.join(","))
            }),
        ]
    })
}

/// Everything that reads a BMC's bytes; what comes out is fit for a message or a request line.
fn read_all(body: &[u8]) {
    let fits = |path: Option<String>| {
        assert!(path.is_none_or(|path| path.starts_with('/') && path.is_ascii()));
    };
    let plain = |state: PowerState| {
        assert!(!state.to_string().contains(|c: char| c.is_control()));
    };
    if let Ok(root) = read::<Root>(body) {
        fits(root.sessions());
    }
    if let Ok(collection) = read::<Collection>(body) {
        collection
            .paths()
            .into_iter()
            .for_each(|path| fits(Some(path)));
    }
    if let Ok(system) = read::<System>(body) {
        plain(system.power());
        fits(system.reset().and_then(Reset::path));
    }
    if let Ok(value) = read::<Value>(body) {
        let _ = reset_types(&value);
    }
    let _ = wants_new_password(body);
    assert!(!refusal(body).contains(|c: char| c.is_control()));
    if let Ok(state) = rest_power(body) {
        plain(state);
    }
    if let Ok(state) = ipmi_power(body) {
        plain(state);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        read_all(&body);
    }

    #[test]
    fn any_json_is_read(body in strange()) {
        read_all(body.as_bytes());
    }

    #[test]
    fn any_uri_is_reduced(uri in "(https?://|//|/)?[a-z/:#?@\\PC]{0,30}") {
        if let Some(path) = local_path(&uri) {
            prop_assert!(path.starts_with('/') && path.bytes().all(|c| c.is_ascii_graphic()));
        }
    }
}
