//! Authorities, certificates and connected pairs for the tests.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::BasicConstraints;
use openssl::x509::{X509, X509Name};
use tls::{Error, Identity, ServerContext, Stream};

pub struct Authority {
    certificate: X509,
    key: PKey<Private>,
}

impl Authority {
    /// Like xCAT's: self-signed, CA:TRUE, from 1970.
    pub fn new(name: &str) -> Authority {
        let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
        let subject = subject(&[name]);
        let certificate = signed(&subject, &subject, &key, &key, true, "19700101000000Z");
        Authority { certificate, key }
    }

    pub fn file(&self, dir: &Path) -> PathBuf {
        let path = dir.join("ca.pem");
        std::fs::write(&path, self.certificate.to_pem().unwrap()).unwrap();
        path
    }

    /// Like xCAT's server-cred.pem: dated 1960, a name that is no host of ours, key in the same file.
    pub fn identity(&self, dir: &Path, names: &[&str]) -> Identity {
        let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
        let issuer = self.certificate.subject_name();
        let certificate = signed(
            &subject(names),
            issuer,
            &key,
            &self.key,
            false,
            "19600101000000Z",
        );
        let path = dir.join(format!("{}-cred.pem", names[0].replace('/', "_")));
        let mut text = key.private_key_to_pem_pkcs8().unwrap();
        text.extend(certificate.to_pem().unwrap());
        std::fs::write(&path, text).unwrap();
        Identity {
            certificate: path.clone(),
            key: path,
        }
    }
}

/// A server thread that accepts one connection and hands it to `work`.
pub fn serve<T: Send + 'static>(
    context: ServerContext,
    work: impl FnOnce(Result<Stream, Error>) -> T + Send + 'static,
) -> (TcpStream, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let thread = std::thread::spawn(move || work(context.accept(listener.accept().unwrap().0)));
    (socket, thread)
}

fn subject(names: &[&str]) -> X509Name {
    let mut subject = X509Name::builder().unwrap();
    for name in names {
        subject.append_entry_by_text("CN", name).unwrap();
    }
    subject.build()
}

fn signed(
    subject: &openssl::x509::X509NameRef,
    issuer: &openssl::x509::X509NameRef,
    key: &PKey<Private>,
    signer: &PKey<Private>,
    authority: bool,
    from: &str,
) -> X509 {
    let mut certificate = X509::builder().unwrap();
    certificate.set_version(2).unwrap();
    let serial = BigNum::from_u32(7).unwrap().to_asn1_integer().unwrap();
    certificate.set_serial_number(&serial).unwrap();
    certificate.set_subject_name(subject).unwrap();
    certificate.set_issuer_name(issuer).unwrap();
    let from = Asn1Time::from_str(from).unwrap();
    certificate.set_not_before(&from).unwrap();
    let until = Asn1Time::days_from_now(3650).unwrap();
    certificate.set_not_after(&until).unwrap();
    certificate.set_pubkey(key).unwrap();
    let mut constraints = BasicConstraints::new();
    if authority {
        constraints.critical().ca();
    }
    certificate
        .append_extension(constraints.build().unwrap())
        .unwrap();
    certificate.sign(signer, MessageDigest::sha256()).unwrap();
    certificate.build()
}
