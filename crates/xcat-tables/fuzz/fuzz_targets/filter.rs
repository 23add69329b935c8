//! Any text as a condition of a dump, and any bytes as the value it is asked of: an answer in time, and
//! `!=` the contrary of `==`, `!~` of `=~`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use xcat_tables::Filter;

fuzz_target!(|bytes: &[u8]| {
    let at = bytes.iter().position(|byte| *byte == b'\n');
    let (condition, value) = bytes.split_at(at.unwrap_or(bytes.len()));
    let Ok(text) = std::str::from_utf8(condition) else {
        return;
    };
    if let Ok(filter) = Filter::parse(text) {
        assert!(text.starts_with(filter.column()));
        let _ = filter.holds(Some(value), true);
        assert!(!filter.holds(None, false));
    }
    for (one, other) in [("==", "!="), ("=~", "!~"), ("<", ">="), (">", "<=")] {
        let holds = |sign| Filter::parse(&format!("c{sign}{text}")).map(|f| f.holds(Some(value), false));
        // `c<` before `=` is another operator.
        if !text.starts_with('=') {
            assert_ne!(holds(one), holds(other), "{text}");
        }
    }
});
