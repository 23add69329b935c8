//! Which server, which database, as whom.

use std::fmt;
use std::path::PathBuf;

/// A database on a server. Neither `Debug` nor `Display` shows user or password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Server {
    pub(super) database: String,
    /// A name, an address, or a directory of sockets if it starts with `/`.
    pub(super) host: String,
    /// Where to connect to, if not where `host` is found.
    pub(super) address: Option<std::net::IpAddr>,
    pub(super) port: u16,
    pub(super) user: String,
    pub(super) password: String,
    pub(super) tls: Tls,
}

/// Whether the connection is encrypted: libpq's `sslmode`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tls {
    /// `disable`, `allow`.
    No,
    /// `prefer`: if the server can.
    Perhaps,
    /// `require`: but who the server is counts for nothing.
    Yes,
    /// `verify-ca`: by a certificate of this authority.
    Authority(PathBuf),
    /// `verify-full`: in addition for the host's name.
    Name(PathBuf),
}

/// Where distributions put the server's socket, in the order of trying.
const SOCKETS: [&str; 3] = ["/var/run/postgresql", "/run/postgresql", "/tmp"];
const PORT: u16 = 5432;

impl Server {
    /// What follows `Pg:` in a setting: `dbname=...;host=...;port=...|user|password`, in words of
    /// libpq. The error never holds a value.
    pub(crate) fn parse(text: &str) -> Result<Server, String> {
        let mut fields = text.split('|');
        let place = fields.next().unwrap_or_default();
        let user = fields.next().unwrap_or_default();
        let password = fields.next().unwrap_or_default();
        if user.is_empty() {
            return Err("names no user".into());
        }
        if text.contains('\0') {
            return Err("holds a zero byte".into());
        }
        let mut server = Server {
            database: String::new(),
            host: String::new(),
            address: None,
            port: PORT,
            user: user.into(),
            password: password.into(),
            tls: Tls::Perhaps,
        };
        let (mut mode, mut authority) = ("prefer", None);
        for part in place.split([';', ' ']).filter(|part| !part.is_empty()) {
            let Some((key, value)) = part.split_once('=') else {
                return Err("not of the form dbname=NAME;host=HOST;port=PORT|user|password".into());
            };
            match key {
                "dbname" | "database" | "db" => server.database = value.into(),
                "host" => server.host = value.into(),
                "hostaddr" => {
                    let address = value.parse().map_err(|_| "hostaddr is no address")?;
                    server.address = Some(address);
                }
                "port" => {
                    let port = value.parse().ok().filter(|port| *port > 0);
                    server.port = port.ok_or("port is no port")?;
                }
                "sslmode" => mode = value,
                "sslrootcert" => authority = Some(PathBuf::from(value)),
                // Not the key itself: whoever mixed up the form may have put the password here.
                _ => {
                    return Err(
                        "only dbname, host, hostaddr, port, sslmode and sslrootcert are understood"
                            .into(),
                    );
                }
            }
        }
        server.tls = match (mode, authority) {
            ("disable" | "allow", _) => Tls::No,
            ("prefer", _) => Tls::Perhaps,
            ("require", _) => Tls::Yes,
            ("verify-ca", Some(file)) => Tls::Authority(file),
            ("verify-full", Some(file)) => Tls::Name(file),
            ("verify-ca" | "verify-full", None) => {
                return Err("sslmode needs sslrootcert".into());
            }
            _ => return Err("sslmode is none of libpq's".into()),
        };
        if server.database.is_empty() {
            return Err("names no database".into());
        }
        if server.host.contains(',') {
            return Err("names several hosts".into());
        }
        if server.host.is_empty() {
            server.host = match server.address {
                Some(address) => address.to_string(),
                None => server.usual_socket().into(),
            };
        }
        Ok(server)
    }

    fn usual_socket(&self) -> &'static str {
        let name = format!(".s.PGSQL.{}", self.port);
        let there = |directory: &&str| program::paths::under(directory).join(&name).exists();
        SOCKETS.into_iter().find(there).unwrap_or(SOCKETS[0])
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Server {
            database,
            host,
            port,
            ..
        } = self;
        write!(f, "dbname={database};host={host};port={port}")
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({self})")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn as_xcats_setup_writes_it() {
        let found = Server::parse("dbname=xcatdb;host=10.0.0.1|xcatadm|cluster").unwrap();
        assert_eq!(found.to_string(), "dbname=xcatdb;host=10.0.0.1;port=5432");
        assert_eq!(
            (found.user.as_str(), found.password.as_str()),
            ("xcatadm", "cluster")
        );
        assert_eq!(found.tls, Tls::Perhaps);
    }

    #[test]
    fn what_is_wrong_is_said_without_values() {
        for text in [
            "",
            "dbname=secret",
            "dbname=a;host=b",
            "host=b|u|secret",
            "dbname=a;secret|u|secret",
            "dbname=a;port=secret|u|p",
            "dbname=a;port=0|u|p",
            "dbname=a;hostaddr=secret|u|p",
            "dbname=a;sslmode=secret|u|p",
            "dbname=a;sslmode=verify-full|u|p",
            "dbname=a;secret=secret|u|p",
            "dbname=a;host=b,c|u|p",
        ] {
            let why = Server::parse(text).unwrap_err();
            assert!(!why.contains("secret"), "{text}: {why}");
        }
    }

    #[test]
    fn the_words_of_libpq() {
        let tls = |words: &str| Server::parse(&format!("dbname=a {words}|u")).map(|s| s.tls);
        assert_eq!(tls("sslmode=disable"), Ok(Tls::No));
        assert_eq!(tls("sslmode=require"), Ok(Tls::Yes));
        assert_eq!(
            tls("sslmode=verify-full;sslrootcert=/ca"),
            Ok(Tls::Name("/ca".into()))
        );
        let found = Server::parse("db=a;hostaddr=::1;port=1|u|").unwrap();
        assert_eq!((found.host.as_str(), found.port), ("::1", 1));
    }
}
