//! Any bytes as a table's dump: refused, or records of the heading's width whose values, written as
//! tabdump writes them, are read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use xcat_tables::records;

fuzz_target!(|bytes: &[u8]| {
    let known = |column: &str| ["node", "mgt", "comments"].contains(&column);
    let whole = ["node", "mgt", "comments"].map(String::from);
    let Ok(found) = records("t", bytes, known, &whole) else {
        return;
    };
    let mut again = format!("#{}\n", found.columns.join(",")).into_bytes();
    for record in &found.records {
        assert_eq!(record.values.len(), found.columns.len());
        for (at, value) in record.values.iter().enumerate() {
            if at > 0 {
                again.push(b',');
            }
            if let Some(value) = value {
                again.push(b'"');
                for byte in value {
                    again.extend_from_slice(if *byte == b'"' { b"\"\"" } else { std::slice::from_ref(byte) });
                }
                again.push(b'"');
            }
        }
        again.push(b'\n');
    }
    let second = records("t", &again, known, &whole).expect("what was written");
    let values = |records: &xcat_tables::Records| {
        let values = records.records.iter().map(|record| record.values.clone());
        values.collect::<Vec<_>>()
    };
    assert_eq!(values(&second), values(&found));
});
