//! A key's fingerprint.

use std::fmt;
use std::str::FromStr;

use openssl::hash::MessageDigest;
use openssl::pkey::{HasPublic, PKeyRef};
use openssl::x509::X509Ref;

/// SHA-256 of a public key (its SubjectPublicKeyInfo in DER), the same for every certificate made
/// with that key. Written as 64 lower-case hexadecimal digits, as
/// `openssl pkey -pubin -outform der | sha256sum` prints it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pin(pub [u8; 32]);

/// Text that is no pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a pin is 64 hexadecimal digits")]
pub struct NotAPin;

impl Pin {
    pub(crate) fn of_key<T: HasPublic>(key: &PKeyRef<T>) -> Option<Pin> {
        let der = key.public_key_to_der().ok()?;
        let digest = openssl::hash::hash(MessageDigest::sha256(), &der).ok()?;
        Some(Pin(digest.as_ref().try_into().ok()?))
    }

    pub(crate) fn of_certificate(certificate: &X509Ref) -> Option<Pin> {
        Pin::of_key(&*certificate.public_key().ok()?)
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Pin {
    type Err = NotAPin;

    fn from_str(text: &str) -> Result<Pin, NotAPin> {
        if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(NotAPin);
        }
        let mut pin = [0; 32];
        for (byte, at) in pin.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| NotAPin)?;
        }
        Ok(Pin(pin))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{NotAPin, Pin};

    #[test]
    fn reads_what_it_writes_and_upper_case() {
        let text = "00ff".repeat(16);
        let pin: Pin = text.parse().unwrap();
        assert_eq!(pin.to_string(), text);
        assert_eq!(text.to_uppercase().parse(), Ok(pin));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "00",
            &"0".repeat(65),
            &"g".repeat(64),
            &"é".repeat(32),
            &"+1".repeat(32),
        ] {
            assert_eq!(text.parse::<Pin>(), Err(NotAPin), "{text}");
        }
    }
}
