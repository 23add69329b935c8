//! What an agent says: understood the same after being written, or refused; a spool file as well.
#![no_main]

use libfuzzer_sys::fuzz_target;
use xcat_request::load::{Told, from_request, to_request};
use xcat_request::{Limits, parse};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits::default();
    if let Ok(root) = parse(bytes, &limits)
        && let Ok((nonce, told)) = from_request(&root)
    {
        again(&nonce, told);
    }
    if let Ok(told) = serde_json::from_slice::<Told>(bytes) {
        let root = parse(to_request("00", &told).as_bytes(), &limits).expect("what we write");
        assert!(from_request(&root).is_ok());
    }
});

fn again(nonce: &str, told: Told) {
    let text = to_request(nonce, &told);
    let root = parse(text.as_bytes(), &Limits::default()).expect("what we write");
    assert_eq!(from_request(&root), Ok((nonce.to_string(), told)));
}
