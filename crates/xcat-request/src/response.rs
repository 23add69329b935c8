//! Answers, as xcatd writes them, and their reader.
//!
//! An answer is one or more `<xcatresponse>` documents, one after the other; the last holds
//! `<serverdone></serverdone>`. Within a document elements stand in the order of their names, two
//! blanks of indent a level, and every byte outside 0x09..0x7f is a `?` (spec section 8).
//!
//! # What a stock genesis makes of them
//! The node's `getdestiny` and `nextdestiny` (xCAT-genesis-scripts, all generations) look at lines,
//! not at XML: `<destiny>` must be the first tag in its line, `</destiny>` stand in the same line.
//! The older ones print what stands between the first `>` and the next `<`; the present ones also
//! read `name`, `imgserver`, `kernel`, `initrd` and `kcmdline` in the same way, first match of each.
//! Consequences for whoever answers:
//! - Entities are not decoded there, so a destiny should hold none of `&<>"`.
//! - The older `getdestiny` asks again after 60 s as long as the text `error` stands *anywhere* in
//!   the answer, a kernel command line or a node name included; the present one only for `<error>`.
//! - `nextdestiny` without a `<destiny>` prints `error=` and the text of `<error>`, or
//!   `error=No destiny command received`. The new image takes `error` as a failed action.
//! - Both, and `getcert`'s `getcredentials`, are sent by `openssl s_client -quiet`, which does not
//!   end at its end of input: it waits until the server closes. xcatd closes after 15 s of silence;
//!   whoever answers should close at once. An empty answer is no error to them: `getdestiny` of the
//!   older kind then prints an empty line, and its caller asks again at once.
//! - The requests hold `<command>` and `<callback_port>300</callback_port>`, nothing that names the
//!   node. The later of the older genesis also sends `getdestiny` once at its start only to be
//!   counted as booted, and drops the answer.
//! - `runcmd=X`: the first genesis asked `nextdestiny` before it ran X, all later ones after it, so a
//!   chain that moved on does not prove that X has run.
//! - A destiny is at most 4,096 bytes, and its first word (up to `=` or a blank) is
//!   `[a-z][a-z0-9_-]*`, or the new image calls it invalid.

use crate::Element;
use crate::write::document;

mod reader;

pub use reader::{Answer, Failure, Reader};

/// The end of an answer: a document with nothing but `<serverdone></serverdone>`. For an adapter
/// update it is the whole answer, and means that the report is safe.
pub fn done() -> String {
    response(vec![Element::leaf("serverdone", "")])
}

/// A refusal, complete in itself: `<error>`, `<errorcode>`, `<serverdone>`.
pub fn error(text: &str, code: i32) -> String {
    response(vec![
        Element::leaf("error", text),
        Element::leaf("errorcode", code.to_string()),
        Element::leaf("serverdone", ""),
    ])
}

/// One node's part of an answer, in a document of its own; [`done`] has to follow. The fields stand
/// in the order of their names, `name` (the node) among them, as xCAT's writer sorts them.
///
/// For `getdestiny` and `nextdestiny` xcatd sends `data` and `destiny` with the same text
/// (chain.currstate), `imgserver`, and `kernel`, `initrd`, `kcmdline` where bootparams has them.
pub fn node_data(node: &str, fields: &[(&str, &str)]) -> String {
    let mut children: Vec<Element> = fields
        .iter()
        .map(|(name, value)| Element::leaf(*name, *value))
        .collect();
    children.push(Element::leaf("name", node));
    children.sort_by(|a, b| a.name.cmp(&b.name));
    response(vec![Element::node("node", children)])
}

/// The whole answer to `getdestiny` and `nextdestiny` of a known node: [`node_data`] with `data`,
/// `destiny` and `more` (`imgserver`, `kernel`, `initrd`, `kcmdline`), then [`done`].
pub fn destiny(node: &str, destiny: &str, more: &[(&str, &str)]) -> String {
    let mut fields = vec![("data", destiny), ("destiny", destiny)];
    fields.extend_from_slice(more);
    node_data(node, &fields) + &done()
}

/// The whole answer to `getdestiny` of a peer that is no node: `discover`, beside no node.
pub fn discover() -> String {
    response(vec![Element::leaf("destiny", "discover")]) + &done()
}

/// The whole answer to a user's command: one `<data>` element per line of text, then [`done`].
pub fn data(lines: &[String]) -> String {
    let leaves = lines
        .iter()
        .map(|line| Element::leaf("data", line.as_str()))
        .collect();
    response(leaves) + &done()
}

fn response(children: Vec<Element>) -> String {
    sanitised(document(&Element::node("xcatresponse", children)))
}

/// xcatd replaces byte by byte, so a letter of two bytes becomes two marks.
fn sanitised(text: String) -> String {
    if text.is_ascii() {
        return text;
    }
    text.bytes()
        .map(|byte| {
            if byte.is_ascii() {
                char::from(byte)
            } else {
                '?'
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{destiny, discover, done, error, node_data};

    #[test]
    fn the_end_is_xcatds() {
        assert_eq!(
            done(),
            "<xcatresponse>\n  <serverdone></serverdone>\n</xcatresponse>\n"
        );
    }

    #[test]
    fn an_error_is_complete_and_plain() {
        assert_eq!(
            error("Größe <busy>", 1),
            "<xcatresponse>\n  <error>Gr????e &lt;busy&gt;</error>\n  <errorcode>1</errorcode>\n  \
             <serverdone></serverdone>\n</xcatresponse>\n"
        );
    }

    #[test]
    fn fields_are_sorted_with_the_name_among_them() {
        assert_eq!(
            node_data("n1", &[("kernel", "k"), ("data", "d"), ("zone", "z")]),
            "<xcatresponse>\n  <node>\n    <data>d</data>\n    <kernel>k</kernel>\n    \
             <name>n1</name>\n    <zone>z</zone>\n  </node>\n</xcatresponse>\n"
        );
    }

    #[test]
    fn a_stock_genesis_finds_its_destiny_in_a_line_of_its_own() {
        let answer = destiny("n1", "runcmd=getadapter", &[("imgserver", "10.0.0.1")]);
        let line = answer.lines().find(|line| line.contains("<destiny>"));
        let text = line.and_then(|line| line.split('>').nth(1));
        assert_eq!(text, Some("runcmd=getadapter</destiny"));
        assert!(answer.ends_with(&done()));
        assert!(discover().starts_with("<xcatresponse>\n  <destiny>discover</destiny>\n"));
    }
}
