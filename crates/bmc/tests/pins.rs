//! Keys of BMCs: seen first, kept, and compared before anything is said.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;

use bmc::{Certificates, Client, Error, Settings};
use simulators::parts::have;
use simulators::real::{Running, free_port, within};
use support::{Server, good, limits, pinning};

#[test]
fn a_hundred_at_once_write_one_pin() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), good);
    let settings = pinning(dir.path(), false);
    std::thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| drop(Client::connect(&server.target(), &settings).unwrap()));
        }
    });
    let files: Vec<_> = std::fs::read_dir(dir.path().join("pins"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(files, ["n1.pin"]);
    let pins = dir.path().join("pins");
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&pins), mode(&pins.join("n1.pin"))), (0o700, 0o600));
}

#[test]
fn of_two_keys_seen_at_once_one_is_first() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let servers = [
        Server::start(dir.path(), good),
        Server::start(other.path(), good),
    ];
    for _ in 0..20 {
        let pins = tempfile::tempdir().unwrap();
        let settings = pinning(pins.path(), false);
        let taken: Vec<bool> = std::thread::scope(|scope| {
            let both = servers.each_ref().map(|server| {
                let settings = &settings;
                scope.spawn(move || Client::connect(&server.target(), settings).is_ok())
            });
            both.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert_eq!(taken.iter().filter(|taken| **taken).count(), 1);
    }
}

#[test]
fn a_pin_file_that_is_none_is_an_error_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), good);
    let file = dir.path().join("pins/n1.pin");
    std::fs::create_dir(dir.path().join("pins")).unwrap();
    for text in ["", "abc", "\u{0}"] {
        std::fs::write(&file, text).unwrap();
        let error = Client::connect(&server.target(), &pinning(dir.path(), false)).unwrap_err();
        assert!(matches!(error, Error::PinFile { .. }), "{error}");
        assert!(server.asked().is_empty());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    }
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    assert!(Client::connect(&server.target(), &pinning(dir.path(), true)).is_err());
}

#[test]
fn a_node_name_cannot_leave_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), good);
    let mut target = server.target();
    target.node = "../../n1/\u{e9}".to_string();
    drop(Client::connect(&target, &pinning(dir.path(), false)).unwrap());
    assert!(dir.path().join("pins/..%2f..%2fn1%2f%c3%a9.pin").is_file());
}

#[test]
fn a_configured_ca_decides() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Server::start(dir.path(), good);
    let stranger = Server::start(other.path(), good);
    let settings = Settings::new(
        Certificates::Authority(dir.path().join("server.pem")),
        BTreeSet::new(),
        limits(),
    );
    let settings = settings.unwrap().with_pins(dir.path().join("pins"));
    drop(Client::connect(&server.target(), &settings).unwrap());
    let error = Client::connect(&stranger.target(), &settings).unwrap_err();
    assert!(matches!(error, Error::Handshake { .. }), "{error}");
    assert!(
        error.to_string().contains("certificate not accepted"),
        "{error}"
    );
    assert!(stranger.asked().is_empty());
    assert!(!dir.path().join("pins").exists());
    let missing = Certificates::Authority(dir.path().join("none.pem"));
    assert!(Settings::new(missing, BTreeSet::new(), limits()).is_err());
}

#[test]
fn old_suites_are_offered_to_those_that_need_them_only() {
    if !have("openssl") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let identity = tls::identity(dir.path(), "server").unwrap();
    let port = free_port(false);
    let old = std::process::Command::new("openssl")
        .args([
            "s_server",
            "-www",
            "-quiet",
            "-tls1",
            "-cipher",
            "ALL:@SECLEVEL=0",
            "-accept",
        ])
        .arg(format!("127.0.0.1:{port}"))
        .arg("-cert")
        .arg(&identity.certificate)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let _running = Running(old);
    let address = ([127, 0, 0, 1], port).into();
    let target = support::target(address, bmc::Kind::Redfish);
    within(std::time::Duration::from_secs(10), || {
        std::net::TcpStream::connect(address).ok()
    });
    let connect = |old: &[&str]| {
        let old = old.iter().map(|node| (*node).to_string()).collect();
        let settings = Settings::new(Certificates::Insecure, old, limits()).unwrap();
        Client::connect(&target, &settings).unwrap_err()
    };
    // openssl's server answers the first question with a page, and a login not at all; to get there,
    // TLS 1.0 had to be spoken.
    let reached = connect(&["n1"]);
    assert!(reached.to_string().contains("login"), "{reached}");
    let refused = connect(&["n2"]);
    assert!(matches!(refused, Error::Dropped { .. }), "{refused}");
}
