//! What anybody may send to the image server or to a peer: head, body, and what they mean.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use image_transfer::{Asked, Parsed, Wanted, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Parsed::Whole(request, used)) = parse(bytes, IpAddr::V4(Ipv4Addr::LOCALHOST)) {
        assert!(used <= bytes.len());
        let _ = Asked::of(&request);
        if let Wanted::Part(span) = Wanted::of(request.range.as_deref(), 1 << 30) {
            assert!(span.length > 0 && span.at + span.length <= 1 << 30);
        }
    }
});
