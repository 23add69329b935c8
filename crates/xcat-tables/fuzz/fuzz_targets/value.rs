//! Any value for any node: computed or refused, never endless.
#![no_main]

use libfuzzer_sys::fuzz_target;
use xcat_tables::evaluate;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (node, value) = text.split_once('\n').unwrap_or(("n12-ib0", text));
    let _ = evaluate(value, node);
    let _ = evaluate(&format!("|\\D+(\\d+).*|({value})|"), node);
    let _ = evaluate(&format!("|{value}|"), node);
});
