#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::Framer;
use crate::{Error, Limits};

fn small() -> Limits {
    Limits {
        bytes: 100,
        ..Limits::default()
    }
}

fn one(text: &str) -> String {
    format!("<xcatrequest>{text}</xcatrequest>")
}

#[test]
fn several_requests_come_over_one_connection() {
    let mut framer = Framer::new(&Limits::default());
    let text = one("a") + "\n" + &one("b") + "\n\n" + &one("c")[..20];
    framer.feed(text.as_bytes()).unwrap();
    assert_eq!(framer.next(), Some(one("a").into_bytes()));
    assert_eq!(framer.next(), Some(one("b").into_bytes()));
    assert_eq!(framer.next(), None);
    assert!(framer.is_inside());
    framer.feed(&one("c").as_bytes()[20..]).unwrap();
    assert_eq!(framer.next(), Some(one("c").into_bytes()));
    assert!(!framer.is_inside());
}

#[test]
fn sixteen_bytes_without_the_start_are_an_error() {
    let mut framer = Framer::new(&Limits::default());
    framer.feed(b"GET / HTTP/1.1\r").unwrap();
    assert_eq!(framer.feed(b"\n"), Err(Error::NotARequest));
    assert_eq!(framer.feed(one("a").as_bytes()), Err(Error::NotARequest));
    assert_eq!(framer.next(), None);
}

#[test]
fn the_start_has_no_attributes() {
    let mut framer = Framer::new(&Limits::default());
    let text = b"<xcatrequest a='b'></xcatrequest>";
    assert_eq!(framer.feed(text), Err(Error::NotARequest));
}

#[test]
fn what_was_complete_before_an_error_can_be_taken() {
    let mut framer = Framer::new(&Limits::default());
    let text = one("a") + "0123456789abcdef";
    assert_eq!(framer.feed(text.as_bytes()), Err(Error::NotARequest));
    assert_eq!(framer.next(), Some(one("a").into_bytes()));
}

#[test]
fn length_is_bounded_blanks_included() {
    let mut framer = Framer::new(&small());
    assert_eq!(
        framer.feed(one(&"x".repeat(80)).as_bytes()),
        Err(Error::TooLong(100))
    );
    let mut framer = Framer::new(&small());
    let endless = "<xcatrequest>".to_string() + &"x".repeat(100);
    assert_eq!(framer.feed(endless.as_bytes()), Err(Error::TooLong(100)));
    let mut framer = Framer::new(&small());
    assert_eq!(framer.feed(&[b' '; 101]), Err(Error::TooLong(100)));
    let mut framer = Framer::new(&small());
    assert_eq!(
        framer.feed(one("a").repeat(50).as_bytes()),
        Err(Error::TooLong(100))
    );
    let exact = one(&"x".repeat(100 - 27));
    assert_eq!(Framer::new(&small()).feed(exact.as_bytes()), Ok(()));
}

proptest! {
    #[test]
    fn the_cuts_of_the_network_do_not_matter(
        parts in proptest::collection::vec(
            prop_oneof![
                Just("<xcatrequest>"), Just("</xcatrequest>"), Just("<xcat"), Just("request>"), Just("</"),
                Just("\n"), Just(" "), Just("x"), Just("<nic>0</nic>"),
            ],
            0..30,
        ),
        cut in 1usize..40,
    ) {
        let text = parts.concat();
        let mut whole = Framer::new(&Limits::default());
        let at_once = whole.feed(text.as_bytes());
        let mut pieces = Framer::new(&Limits::default());
        let mut by_piece = Ok(());
        for piece in text.as_bytes().chunks(cut) {
            by_piece = pieces.feed(piece);
        }
        prop_assert_eq!(at_once, by_piece);
        prop_assert_eq!(whole.is_inside(), pieces.is_inside());
        prop_assert_eq!(whole.collect::<Vec<_>>(), pieces.collect::<Vec<_>>());
    }
}
