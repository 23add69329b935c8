//! A node's report: what was accepted is safe to store and to show, and survives being sent on.

#![no_main]

use adapter_facts::{column, from_request, record, to_request};
use libfuzzer_sys::fuzz_target;
use xcat_request::{Limits, parse};

fuzz_target!(|data: &[u8]| {
    let Ok(root) = parse(data, &Limits::default()) else {
        return;
    };
    let facts = from_request(&root);
    let text = column::format(&facts.adapters).unwrap_or_default();
    assert!(text.len() <= column::LIMIT);
    assert!(!text.starts_with(['|', '/']) && !text.contains("+="));
    assert!(!text.chars().any(char::is_control));
    for (index, adapter) in facts.adapters.iter().enumerate() {
        assert!(!record("n1", index, adapter).chars().any(char::is_control));
    }
    for line in &facts.dropped {
        assert!(!line.chars().any(char::is_control));
    }
    let request = to_request(&facts.adapters, &[]);
    let again = parse(request.as_bytes(), &Limits::default()).map(|root| from_request(&root));
    assert!(again.is_ok_and(|again| again.dropped.is_empty()));
});
