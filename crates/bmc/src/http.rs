//! Requests to one BMC: bounded, repeated where that is safe, never redirected.

use std::io::Read;
use std::time::{Duration, Instant};

use serde_json::Value;
use ureq::Agent;
use ureq::http::{HeaderMap, HeaderValue, Method, Request, header};

use crate::error::tidy;
use crate::transport::{BUFFER, OneAddress, ToBmc};
use crate::{Error, Limits, Settings, Target};

/// Longest body of an answer. The largest real ones, software lists, are some 100 KiB.
const BODY: u64 = 1 << 20;
/// Longest head of an answer.
const HEAD: usize = 64 << 10;
/// Pause before the first repetition; it doubles each time.
const PAUSE: Duration = Duration::from_millis(250);
/// Longest that a busy BMC makes us wait before one repetition.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// One BMC's HTTP server.
#[derive(Debug)]
pub(crate) struct Http {
    agent: Agent,
    connector: ToBmc,
    base: String,
    target: Target,
    limits: Limits,
    /// Sent with each request: the session's token or cookies.
    login: Vec<(&'static str, HeaderValue)>,
    /// End of the operation that is under way.
    deadline: Instant,
}

/// One request. `what` names it in errors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) what: &'a str,
    pub(crate) method: &'a Method,
    pub(crate) path: &'a str,
    pub(crate) body: Option<&'a Value>,
    /// Doing it twice is as good as once, so it may be repeated after a lost answer.
    pub(crate) again: bool,
    /// `If-Match`.
    pub(crate) matching: Option<&'a str>,
}

