//! What nodes, the image server and peers say to each other; osload-transfer(7) has it in words.

use std::net::SocketAddr;

use disk_image::Digest;
use serde::{Deserialize, Serialize};

use crate::http::{Method, Request};

/// Frame numbers in one question.
pub const OFFERED: usize = 64;

/// Peers in one answer.
pub const PEERS: usize = 64;

/// Longest answer to what a node says of its progress.
pub(crate) const NEIGHBOURS: usize = 8 << 10;

/// Longest nonce.
const NONCE: usize = 64;

/// Frame numbers in one answer of a peer.
pub(crate) const NEWS: usize = 16 << 10;

/// What a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// `GET /v1/order/NONCE`: what the run is to do.
    Order(String),
    /// `GET /v1/manifest/DIGEST`.
    Manifest(Digest),
    /// `GET /v1/frames/DIGEST`: the object, or a range of it.
    Frames(Digest),
    /// `POST /v1/pick/DIGEST`: one of these frames, whichever the server likes.
    Pick(Digest, Offer),
    /// `POST /v1/progress/DIGEST`: how far the node is.
    Progress(Digest, Progress),
    /// `GET /v1/have/DIGEST?after=N`, of a peer: which frames it has, without the first N.
    Have(Digest, usize),
    /// `GET /v1/frame/DIGEST/NUMBER`, of a peer.
    Frame(Digest, usize),
}

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Its run.
    pub nonce: String,
    /// Where peers may ask it; 0: nowhere.
    pub port: u16,
    /// Frames that are on its disk.
    pub have: u64,
    /// All are, and it needs nothing more.
    pub done: bool,
}

/// What the server answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbours {
    /// Whom to ask, and who may ask.
    pub peers: Vec<SocketAddr>,
    /// When to say it again.
    pub pause_ms: u64,
}

/// `POST /v1/pick`'s body: frames that a node lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Their numbers.
    pub of: Vec<usize>,
    /// It takes one that was given out already: nobody hands it on.
    #[serde(default)]
    pub again: bool,
}

/// Why a request means nothing here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// 404.
    Path,
    /// 405: the path is known, the method is another.
    Method,
    /// 400.
    Body(&'static str),
}

impl Asked {
    /// Understands a request.
    ///
    /// # Errors
    /// [`Unknown`].
    pub fn of(request: &Request) -> Result<Asked, Unknown> {
        let path = request.path.strip_prefix("/v1/").ok_or(Unknown::Path)?;
        let (kind, rest) = path.split_once('/').ok_or(Unknown::Path)?;
        let method = match kind {
            "order" | "manifest" | "frames" | "have" | "frame" => Method::Get,
            "pick" | "progress" => Method::Post,
            _ => return Err(Unknown::Path),
        };
        if request.method != method {
            return Err(Unknown::Method);
        }
        let digest = |text: &str| text.parse::<Digest>().map_err(|_| Unknown::Path);
        Ok(match kind {
            "order" if is_nonce(rest) => Asked::Order(rest.into()),
            "manifest" => Asked::Manifest(digest(rest)?),
            "frames" => Asked::Frames(digest(rest)?),
            "pick" => {
                let offer: Offer = serde_json::from_slice(&request.body)
                    .map_err(|_| Unknown::Body("the body is no offer"))?;
                if offer.of.is_empty() || offer.of.len() > OFFERED {
                    return Err(Unknown::Body("the offer is empty or too long"));
                }
                Asked::Pick(digest(rest)?, offer)
            }
            "progress" => {
                let progress: Progress = serde_json::from_slice(&request.body)
                    .map_err(|_| Unknown::Body("the body is no progress"))?;
                if !is_nonce(&progress.nonce) {
                    return Err(Unknown::Body("the nonce is none"));
                }
                Asked::Progress(digest(rest)?, progress)
            }
            "have" => {
                let after = request.query.as_deref().unwrap_or("after=0");
                let after = after.strip_prefix("after=").and_then(number);
                let after = after.ok_or(Unknown::Body("the query is not after=NUMBER"))?;
                Asked::Have(digest(rest)?, after)
            }
            "frame" => {
                let (image, frame) = rest.split_once('/').ok_or(Unknown::Path)?;
                Asked::Frame(digest(image)?, number(frame).ok_or(Unknown::Path)?)
            }
            _ => return Err(Unknown::Path),
        })
    }
}

/// `POST /v1/pick`.
pub(crate) fn pick(host: SocketAddr, image: &Digest, offer: &Offer) -> Vec<u8> {
    post(host, "pick", image, offer)
}

/// `POST /v1/progress`.
pub(crate) fn progress(host: SocketAddr, image: &Digest, progress: &Progress) -> Vec<u8> {
    post(host, "progress", image, progress)
}

/// `GET` of any path; a peer wants to know the run.
pub(crate) fn get(host: SocketAddr, path: &str, run: Option<&str>) -> Vec<u8> {
    let run = run.map_or(String::new(), |run| format!("Run: {run}\r\n"));
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{run}\r\n").into()
}

