//! A key's fingerprint.

use std::fmt;
use std::str::FromStr;

use openssl::pkey::{HasPublic, Id, PKeyRef};
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
        // The same bytes either way: OpenSSL 3's encoder for any key takes five to twenty times as long
        // as those of the two usual kinds, as much as a third of a handshake.
        let quick = match key.id() {
            Id::EC => key.ec_key().and_then(|key| key.public_key_to_der()).ok(),
            Id::RSA => key.rsa().and_then(|key| key.public_key_to_der()).ok(),
            _ => None,
        };
        let der = quick.or_else(|| key.public_key_to_der().ok())?;
        Some(Pin(openssl::sha::sha256(&der)))
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

    use openssl::ec::{EcGroup, EcKey};
    use openssl::nid::Nid;
    use openssl::pkey::{PKey, Private};
    use openssl::rsa::Rsa;

    use super::{NotAPin, Pin};

    #[test]
    fn is_what_openssl_and_sha256sum_say_of_every_kind_of_key() {
        let ec = |curve| {
            let group = EcGroup::from_curve_name(curve).unwrap();
            PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
        };
        let keys: [PKey<Private>; 5] = [
            ec(Nid::X9_62_PRIME256V1),
            ec(Nid::SECP384R1),
            ec(Nid::SECP521R1),
            PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap(),
            PKey::generate_ed25519().unwrap(),
        ];
        for key in keys {
            let der = key.public_key_to_der().unwrap();
            let sum = openssl::sha::sha256(&der);
            assert_eq!(Pin::of_key(&key), Some(Pin(sum)), "{:?}", key.id());
            // As a certificate's key is: read from DER.
            let read = PKey::public_key_from_der(&der).unwrap();
            assert_eq!(Pin::of_key(&read), Some(Pin(sum)), "{:?}", key.id());
        }
    }

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