impl<'a> Call<'a> {
    pub(crate) fn get(what: &'a str, path: &'a str) -> Call<'a> {
        Call {
            what,
            method: &Method::GET,
            path,
            body: None,
            again: true,
            matching: None,
        }
    }

    pub(crate) fn send(
        what: &'a str,
        method: &'a Method,
        path: &'a str,
        body: &'a Value,
    ) -> Call<'a> {
        Call {
            method,
            body: Some(body),
            ..Call::get(what, path)
        }
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn good(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// A header's text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl Http {
    pub(crate) fn new(target: &Target, settings: &Settings) -> Http {
        let limits = settings.limits();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // Not what the environment says: a BMC's password goes to the BMC.
            .proxy(None)
            .user_agent(concat!("xcat-nodetools/", env!("CARGO_PKG_VERSION")))
            .accept("application/json")
            .max_response_header_size(HEAD)
            .input_buffer_size(BUFFER)
            .output_buffer_size(BUFFER)
            .max_idle_connections(1)
            .build();
        let connector = ToBmc {
            target: target.clone(),
            settings: settings.clone(),
        };
        Http {
            agent: Agent::with_parts(config, connector.clone(), OneAddress(target.address)),
            connector,
            base: base(target),
            target: target.clone(),
            limits,
            login: Vec::new(),
            deadline: Instant::now() + limits.total,
        }
    }

    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// Begins an operation: everything until the next one has to be done within the total limit, or
    /// within `most`, if that is less.
    pub(crate) fn begin(&mut self, most: Duration) {
        self.deadline = Instant::now() + self.limits.total.min(most);
    }

    /// What is left of the operation's time.
    pub(crate) fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    pub(crate) fn log_in(&mut self, login: Vec<(&'static str, HeaderValue)>) {
        self.login = login;
        for (_, value) in &mut self.login {
            value.set_sensitive(true);
        }
    }

    /// A connection of its own, checked as all others.
    pub(crate) fn stream(&self) -> Result<tls::Stream, Error> {
        let limit = self.limits.connect.min(self.left());
        self.connector
            .open(limit)
            .map_err(|error| self.connector.said(error))
    }

    /// What goes with each request of the session.
    pub(crate) fn login_headers(&self) -> &[(&'static str, HeaderValue)] {
        &self.login
    }

    /// The name in a request's `Host`.
    pub(crate) fn host_header(&self) -> &str {
        self.base.strip_prefix("https://").unwrap_or(&self.base)
    }

    /// The error for an upload that was refused.
    pub(crate) fn upload_refused(&self, status: u16, early: bool, said: &str) -> Error {
        let bmc = self.target.host.clone();
        let what = "upload".to_string();
        let said = tidy(&self.target.password.hide(said));
        let why = match said.is_empty() {
            true => format!("status {status}"),
            false => format!("status {status}: {said}"),
        };
        match status {
            401 => Error::Login { bmc, why },
            503 | 429 => Error::Busy { bmc, what, why },
            // bmcweb's updater says so while it has not done with another upload; what it dislikes in
            // an archive it can say only after its end.
            500 if early => Error::Busy { bmc, what, why },
            _ => Error::Refused { bmc, what, why },
        }
    }

    pub(crate) fn logged_in(&self) -> bool {
        !self.login.is_empty()
    }

    /// Sends a request and takes the answer, whatever its status; only a BMC that stays busy (503, 429)
    /// is an error.
    ///
    /// Repeated, as often as the limits say: what was refused for being busy, what got no connection,
    /// and what lost its answer if the call bears that. Time that is over is not tried again.
    pub(crate) fn call(&self, call: &Call<'_>) -> Result<Answer, Error> {
        let mut tries = 0;
        loop {
            let done = self.once(call);
            let mut pause = PAUSE * 2_u32.saturating_pow(tries);
            let error = match done {
                Ok(answer) if matches!(answer.status, 503 | 429) => {
                    if let Some(asked) = retry_after(&answer) {
                        pause = asked;
                    }
                    Error::Busy {
                        bmc: self.target.host.clone(),
                        what: call.what.to_string(),
                        why: self.reason(&answer),
                    }
                }
                Ok(answer) => return Ok(answer),
                Err(error @ Error::Dropped { .. }) if call.again => error,
                Err(error @ Error::Unreachable { .. }) => error,
                Err(error) => return Err(error),
            };
            let pause = pause.min(LONGEST_PAUSE);
            if tries >= self.limits.retries || pause >= self.left() {
                return Err(error);
            }
            tries += 1;
            std::thread::sleep(pause);
        }
    }

    /// What a refusal says of itself: the status, and the text in it, if any.
    pub(crate) fn reason(&self, answer: &Answer) -> String {
        let text = crate::shapes::refusal(&answer.body);
        let text = self.target.password.hide(&text);
        match text.is_empty() {
            true => format!("status {}", answer.status),
            false => format!("status {}: {}", answer.status, tidy(&text)),
        }
    }

    /// The error for an answer that has the wrong status.
    pub(crate) fn refused(&self, what: &str, answer: &Answer) -> Error {
        match answer.status {
            401 => self.refused_login(answer),
            _ => Error::Refused {
                bmc: self.target.host.clone(),
                what: what.to_string(),
                why: self.reason(answer),
            },
        }
    }

    /// The error for a login that it did not take.
    pub(crate) fn refused_login(&self, answer: &Answer) -> Error {
        self.no_login(&self.reason(answer))
    }

    pub(crate) fn no_login(&self, why: &str) -> Error {
        Error::Login {
            bmc: self.target.host.clone(),
            why: why.to_string(),
        }
    }

    /// The error for an answer that cannot be read.
    pub(crate) fn unusable(&self, what: &str, why: impl std::fmt::Display) -> Error {
        Error::Answer {
            bmc: self.target.host.clone(),
            what: what.to_string(),
            why: tidy(&self.target.password.hide(&why.to_string())),
        }
    }

    fn once(&self, call: &Call<'_>) -> Result<Answer, Error> {
        let limit = self.limits.request.min(self.left());
        if limit.is_zero() {
            return Err(self.late(call.what));
        }
        let mut request = Request::builder()
            .method(call.method)
            .uri(format!("{}{}", self.base, call.path));
        for (name, value) in &self.login {
            request = request.header(*name, value);
        }
        if let Some(tag) = call.matching {
            request = request.header(header::IF_MATCH, tag);
        }
        let unfit = |why: ureq::http::Error| self.unusable(call.what, why);
        let sent = match call.body {
            None => {
                let request = request.body(()).map_err(unfit)?;
                let request = self.agent.configure_request(request);
                self.agent.run(request.timeout_global(Some(limit)).build())
            }
            Some(body) => {
                let request = request
                    .header(header::CONTENT_TYPE, "application/json")
                    .body(body.to_string())
                    .map_err(unfit)?;
                let request = self.agent.configure_request(request);
                self.agent.run(request.timeout_global(Some(limit)).build())
            }
        };
        let (head, body) = sent
            .map_err(|error| self.broken(call.what, error))?
            .into_parts();
        let mut bytes = Vec::new();
        body.into_with_config()
            .limit(BODY)
            .reader()
            .read_to_end(&mut bytes)
            .map_err(|error| self.broken(call.what, error.into()))?;
        Ok(Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: bytes,
        })
    }

    fn broken(&self, what: &str, error: ureq::Error) -> Error {
        let dropped = |why: String| Error::Dropped {
            bmc: self.target.host.clone(),
            what: what.to_string(),
            why,
        };
        match error {
            ureq::Error::Timeout(_) => self.late(what),
            ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => {
                self.late(what)
            }
            ureq::Error::Io(error) => dropped(error.to_string()),
            ureq::Error::BodyExceedsLimit(_) => {
                self.unusable(what, format!("longer than {BODY} bytes"))
            }
            ureq::Error::Other(error) => match error.downcast::<Error>() {
                Ok(ours) => *ours,
                Err(error) => self.unusable(what, error),
            },
            other => self.unusable(what, other),
        }
    }

    fn late(&self, what: &str) -> Error {
        Error::TimedOut {
            bmc: self.target.host.clone(),
            what: what.to_string(),
        }
    }
}

/// Scheme, host and port for the request line's host header. The connection goes to the address in any
/// case.
fn base(target: &Target) -> String {
    let host = match target.host.contains(':') {
        true => format!("[{}]", target.host),
        false => target.host.clone(),
    };
    match target.address.port() {
        443 => format!("https://{host}"),
        port => format!("https://{host}:{port}"),
    }
}

/// Seconds; a date, or the URL that some levels put there, counts as nothing said.
fn retry_after(answer: &Answer) -> Option<Duration> {
    let seconds = answer.header("retry-after")?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
