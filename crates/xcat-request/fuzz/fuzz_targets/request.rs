//! A connection's bytes: cut into requests the same way however they arrive, each parsed within its
//! limits, and what was parsed survives being written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use xcat_request::{Element, Framer, Limits, parse, write};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits::default();
    let Some((cut, bytes)) = bytes.split_first() else {
        return;
    };
    let mut whole = Framer::new(&limits);
    let mut pieces = Framer::new(&limits);
    let at_once = whole.feed(bytes);
    let mut by_piece = Ok(());
    for piece in bytes.chunks(usize::from(*cut).max(1)) {
        by_piece = pieces.feed(piece);
    }
    assert_eq!(at_once, by_piece);
    let requests: Vec<_> = whole.collect();
    assert_eq!(requests, pieces.collect::<Vec<_>>());
    for request in requests.iter().map(Vec::as_slice).chain([bytes]) {
        let Ok(root) = parse(request, &limits) else {
            continue;
        };
        assert!(depth(&root) <= limits.depth);
        if is_even(&root) {
            let text = write::document(&root);
            assert_eq!(
                parse(text.as_bytes(), &limits).as_ref(),
                Ok(&root),
                "{text}"
            );
        }
    }
});

/// Without text beside children, whose place and indent the tree does not keep, and without a
/// carriage return, DEL or the like, which are not written as they are.
fn is_even(element: &Element) -> bool {
    let plain = |c: char| !c.is_ascii_control() || c == '\n' || c == '\t';
    (element.children.is_empty() || element.text.is_empty())
        && element.text.chars().all(plain)
        && element.children.iter().all(is_even)
}

fn depth(element: &Element) -> usize {
    1 + element.children.iter().map(depth).max().unwrap_or(0)
}
