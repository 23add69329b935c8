//! A spool file: what is read is written back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use node_report::{FileName, Report};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(name) = std::str::from_utf8(bytes) {
        let _ = FileName::parse(name);
    }
    if let Ok(report) = Report::parse(bytes) {
        let text = serde_json::to_vec(&report).unwrap();
        assert_eq!(Report::parse(&text), Ok(report));
    }
});
