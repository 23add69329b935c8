//! What is answered.

use std::fs::File;
use std::rc::Rc;
use std::time::Instant;

use super::range::Span;

/// What is to be done with a request.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// This is the answer.
    Now(Response),
    /// It is a long one: the answer is made when its turn comes.
    Queue,
    /// There is nothing to say yet: it is judged again when something has happened, and at this time.
    Hold(Instant),
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Response {
    /// The status.
    pub(crate) status: u16,
    /// Beside those that every answer has.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// The body.
    pub(crate) body: Body,
    /// A refusal, for the log.
    pub(crate) refusal: Option<String>,
    /// The connection ends.
    pub(crate) close: bool,
}

/// A body.
#[derive(Debug)]
pub(crate) enum Body {
    /// From memory.
    Bytes(Rc<Vec<u8>>),
    /// From a file, by sendfile.
    File(Rc<File>, Span),
}

impl Response {
    pub(crate) fn new(status: u16, body: Body) -> Response {
        Response {
            status,
            headers: Vec::new(),
            body,
            refusal: None,
            close: false,
        }
    }

    /// 200 with bytes.
    pub(crate) fn bytes(bytes: Vec<u8>) -> Response {
        Response::new(200, Body::Bytes(Rc::new(bytes)))
    }

    /// No answer but a status: 4xx, 5xx with the reason.
    pub(crate) fn refuse(status: u16, why: &str) -> Response {
        let mut response = Response::new(status, Body::Bytes(Rc::new(format!("{why}\n").into())));
        // Nothing is wrong with a peer that is told to wait.
        response.refusal = (status != 503).then(|| why.to_string());
        response
    }

    /// 503: come again after so many seconds.
    pub(crate) fn later(seconds: u32, why: &str) -> Response {
        Response::refuse(503, why).header("Retry-After", seconds.to_string())
    }

    pub(crate) fn header(mut self, name: &'static str, value: String) -> Response {
        self.headers.push((name, value));
        self
    }

    /// The bytes before the body.
    pub(crate) fn head(&self, keep: bool) -> Vec<u8> {
        let mut text = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if self.status != 204 {
            text.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        text.push_str(if keep {
            "\r\n"
        } else {
            "Connection: close\r\n\r\n"
        });
        text.into()
    }
}

impl Body {
    pub(crate) fn empty() -> Body {
        Body::Bytes(Rc::default())
    }

    pub(crate) fn len(&self) -> u64 {
        match self {
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::File(_, span) => span.length,
        }
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        206 => "Partial Content",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        411 => "Length Required",
        413 => "Content Too Large",
        416 => "Range Not Satisfiable",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        _ => "Error",
    }
}
