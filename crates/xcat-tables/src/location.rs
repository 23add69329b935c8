//! Where the tables are.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::pg::{self, Server};

/// A set of tables. xCAT's spelling: `SQLite:DIR` or `Pg:dbname=...;host=...|user|password`. Shown
/// without user and password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location(Place);

/// Which engine, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// SQLite: a file for each table.
    Directory(PathBuf),
    /// PostgreSQL: a database on a server.
    Server(Server),
}

/// The file whose first line says where the tables are.
const CFGLOC: &str = "/etc/xcat/cfgloc";
/// Where xCAT's tables are if nothing says so, in the order of trying.
const USUAL: [&str; 2] = ["/opt/xcat/cfg", "/etc/xcat"];
/// A first line longer than this is not a setting.
const LIMIT: usize = 4096;

impl Location {
    /// As xCAT finds its tables: `XCATCFG`, else the first line of cfgloc, else the first of the two
    /// usual directories that exists (`xCAT::Table`, spec xcat-tables section 1). A cfgloc that
    /// exists and cannot be read or understood is an error: falling back would be other tables.
    pub fn find() -> Result<Location, Error> {
        if let Some(setting) = std::env::var_os("XCATCFG").filter(|value| !value.is_empty()) {
            let variable = Path::new("XCATCFG");
            let setting = setting
                .into_string()
                .map_err(|_| setting_error(variable, "not text"))?;
            return Location::parse(variable, &setting);
        }
        let file = program::paths::under(CFGLOC);
        match std::fs::read(&file) {
            Ok(bytes) => return Location::parse(&file, &first_line(&file, &bytes)?),
            // A link that leads nowhere exists: it is a setting that cannot be read.
            Err(error) if error.kind() == ErrorKind::NotFound && !is_link(&file) => {}
            Err(source) => return Err(Error::File { path: file, source }),
        }
        USUAL
            .iter()
            .map(|usual| program::paths::under(usual))
            .find(|directory| directory.is_dir())
            .map(Location::sqlite)
            .ok_or(Error::NoPlace)
    }

    /// Tables of our own choice: a directory of SQLite files.
    pub fn sqlite(directory: impl Into<PathBuf>) -> Location {
        Location(Place::Directory(directory.into()))
    }

    /// The directory of the table files, if there is one.
    pub fn directory(&self) -> Option<&Path> {
        match &self.0 {
            Place::Directory(directory) => Some(directory),
            Place::Server(_) => None,
        }
    }

    /// A setting as xCAT writes it. `source` is where it stands, for errors. The setting itself
    /// appears in none: those of other engines hold a password.
    pub fn parse(source: &Path, setting: &str) -> Result<Location, Error> {
        let (engine, rest) = setting.split_once(':').unwrap_or(("SQLite", setting));
        match engine {
            "SQLite" if rest.is_empty() => Err(setting_error(source, "names no directory")),
            "SQLite" if rest.contains('\0') => Err(setting_error(source, "not a directory's name")),
            "SQLite" => Ok(Location::sqlite(rest)),
            "Pg" => match Server::parse(rest) {
                Ok(server) => Ok(Location(Place::Server(server))),
                Err(why) => Err(setting_error(source, &why)),
            },
            "mysql" => Err(Error::Engine("mysql")),
            "DB2" => Err(Error::Engine("DB2")),
            "CSV" => Err(Error::Engine("CSV")),
            _ => Err(setting_error(source, "no setting of xCAT's tables")),
        }
    }

    pub(crate) fn place(&self) -> &Place {
        &self.0
    }

    /// An error unless there is a directory, or a server that lets us in.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let directory = match &self.0 {
            Place::Directory(directory) => directory,
            Place::Server(server) => return pg::check(server),
        };
        let metadata = directory.metadata().map_err(Error::file(directory))?;
        if !metadata.is_dir() {
            let error = std::io::ErrorKind::NotADirectory;
            return Err(Error::file(directory)(error.into()));
        }
        Ok(())
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Directory(directory) => write!(f, "SQLite:{}", directory.display()),
            Place::Server(server) => write!(f, "Pg:{server}"),
        }
    }
}

fn first_line(file: &Path, bytes: &[u8]) -> Result<String, Error> {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or(bytes);
    let line = std::str::from_utf8(line).map_err(|_| setting_error(file, "not text"))?;
    let line = line.trim_end();
    if line.is_empty() {
        return Err(setting_error(file, "its first line is empty"));
    }
    if line.len() > LIMIT {
        return Err(setting_error(file, "its first line is too long"));
    }
    Ok(line.to_string())
}

fn is_link(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn setting_error(path: &Path, why: &str) -> Error {
    Error::Setting {
        path: path.to_path_buf(),
        why: why.into(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parsed(setting: &str) -> Result<Location, Error> {
        Location::parse(Path::new("cfgloc"), setting)
    }

    #[test]
    fn sqlite_with_and_without_its_name() {
        assert_eq!(parsed("SQLite:/a/b").unwrap(), Location::sqlite("/a/b"));
        assert_eq!(parsed("/a/b").unwrap(), Location::sqlite("/a/b"));
    }

    #[test]
    fn other_engines_are_named_and_their_passwords_are_not() {
        for setting in ["mysql:dbname=x|adm|secret", "DB2:x|adm|secret"] {
            let error = parsed(setting).unwrap_err();
            assert!(matches!(error, Error::Engine(_)), "{setting}");
            assert!(!format!("{error} {error:?}").contains("secret"));
        }
    }

    #[test]
    fn a_servers_password_is_not_shown() {
        let found = parsed("Pg:dbname=x;host=h|adm|secret").unwrap();
        assert_eq!(found.to_string(), "Pg:dbname=x;host=h;port=5432");
        assert!(!format!("{found:?}").contains("secret"));
    }

    #[test]
    fn nonsense_is_an_error_and_is_not_shown() {
        for setting in [
            "SQLite:",
            "sqlite:/a|secret",
            "Oracle:x|u|secret",
            "Pg:dbname=x",
            "Pg:x|u|secret",
            "Pg:dbname=x;password=secret|u|secret",
        ] {
            let error = parsed(setting).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
        }
    }

    #[test]
    fn only_the_first_line_counts() {
        let file = Path::new("cfgloc");
        assert_eq!(
            first_line(file, b"SQLite:/x \r\nrest\xff").unwrap(),
            "SQLite:/x"
        );
        assert!(first_line(file, b"").is_err());
        assert!(first_line(file, b"\nSQLite:/x").is_err());
        assert!(first_line(file, b"\xff\n").is_err());
        assert!(first_line(file, &[b'a'; 5000]).is_err());
    }
}
