//! A compiled hardware database and a modalias to look up: the first line is the modalias.

#![no_main]

use adapter_facts::kernel::hwdb::Hwdb;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (modalias, database) = data.split_at(end);
    let database = database.get(1..).unwrap_or_default();
    if let Ok(hwdb) = Hwdb::open(database) {
        let _ = hwdb.look_up(&String::from_utf8_lossy(modalias));
    }
});
