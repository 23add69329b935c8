//! The kernel command line and genesis.env: whatever stands there gives a master that can be written
//! and read again, or nothing, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use xcat_request::{Target, kernel_word, master, variable};

fuzz_target!(|text: &str| {
    let words = [
        kernel_word(text, "xcatd"),
        kernel_word(text, "nodetools.report"),
        variable(text, "XCATMASTER"),
    ];
    for value in words.into_iter().flatten() {
        assert!(text.contains(value));
        if let Ok(target) = value.parse::<Target>() {
            assert!(target.port > 0);
            assert!(target.host.is_ascii() && !target.host.contains(char::is_whitespace));
            assert_eq!(target.to_string().parse(), Ok(target));
        }
        let _ = (value.parse::<tls::Pin>().is_ok(), master::is_nonce(value));
    }
});
