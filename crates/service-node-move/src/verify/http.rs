//! HTTP: is a file there? The head of it, and of that the first line.

use std::net::Ipv4Addr;

use super::wire::call;

/// A boot file's URL, split: port and path. The server's name in it does not matter: the service node is asked.
pub(crate) fn parts(url: &str) -> Option<(u16, &str)> {
    let rest = url.strip_prefix("http://")?;
    let (host, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    match host.rsplit_once(':') {
        Some((_, port)) => Some((port.parse().ok()?, path)),
        None => Some((80, path)),
    }
}

/// True if the server has it.
///
/// # Errors
/// What it says instead.
pub(crate) fn has(server: Ipv4Addr, port: u16, path: &str) -> Result<String, String> {
    let question = format!("HEAD {path} HTTP/1.0\r\nHost: {server}\r\n\r\n");
    let answer = call(server, port, question.as_bytes())?;
    match status(&answer) {
        Some(200) => Ok(format!("{path} by HTTP")),
        Some(status) => Err(format!("{path}: HTTP status {status}")),
        None => Err(format!("{path}: its answer is no HTTP")),
    }
}

fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    words.next().filter(|word| word.starts_with("HTTP/1."))?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_status_lines() {
        assert_eq!(parts("http://10.0.0.1/a/b"), Some((80, "/a/b")));
        assert_eq!(parts("http://sn2:8080/a"), Some((8080, "/a")));
        assert_eq!(parts("http://sn2"), Some((80, "/")));
        assert_eq!(parts("http://sn2:x/a"), None);
        assert_eq!(parts("pxelinux.0"), None);
        assert_eq!(status(b"HTTP/1.1 404 Not Found\r\n"), Some(404));
        assert_eq!(status(b"SSH-2.0"), None);
        assert_eq!(status(b""), None);
    }
}
