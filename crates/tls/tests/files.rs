//! Identities and other files.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::os::unix::fs::PermissionsExt;

use support::Authority;
use tls::{ClientContext, Error, Identity, OldSuites, ServerContext, Trust, identity};

fn pin(of: &Identity) -> tls::Pin {
    ServerContext::new(of, None).unwrap().pin()
}

#[test]
fn an_identity_is_made_once() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("a/b");
    let first = identity(&state, "callbackd").unwrap();
    let second = identity(&state, "callbackd").unwrap();
    assert_eq!(first, second);
    assert_eq!(pin(&first), pin(&second));
    assert_ne!(pin(&first), pin(&identity(&state, "other").unwrap()));
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&first.key), 0o600);
    assert_eq!(mode(&state), 0o700);
    let names: Vec<_> = std::fs::read_dir(&state)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn programs_that_start_together_get_the_same_key() {
    let dir = tempfile::tempdir().unwrap();
    let together = std::sync::Arc::new(std::sync::Barrier::new(8));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let (dir, together) = (dir.path().to_path_buf(), together.clone());
            std::thread::spawn(move || {
                together.wait();
                pin(&identity(&dir, "callbackd").unwrap())
            })
        })
        .collect();
    let pins: Vec<_> = threads.into_iter().map(|one| one.join().unwrap()).collect();
    assert!(pins.iter().all(|pin| *pin == pins[0]), "{pins:?}");
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let made = identity(dir.path(), "callbackd").unwrap();
    std::fs::set_permissions(&made.key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = identity(dir.path(), "callbackd").unwrap_err().to_string();
    assert!(
        error.ends_with("callbackd.pem: others may read it; a private key has mode 0600"),
        "{error}"
    );
}

#[test]
fn a_broken_identity_is_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let made = identity(dir.path(), "callbackd").unwrap();
    std::fs::write(&made.key, "").unwrap();
    let again = identity(dir.path(), "callbackd").unwrap();
    let error = ServerContext::new(&again, None).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("callbackd.pem: no certificate in it"),
        "{error}"
    );
    assert_eq!(std::fs::read(&made.key).unwrap(), b"");
}

#[test]
fn files_are_named_in_errors() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("ca.pem");
    let client = |trust: Trust, identity: Option<&Identity>| {
        ClientContext::new(&trust, identity, OldSuites::No).unwrap_err()
    };
    let error = client(Trust::Authority(missing.clone()), None);
    assert!(
        matches!(&error, Error::File { path, .. } if *path == missing),
        "{error}"
    );
    assert!(error.to_string().contains("No such file"), "{error}");

    let one = Authority::new("CA").identity(dir.path(), &["n1"]);
    let two = Authority::new("CA").identity(dir.path(), &["n2"]);
    let mixed = Identity {
        certificate: one.certificate,
        key: two.key.clone(),
    };
    let error = client(Trust::Anyone, Some(&mixed));
    assert!(
        matches!(&error, Error::File { path, .. } if *path == two.key),
        "{error}"
    );
}

#[test]
fn a_passphrase_is_never_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let plain = Authority::new("CA").identity(dir.path(), &["n1"]);
    let locked = dir.path().join("locked.pem");
    let done = std::process::Command::new("openssl")
        .args(["pkey", "-aes128", "-passout", "pass:secret", "-in"])
        .arg(&plain.key)
        .arg("-out")
        .arg(&locked)
        .status()
        .unwrap();
    assert!(done.success());
    let identity = Identity {
        certificate: plain.certificate,
        key: locked,
    };
    let error = ClientContext::new(&Trust::Anyone, Some(&identity), OldSuites::No).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("no private key without a passphrase in it"),
        "{error}"
    );
}
