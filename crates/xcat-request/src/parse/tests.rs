#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::{Error, parse};
use crate::{Element, Limits};

fn read(text: &str) -> Result<Element, Error> {
    parse(text.as_bytes(), &Limits::default())
}

#[test]
fn a_request_becomes_a_tree() {
    let root = read(
        "<xcatrequest>\n<command>getadapter</command>\n<action>update</action>\n<nic>\n\
         <interface>eno1</interface>\n<linkstate>UP </linkstate>\n</nic>\n<nic/>\n</xcatrequest>\n",
    )
    .unwrap();
    assert_eq!(root.name, "xcatrequest");
    assert_eq!(root.text, "");
    assert_eq!(root.text_of("command"), Some("getadapter"));
    assert_eq!(root.all("nic").count(), 2);
    assert_eq!(root.child("nic").unwrap().text_of("linkstate"), Some("UP "));
    assert_eq!(root.text_of("noderange"), None);
}

#[test]
fn attributes_are_the_first_children() {
    let root = read("<opt node=\"n&#49;\" x='a&amp;b & c'><nic>1</nic></opt>").unwrap();
    let names: Vec<_> = root.children.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["node", "x", "nic"]);
    assert_eq!(root.text_of("node"), Some("n1"));
    assert_eq!(root.text_of("x"), Some("a&b & c"));
}

#[test]
fn the_five_and_numbers_are_decoded() {
    let root = read("<a>&lt;&gt;&amp;&quot;&apos;&#65;&#x42;&#x1F600;</a>").unwrap();
    assert_eq!(root.text, "<>&\"'AB\u{1f600}");
}

#[test]
fn forbidden_characters_cost_the_field_only() {
    let root =
        read("<a><b>&#0;</b><b>&#27;</b><b>&#xD800;</b><b>&#99999999999;</b><b>\u{1}</b></a>");
    for child in root.unwrap().children {
        assert_eq!(child.text, "\u{fffd}");
    }
}

#[test]
fn a_bare_ampersand_stands_for_itself() {
    for text in [
        "AT&T",
        "R & D",
        "&",
        "a&&b",
        "a &; b",
        "R&D dept; rack 4",
        "x&",
    ] {
        assert_eq!(read(&format!("<a>{text}</a>")).unwrap().text, text);
        assert_eq!(
            read(&format!("<a b=\"{text}\"/>")).unwrap().text_of("b"),
            Some(text)
        );
    }
    assert_eq!(read("<a>AT&T<b>x&y</b>&amp;</a>").unwrap().text, "AT&T&");
}

#[test]
fn entities_of_the_senders_own_are_refused() {
    let bomb = "<!DOCTYPE x [<!ENTITY a \"aa\"><!ENTITY b \"&a;&a;\">]><x>&b;</x>";
    assert_eq!(read(bomb), Err(Error::Doctype));
    assert_eq!(read("<x>&b;</x>"), Err(Error::Entity("b".into())));
    assert_eq!(read("<x y='&b;'/>"), Err(Error::Entity("b".into())));
}

#[test]
fn bytes_that_are_not_utf8_are_marked() {
    let root = parse(b"<a>Emulex\xff\xc3</a>", &Limits::default()).unwrap();
    assert_eq!(root.text, "Emulex\u{fffd}\u{fffd}");
}

#[test]
fn ten_thousand_levels_are_refused_early() {
    let deep = "<a>".repeat(10_000) + &"</a>".repeat(10_000);
    assert_eq!(read(&deep), Err(Error::TooDeep(16)));
    let fits = "<a>".repeat(16) + &"</a>".repeat(16);
    assert!(read(&fits).is_ok());
    assert_eq!(
        read(&("<a>".repeat(15) + "<a b='c'/>")),
        Err(Error::TooDeep(16))
    );
}

#[test]
fn every_limit_holds() {
    let many = format!("<a>{}</a>", "<b/>".repeat(20_000));
    assert_eq!(read(&many), Err(Error::TooMany(20_000)));
    let attributes: String = (0..65).map(|n| format!(" a{n}=''")).collect();
    let wide = format!("<a{attributes}/>");
    assert!(matches!(read(&wide), Err(Error::Attribute { .. })));
    let limits = Limits {
        elements: 10,
        ..Limits::default()
    };
    assert_eq!(parse(wide.as_bytes(), &limits), Err(Error::TooMany(10)));
    let long = format!("<a>{}</a>", "x".repeat(65_537));
    let name = "a".to_string();
    assert_eq!(
        read(&long),
        Err(Error::TooMuchText {
            name,
            limit: 65_536
        })
    );
    let pieces = format!("<a>{}</a>", "x<!---->&amp;".repeat(40_000));
    assert!(matches!(read(&pieces), Err(Error::TooMuchText { .. })));
    assert_eq!(
        read(&"x".repeat((1 << 20) + 1)),
        Err(Error::TooLong(1 << 20))
    );
}

#[test]
fn what_is_no_document_is_refused() {
    assert_eq!(read(""), Err(Error::Empty));
    assert_eq!(read("text"), Err(Error::Outside));
    assert_eq!(read("<a/><b/>"), Err(Error::Outside));
    assert_eq!(read("<a/>x"), Err(Error::Outside));
    assert_eq!(read("<a><b>"), Err(Error::Unclosed("b".into())));
    assert!(matches!(read("<a></b>"), Err(Error::Syntax { .. })));
    assert!(matches!(read("<a b=1 b=2/>"), Err(Error::Attribute { .. })));
    assert!(matches!(read("<a><1/></a>"), Err(Error::Name(_))));
    assert!(matches!(read("<a"), Err(Error::Syntax { .. })));
    assert_eq!(
        read("<\u{1b}[2J/>").unwrap_err().to_string(),
        "\\u{1b}[2J: not a name"
    );
}

#[test]
fn comments_cdata_and_the_declaration_are_xml_too() {
    let root = read("<?xml version='1.0'?><!-- x --><a>1<![CDATA[<&]]>2<?pi?></a>\n").unwrap();
    assert_eq!(root.text, "1<&2");
}

proptest! {
    #[test]
    fn any_bytes_give_a_bounded_tree_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let _ = parse(&bytes, &Limits::default());
    }

    #[test]
    fn anything_near_xml_gives_a_bounded_tree_or_an_error(
        parts in proptest::collection::vec(
            prop_oneof![
                Just("<a>"), Just("</a>"), Just("<b x='&"), Just("'/>"), Just("&amp;"), Just("&"), Just(";"),
                Just("<!--"), Just("-->"), Just("<![CDATA["), Just("]]>"), Just("<!DOCTYPE"), Just("&#"),
                Just("x1"), Just("<?"), Just("?>"), Just(" "), Just("\u{e4}"), Just(">"),
            ],
            0..60,
        )
    ) {
        if let Ok(root) = parse(parts.concat().as_bytes(), &Limits::default()) {
            prop_assert!(depth(&root) <= 16);
        }
    }
}

fn depth(element: &Element) -> usize {
    1 + element.children.iter().map(depth).max().unwrap_or(0)
}