fn post(host: SocketAddr, kind: &str, image: &Digest, body: &impl Serialize) -> Vec<u8> {
    // Plain values: that cannot fail.
    let body = serde_json::to_vec(body).unwrap_or_default();
    let mut request = format!(
        "POST /v1/{kind}/{image} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend(body);
    request
}

/// What a run is called among peers: its nonce is nobody else's business.
pub(crate) fn run_of(nonce: &str) -> String {
    let mut text = Digest::of(nonce.as_bytes()).to_string();
    text.truncate(16);
    text
}

/// A run's nonce, which is a file's name as well: hexadecimal digits.
pub(crate) fn is_nonce(text: &str) -> bool {
    let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    !text.is_empty() && text.len() <= NONCE && text.bytes().all(hex)
}

/// A peer's frames as bytes: four for each, the lowest first.
pub(crate) fn write_news(frames: &[u32]) -> Vec<u8> {
    frames
        .iter()
        .flat_map(|frame| frame.to_le_bytes())
        .collect()
}

/// Reads a peer's frames of an image that has `count`. None: that is nonsense.
pub fn read_news(bytes: &[u8], count: usize) -> Option<Vec<usize>> {
    let (numbers, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() || numbers.len() > NEWS {
        return None;
    }
    let frames = numbers.iter().map(|bytes| {
        let frame = usize::try_from(u32::from_le_bytes(*bytes)).ok()?;
        (frame < count).then_some(frame)
    });
    frames.collect()
}

fn number(text: &str) -> Option<usize> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::{IpAddr, Ipv4Addr};

    use proptest::prelude::*;

    use super::*;
    use crate::http::{Parsed, parse};

    fn understand(bytes: &[u8]) -> Result<Asked, Unknown> {
        match parse(bytes, IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap() {
            Parsed::Whole(request, used) if used == bytes.len() => Asked::of(&request),
            other => panic!("{other:?}"),
        }
    }

    fn offer(of: &[usize]) -> Offer {
        Offer {
            of: of.into(),
            again: true,
        }
    }

    #[test]
    fn what_is_said_is_understood() {
        let host = "127.0.0.1:80".parse().unwrap();
        let image = Digest::of(b"x");
        let said = Progress {
            nonce: "0a1b".into(),
            port: 7,
            have: 9,
            done: false,
        };
        for (request, asked) in [
            (
                pick(host, &image, &offer(&[1, 2])),
                Asked::Pick(image, offer(&[1, 2])),
            ),
            (progress(host, &image, &said), Asked::Progress(image, said)),
            (
                get(host, &format!("/v1/frames/{image}"), None),
                Asked::Frames(image),
            ),
            (
                get(host, &format!("/v1/manifest/{image}"), None),
                Asked::Manifest(image),
            ),
            (
                get(host, "/v1/order/00ff", None),
                Asked::Order("00ff".into()),
            ),
            (
                get(host, &format!("/v1/have/{image}?after=12"), Some("r")),
                Asked::Have(image, 12),
            ),
            (
                get(host, &format!("/v1/frame/{image}/3"), Some("r")),
                Asked::Frame(image, 3),
            ),
        ] {
            assert_eq!(understand(&request), Ok(asked));
        }
    }

    #[test]
    fn what_is_not_understood() {
        let host = "127.0.0.1:80".parse().unwrap();
        let image = Digest::of(b"x");
        for (path, unknown) in [
            ("/".to_string(), Unknown::Path),
            ("/v2/order/00".into(), Unknown::Path),
            ("/v1/order/../../etc/passwd".into(), Unknown::Path),
            ("/v1/order/".into(), Unknown::Path),
            (format!("/v1/order/{}", "0".repeat(65)), Unknown::Path),
            ("/v1/manifest/00".into(), Unknown::Path),
            (format!("/v1/frame/{image}"), Unknown::Path),
            (format!("/v1/frame/{image}/+1"), Unknown::Path),
            (
                format!("/v1/frame/{image}/99999999999999999999"),
                Unknown::Path,
            ),
            (format!("/v1/pick/{image}"), Unknown::Method),
            (
                format!("/v1/have/{image}?before=1"),
                Unknown::Body("the query is not after=NUMBER"),
            ),
        ] {
            assert_eq!(understand(&get(host, &path, None)), Err(unknown), "{path}");
        }
        let long = pick(host, &image, &offer(&[0; 65]));
        assert!(matches!(understand(&long), Err(Unknown::Body(_))));
        assert!(matches!(
            understand(&pick(host, &image, &offer(&[]))),
            Err(Unknown::Body(_))
        ));
    }

    #[test]
    fn news_within_the_image() {
        assert_eq!(read_news(&write_news(&[7, 0]), 8), Some(vec![7, 0]));
        assert_eq!(read_news(&write_news(&[8]), 8), None);
        assert_eq!(read_news(&[0; 5], 8), None);
        assert_eq!(read_news(&vec![0; 4 * NEWS + 4], 8), None);
    }

    proptest! {
        #[test]
        fn any_body_is_survived(body in prop::collection::vec(any::<u8>(), 0..500), kind in "(pick|progress)") {
            let mut bytes = format!("POST /v1/{kind}/{} HTTP/1.1\r\nContent-Length: {}\r\n\r\n", Digest::of(b"x"), body.len()).into_bytes();
            bytes.extend(&body);
            let _ = understand(&bytes);
        }

        #[test]
        fn any_news_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..500), count in 0..100_usize) {
            if let Some(frames) = read_news(&bytes, count) {
                prop_assert!(frames.iter().all(|frame| *frame < count));
            }
        }
    }
}
