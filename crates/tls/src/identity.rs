//! A key of our own, made once.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::x509::extension::BasicConstraints;
use openssl::x509::{X509, X509NameBuilder};

use crate::{Error, pem};

/// Where a certificate and its private key lie, in PEM. Both may be the same file, as xCAT's
/// server-cred.pem is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate, and the chain above it if any.
    pub certificate: PathBuf,
    /// The key, without a passphrase.
    pub key: PathBuf,
}

/// The identity `dir/name.pem`, made if there is none: a P-256 key and a certificate that it signed
/// itself, without an end (its pin is what peers know), in one file of mode 0600. Key and certificate
/// share the file, and whoever links it into place first wins, so that two programs that start
/// together end up with the same key. A file that is there but cannot be used is an error, never
/// replaced: the pin that others know would change.
///
/// # Errors
/// [`Error::File`]: cannot be read or written, belongs to somebody else, others may read it.
pub fn identity(dir: &Path, name: &str) -> Result<Identity, Error> {
    let path = dir.join(format!("{name}.pem"));
    if !path.exists() {
        make(dir, &path, name)?;
    }
    let failed = |why: io::Error| pem::file(&path, &why.to_string());
    let found = File::open(&path)
        .and_then(|file| file.metadata())
        .map_err(failed)?;
    let owner = nix::unistd::geteuid().as_raw();
    if !found.is_file() || (found.uid() != owner && found.uid() != 0) {
        return Err(pem::file(&path, "not a file of ours"));
    }
    if found.mode() & 0o077 != 0 {
        return Err(pem::file(
            &path,
            "others may read it; a private key has mode 0600",
        ));
    }
    Ok(Identity {
        certificate: path.clone(),
        key: path,
    })
}

fn make(dir: &Path, path: &Path, name: &str) -> Result<(), Error> {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let text = key_and_certificate(name)?;
    let beside = dir.join(format!(".{name}.{}.{number}.pem", std::process::id()));
    let failed = |why: io::Error| pem::file(path, &why.to_string());
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|why| pem::file(dir, &why.to_string()))?;
    // One of an earlier process with our pid, which died between here and the link.
    let _ = std::fs::remove_file(&beside);
    let written = write_new(&beside, &text).and_then(|()| place(&beside, path));
    let _ = std::fs::remove_file(&beside);
    written
        .and_then(|()| File::open(dir)?.sync_all())
        .map_err(failed)
}

fn write_new(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

/// Links rather than renames: a rename would replace the key of a process that was faster.
fn place(beside: &Path, path: &Path) -> io::Result<()> {
    match std::fs::hard_link(beside, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        // A filesystem without links.
        Err(_) => std::fs::rename(beside, path),
        Ok(()) => Ok(()),
    }
}

/// A new key, and a certificate that it signed itself, in PEM.
pub(crate) fn key_and_certificate(name: &str) -> Result<Vec<u8>, ErrorStack> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    let key = PKey::from_ec_key(EcKey::generate(&group)?)?;
    let mut subject = X509NameBuilder::new()?;
    subject.append_entry_by_nid(Nid::COMMONNAME, name)?;
    let subject = subject.build();
    let mut serial = BigNum::new()?;
    serial.rand(127, MsbOption::ONE, false)?;

    let mut certificate = X509::builder()?;
    certificate.set_version(2)?;
    certificate.set_serial_number(&*serial.to_asn1_integer()?)?;
    certificate.set_subject_name(&subject)?;
    certificate.set_issuer_name(&subject)?;
    // Nodes may not know the time yet.
    certificate.set_not_before(&*Asn1Time::from_unix(0)?)?;
    certificate.set_not_after(&*Asn1Time::from_str("99991231235959Z")?)?;
    certificate.set_pubkey(&key)?;
    certificate.append_extension(BasicConstraints::new().critical().build()?)?;
    certificate.sign(&key, MessageDigest::sha256())?;

    let mut text = key.private_key_to_pem_pkcs8()?;
    text.extend(certificate.build().to_pem()?);
    Ok(text)
}
