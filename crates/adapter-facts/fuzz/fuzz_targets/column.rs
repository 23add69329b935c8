//! Two stored columns: what is read can be written, reads back the same, is never evaluated, and
//! has a difference that can be shown.

#![no_main]

use adapter_facts::column;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let (old, new) = text.split_once('\u{1}').unwrap_or((&text, ""));
    let (old, new) = (column::parse(old), column::parse(new));
    if let Some(written) = column::format(&old) {
        assert!(written.len() <= column::LIMIT);
        assert!(!written.starts_with(['|', '/']) && !written.contains("+="));
        assert_eq!(column::format(&column::parse(&written)), Some(written));
    }
    for change in column::diff(&old, &new) {
        assert!(!change.to_string().chars().any(char::is_control));
    }
});
