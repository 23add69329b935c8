//! What can be wrong with a BMC.

use serde::{Deserialize, Serialize};

/// A fault. Times are simulated seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Fault {
    // Of the connection.
    /// Nothing listens: connections are refused.
    Dead,
    /// Takes the connection and closes it at once, with a reset.
    CloseAtOnce,
    /// Takes the connection and says nothing, not even TLS.
    HangBeforeTls,
    /// Answers the TLS greeting with something else.
    NotTls,
    /// Every second connection reaches this other BMC.
    SharedAddress {
        /// Its number.
        with: usize,
    },

    // Of a request: the first rule that fits it decides.
    /// Every request waits.
    Slow {
        /// How long.
        seconds: f64,
    },
    /// Reads the request and never answers.
    Hang,
    /// Reads the request and closes.
    CloseAfterRequest,
    /// Sends so many bytes of the answer (head and body) and then resets the connection.
    DropMidAnswer {
        /// How many.
        bytes: usize,
    },
    /// 401 with an empty body.
    Unauthorized,
    /// 503.
    Unavailable {
        /// The value of `Retry-After`, if any.
        retry_after: Option<String>,
    },
    /// This status, and a body of the dialect's error shape.
    Status {
        /// Its code.
        code: u16,
    },
    /// 200 with a page for people.
    Html,
    /// 200 with text that is no JSON.
    NotJson,
    /// 200 with nothing.
    EmptyBody,
    /// 200 with one JSON document of so many bytes.
    HugeJson {
        /// How many.
        bytes: u64,
    },
    /// 200 with arrays in arrays.
    DeepJson {
        /// How deep.
        depth: usize,
    },
    /// 200 and then header lines without end.
    EndlessHeaders,
    /// 302 to another place.
    Redirect {
        /// The `Location`.
        to: String,
    },
    /// Every URI in answers begins with this (`https://192.0.2.1`).
    AbsoluteUris {
        /// The prefix.
        to: String,
    },
    /// Answers come in chunks, without a length.
    Chunked,
    /// Answers come so slowly.
    Trickle {
        /// Bytes in a simulated second.
        rate: f64,
    },

    // Of the power.
    /// Says this power state whatever is true (`On`, `Off`, or any other text).
    LiesAboutPower {
        /// The text.
        says: String,
    },
    /// Accepts an orderly shutdown and does nothing.
    SoftOffIgnored,
    /// Accepts an order to power off and does nothing.
    OffIgnored,
    /// Accepts an order to power on and does nothing.
    OnIgnored,
    /// Powering off takes this long.
    OffTakes {
        /// How long.
        seconds: f64,
    },
    /// Powering on takes this long.
    OnTakes {
        /// How long.
        seconds: f64,
    },
    /// Accepts a boot device and keeps none.
    BootIgnored,

    // Of its node's stand-in.
    /// The node never comes up again.
    NodeNeverUp,
    /// The node's boot takes this long.
    NodeBootTakes {
        /// How long.
        seconds: f64,
    },
    /// The node comes up with the boot id that it had.
    NodeSameBootId,

    // Of the BMC itself.
    /// A reboot of the BMC takes this long.
    RebootTakes {
        /// How long.
        seconds: f64,
    },
    /// After a reboot the BMC never answers again.
    RebootNeverEnds,
    /// Logins are refused whatever the password.
    LoginRefused,
    /// Logins work, but only the password may be changed.
    PasswordChangeRequired,

    // Of an update.
    /// Any image is too large.
    TooLarge,
    /// An image that is too large gets no answer, but a reset.
    ClosesOnOversize,
    /// Another update is said to be under way.
    Busy,
    /// Images are read only so fast.
    UploadRate {
        /// Bytes in a simulated second.
        rate: f64,
    },
    /// After so many bytes of an image nothing more is read; the connection ends with the fault.
    UploadStalls {
        /// How many.
        bytes: u64,
    },
    /// After so many bytes of an image the connection is reset.
    UploadCloses {
        /// How many.
        bytes: u64,
    },
    /// Takes no image, but fetches one (SimpleUpdate) over plain HTTP.
    PullsOnly,
    /// Says that it has so little memory left.
    LittleMemory {
        /// How much.
        bytes: u64,
    },
    /// The image is said to be there already.
    ImageExists,
    /// No room for the image.
    NoSpace,
    /// The image is there to be seen only after this long.
    ObjectLate {
        /// How long.
        seconds: f64,
    },
    /// The image turns out to be invalid.
    ImageInvalid,
    /// Writing fails at so many percent.
    ActivationFails {
        /// How many.
        at: u8,
    },
    /// Writing stays at so many percent.
    ProgressStuck {
        /// How many.
        at: u8,
    },
    /// After a reboot the version of before runs.
    OldVersionReturns,
    /// Tasks are gone at once.
    TaskVanishes,
    /// At its next reboots the BMC takes another certificate.
    CertificateChangesAtReboot,

    // Done once, now.
    /// Somebody else uploads an image.
    ForeignImage {
        /// Its version.
        version: String,
        /// `BMC` or `Host`.
        purpose: String,
    },
    /// The BMC reboots now, for this long.
    Away {
        /// How long.
        seconds: f64,
    },
    /// All sessions are forgotten.
    SessionLost,
    /// From now on it shows another certificate.
    CertificateChange,
}

/// A fault and the requests that it is for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// What is wrong.
    #[serde(flatten)]
    pub fault: Fault,
    /// Only requests whose `METHOD /path` contains this text. Empty: all.
    #[serde(default)]
    pub on: String,
    /// So many fitting requests are spared first.
    #[serde(default)]
    pub after: u32,
    /// So many times, then never again.
    #[serde(default)]
    pub times: Option<u32>,
}

impl Rule {
    /// Only for requests whose `METHOD /path` contains `text`.
    #[must_use]
    pub fn on(mut self, text: &str) -> Rule {
        self.on = text.to_string();
        self
    }

    /// Not for the first `count` fitting requests.
    #[must_use]
    pub fn after(mut self, count: u32) -> Rule {
        self.after = count;
        self
    }

    /// At most `count` times.
    #[must_use]
    pub fn times(mut self, count: u32) -> Rule {
        self.times = Some(count);
        self
    }
}

impl From<Fault> for Rule {
    fn from(fault: Fault) -> Rule {
        Rule {
            fault,
            on: String::new(),
            after: 0,
            times: None,
        }
    }
}
