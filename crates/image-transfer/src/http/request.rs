//! A request, out of bytes that anybody may have sent.

use std::net::IpAddr;

/// Longest head: request line and headers.
const HEAD: usize = 4 << 10;

/// Most headers.
const HEADERS: usize = 32;

/// Longest body.
const BODY: usize = 16 << 10;

/// Methods that we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Something is wanted.
    Get,
    /// Something is told.
    Post,
}

/// A whole request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Who sent it.
    pub peer: IpAddr,
    /// GET or POST.
    pub method: Method,
    /// The path: printable ASCII that begins with `/`, nothing decoded.
    pub path: String,
    /// What follows the first `?`.
    pub query: Option<String>,
    /// `Range:`, as it came.
    pub range: Option<String>,
    /// `Run:`: which run the sender belongs to.
    pub run: Option<String>,
    /// The body.
    pub body: Vec<u8>,
    /// The connection stays open afterwards.
    pub keep: bool,
}

/// What bytes are, so far.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed {
    /// More has to come.
    Partial,
    /// A request, and how many bytes it took.
    Whole(Request, usize),
}

/// Why bytes are no request; the connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bad {
    /// The answer's status.
    pub status: u16,
    /// For the answer and the log.
    pub why: &'static str,
}

/// Reads a request from the beginning of `bytes`.
///
/// # Errors
/// [`Bad`]: they are none, or one that is too long. A refusal comes as soon as it is certain.
pub fn parse(bytes: &[u8], peer: IpAddr) -> Result<Parsed, Bad> {
    let bad = |status, why| Err(Bad { status, why });
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut head = httparse::Request::new(&mut headers);
    let start = bytes.get(..HEAD).unwrap_or(bytes);
    let used = match head.parse(start) {
        Ok(httparse::Status::Complete(used)) => used,
        Ok(httparse::Status::Partial) if bytes.len() >= HEAD => {
            return bad(431, "the head is too long");
        }
        Ok(httparse::Status::Partial) => return Ok(Parsed::Partial),
        Err(httparse::Error::TooManyHeaders) => return bad(431, "too many headers"),
        Err(_) => return bad(400, "is no HTTP request"),
    };
    let method = match head.method {
        Some("GET") => Method::Get,
        Some("POST") => Method::Post,
        _ => return bad(501, "a method other than GET and POST"),
    };
    let target = head.path.unwrap_or_default();
    if !target.starts_with('/') || !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return bad(400, "the target is no path");
    }
    let mut request = Request {
        peer,
        method,
        path: target.into(),
        query: None,
        range: None,
        run: None,
        body: Vec::new(),
        keep: head.version == Some(1),
    };
    if let Some((path, query)) = target.split_once('?') {
        request.path = path.into();
        request.query = Some(query.into());
    }
    let mut length = None;
    for header in head.headers.iter() {
        let Ok(value) = std::str::from_utf8(header.value) else {
            continue;
        };
        let value = value.trim();
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if is("content-length") {
            let number = value.bytes().all(|byte| byte.is_ascii_digit());
            let Some(number) = value.parse::<usize>().ok().filter(|_| number) else {
                return bad(400, "a length that is no number");
            };
            // Two that differ are how requests are smuggled.
            if length.replace(number).is_some() {
                return bad(400, "two lengths");
            }
        } else if is("transfer-encoding") {
            return bad(501, "a body in pieces");
        } else if is("connection") && value.eq_ignore_ascii_case("close") {
            request.keep = false;
        } else if is("range") {
            request.range = Some(value.into());
        } else if is("run") {
            request.run = Some(value.into());
        }
    }
    let length = match (method, length) {
        (Method::Post, None) => return bad(411, "a body without length"),
        (_, length) => length.unwrap_or(0),
    };
    if length > BODY {
        return bad(413, "the body is too long");
    }
    match bytes.get(used..used + length) {
        Some(body) => {
            request.body = body.into();
            Ok(Parsed::Whole(request, used + length))
        }
        None => Ok(Parsed::Partial),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn status(text: &str) -> u16 {
        parse(text.as_bytes(), PEER).unwrap_err().status
    }

    #[test]
    fn a_request_and_what_follows() {
        let text = "POST /v1/pick/ab?x=1 HTTP/1.1\r\nHost: a\r\nContent-length: 3\r\nrange: bytes=1-2\r\n\r\nabcGET";
        let Parsed::Whole(request, used) = parse(text.as_bytes(), PEER).unwrap() else {
            panic!("is whole");
        };
        assert_eq!(used, text.len() - 3);
        assert_eq!(
            (request.path.as_str(), request.query.as_deref()),
            ("/v1/pick/ab", Some("x=1"))
        );
        assert_eq!(request.range.as_deref(), Some("bytes=1-2"));
        assert_eq!(request.body, b"abc");
        assert!(request.keep);
    }

    #[test]
    fn what_is_refused() {
        let long = format!("GET /{} HTTP/1.1\r\n", "a".repeat(5000));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(40));
        for (text, code) in [
            ("DELETE / HTTP/1.1\r\n\r\n", 501),
            ("GET x HTTP/1.1\r\n\r\n", 400),
            ("GET http://a/ HTTP/1.1\r\n\r\n", 400),
            ("\u{16}\u{3}\u{1}", 400),
            ("POST / HTTP/1.1\r\n\r\n", 411),
            (
                "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
                400,
            ),
            ("POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\n", 400),
            (
                "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
                400,
            ),
            ("POST / HTTP/1.1\r\nContent-Length: 20000\r\n\r\n", 413),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 501),
            (long.as_str(), 431),
            (many.as_str(), 431),
        ] {
            assert_eq!(status(text), code, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..6000)) {
            let _ = parse(&bytes, PEER);
        }

        #[test]
        fn a_beginning_is_never_refused(path in "/[!-~]{0,40}", body in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut bytes = format!("POST {path} HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
            bytes.extend(&body);
            for end in 0..bytes.len() {
                prop_assert_eq!(parse(&bytes[..end], PEER), Ok(Parsed::Partial));
            }
            let whole = parse(&bytes, PEER);
            prop_assert!(matches!(whole, Ok(Parsed::Whole(request, used)) if used == bytes.len() && request.body == body));
        }
    }
}
