//! Which server gave a lease, from what DHCP clients leave on disk.
//!
//! The readers take any text and give what they find in it; a server that sends odd options, or a
//! file cut off in the middle, costs that lease and nothing else.

use std::net::Ipv4Addr;

/// The servers of a dhclient lease file (`dhclient.leases`), newest first, each once. In the file
/// the newest lease stands last: `lease { .. option dhcp-server-identifier 10.0.0.1; .. }`. IPv6
/// leases name their server by an identifier without an address and are passed over.
pub fn dhclient(text: &str) -> Vec<Ipv4Addr> {
    let mut found = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut inside: Option<bool> = None;
    for token in tokens(text) {
        match token {
            Token::Word(word) => {
                // A statement that never ends must not be collected.
                if words.len() < 8 {
                    words.push(word);
                }
                continue;
            }
            Token::Open => inside = Some(words.first().is_some_and(|word| word == "lease")),
            Token::Close => inside = None,
            Token::End if inside == Some(true) => found.extend(server(&words)),
            Token::End => {}
        }
        words.clear();
    }
    newest_first(found)
}

/// The servers that a file of NetworkManager's internal client (or systemd's) names, the best first:
/// `SERVER_ADDRESS=`, then `NEXT_SERVER=` (the boot server), one `KEY=value` a line.
pub fn networkmanager(text: &str) -> Vec<Ipv4Addr> {
    let value = |key: &str| {
        text.lines().rev().find_map(|line| {
            let (name, value) = line.split_once('=')?;
            (name.trim().eq_ignore_ascii_case(key)).then(|| address(value.trim()))?
        })
    };
    // NetworkManager's run state has the last one in its own spelling.
    let keys = ["SERVER_ADDRESS", "NEXT_SERVER", "next-server"];
    let mut found: Vec<_> = keys.into_iter().filter_map(value).collect();
    found.dedup();
    found
}

enum Token {
    Word(String),
    Open,
    Close,
    End,
}

/// Words and punctuation; a quoted string is one word, so that a server's option text cannot pass
/// for a statement. Comments start at `#`.
fn tokens(text: &str) -> impl Iterator<Item = Token> {
    let mut rest = text.chars().peekable();
    std::iter::from_fn(move || {
        loop {
            match rest.next()? {
                '{' => return Some(Token::Open),
                '}' => return Some(Token::Close),
                ';' => return Some(Token::End),
                '#' => while rest.next_if(|c| *c != '\n').is_some() {},
                '"' => {
                    while let Some(c) = rest.next() {
                        match c {
                            '\\' => drop(rest.next()),
                            '"' => break,
                            _ => {}
                        }
                    }
                    return Some(Token::Word(String::new()));
                }
                c if c.is_whitespace() => {}
                c => {
                    let mut word = String::from(c);
                    let plain = |c: &char| !c.is_whitespace() && !"{};\"#".contains(*c);
                    while let Some(c) = rest.next_if(plain) {
                        word.push(c);
                    }
                    return Some(Token::Word(word));
                }
            }
        }
    })
}

fn server(words: &[String]) -> Option<Ipv4Addr> {
    match words {
        [option, name, value] if option == "option" && name == "dhcp-server-identifier" => {
            address(value)
        }
        _ => None,
    }
}

/// A host's address: not the broadcast or any-address that broken servers send, and never ourselves.
fn address(text: &str) -> Option<Ipv4Addr> {
    text.parse().ok().filter(|address: &Ipv4Addr| {
        !address.is_unspecified()
            && !address.is_broadcast()
            && !address.is_multicast()
            && !address.is_loopback()
    })
}

fn newest_first(found: Vec<Ipv4Addr>) -> Vec<Ipv4Addr> {
    let mut newest = Vec::new();
    for address in found.into_iter().rev() {
        if !newest.contains(&address) {
            newest.push(address);
        }
        // Nobody asks more servers than this.
        if newest.len() == 8 {
            break;
        }
    }
    newest
}

#[cfg(test)]
mod tests {
    use super::{dhclient, networkmanager};
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    const LEASES: &str = r#"
default-duid "\000\004\"; option dhcp-server-identifier 9.9.9.9;";
lease {
  interface "eth0";
  fixed-address 10.0.0.17;
  option domain-name "x; option dhcp-server-identifier 6.6.6.6; \"y";
  option dhcp-server-identifier 10.0.0.1;
  renew 2 2026/11/17 10:00:00;
}
# lease { option dhcp-server-identifier 7.7.7.7; }
lease6 { ia-na 1 { option dhcp-server-identifier 8.8.8.8; } }
lease {
  option dhcp-server-identifier 10.0.0.2;
}
lease {
  option dhcp-server-identifier 10.0.0.1;
}
lease { option dhcp-server-identifier 0.0.0.0; option dhcp-server-identifier 10.0.0.3 "#;

    #[test]
    fn the_newest_lease_stands_last_and_comes_first() {
        let servers = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)];
        assert_eq!(dhclient(LEASES), servers);
    }

    #[test]
    fn networkmanager_names_the_server_or_the_boot_server() {
        let text = "# This is private data. Do not parse.\nADDRESS=10.0.0.17\nSERVER_ADDRESS=10.0.0.1\n\
                    NEXT_SERVER=10.0.0.2\n";
        let servers = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)];
        assert_eq!(networkmanager(text), servers);
        assert_eq!(
            networkmanager("[device]\nnext-server=10.0.0.2\n"),
            servers[1..]
        );
        assert!(networkmanager("ADDRESS=10.0.0.17\n").is_empty());
    }

    proptest! {
        #[test]
        fn any_text_gives_few_servers(text in "(lease|[{};\"\\\\# \n]|option|dhcp-server-identifier|10.0.0.[0-9]|.){0,60}") {
            prop_assert!(dhclient(&text).len() <= 8);
            prop_assert!(networkmanager(&text).len() <= 3);
        }
    }
}
