//! Bodies of a BMC in every shape that is read: what comes out is fit for a message or a request line.

#![no_main]

use bmc::shapes::{self, Collection, Link, Reset, Root, SessionService, System};
use libfuzzer_sys::fuzz_target;

fn fits(path: Option<String>) {
    let Some(path) = path else { return };
    assert!(path.starts_with('/') && !path.starts_with("//"));
    assert!(path.bytes().all(|c| c.is_ascii_graphic()));
    assert_eq!(shapes::local_path(&path).as_deref(), Some(path.as_str()));
}

fn plain(text: &str) {
    assert!(!text.contains(|c: char| c.is_control()));
}

fuzz_target!(|body: &[u8]| {
    if let Ok(root) = shapes::read::<Root>(body) {
        fits(root.sessions());
        fits(root.systems.as_ref().and_then(Link::path));
    }
    if let Ok(service) = shapes::read::<SessionService>(body) {
        fits(service.sessions.as_ref().and_then(Link::path));
    }
    if let Ok(collection) = shapes::read::<Collection>(body) {
        collection
            .paths()
            .into_iter()
            .for_each(|path| fits(Some(path)));
    }
    if let Ok(system) = shapes::read::<System>(body) {
        plain(&system.power().to_string());
        fits(system.reset().and_then(Reset::path));
        fits(system.reset().and_then(Reset::info));
        let _ = (system.boot(), system.is_called("n1"));
    }
    if let Ok(value) = shapes::read::<serde_json::Value>(body) {
        let _ = shapes::reset_types(&value);
    }
    let _ = shapes::wants_new_password(body);
    plain(&shapes::refusal(body));
    if let Ok(state) = shapes::rest_power(body) {
        plain(&state.to_string());
    }
    if let Ok(text) = std::str::from_utf8(body) {
        fits(shapes::local_path(text));
    }
});
