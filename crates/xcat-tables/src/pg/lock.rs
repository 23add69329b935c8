//! Locks of the database that are held for as long as a session lives, each with a row of its own:
//! what exactly one server of a kind stands on when several hosts contend.
//!
//! The database gives a lock on when the session ends, however that happens. A host that is cut off is
//! noticed by the server's keep-alive probes after a little more than 3 seconds.

use std::time::Duration;

use postgres::Client;

use super::connect::{Session, connect_for};
use super::failure::failure;
use crate::location::Place;
use crate::{Error, Location};

/// The table of the rows.
const TABLE: &str = "oneserver";

/// For the session: as long as it takes for locks, and a dead host is found out soon.
const OPTIONS: &str = "-c lock_timeout=0 -c statement_timeout=0 -c synchronous_commit=on \
                       -c tcp_keepalives_idle=1 -c tcp_keepalives_interval=1 -c tcp_keepalives_count=3";

/// How long a holder that is cut off may work on: it ends its server by itself before that.
pub const LONGEST_UNSEEN: Duration = Duration::from_secs(3);

const MAKE: &str = "
    CREATE TABLE IF NOT EXISTS oneserver (
        kind text NOT NULL, instance integer NOT NULL, allowed boolean NOT NULL,
        epoch bigint NOT NULL DEFAULT 0, address text, host text, needed bigint,
        database_start text, PRIMARY KEY (kind, instance))";

const ROWS: &str = "
    SELECT epoch, address, host, needed, EXISTS (
        SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
         AND mode = 'ExclusiveLock'
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
         AND (CAST(classid AS bigint) << 32 | CAST(objid AS bigint))
             = hashtextextended('oneserver ' || kind || ' ' || instance, 0))
    FROM oneserver WHERE kind = $1 AND allowed ORDER BY instance";

const AGENTS: &str = "
    SELECT count(DISTINCT pid) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
     AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
     AND (CAST(classid AS bigint) << 32 | CAST(objid AS bigint))
         = hashtextextended('oneserver agents ' || $1, 0)";

/// A session of its own with the tables' database.
pub struct LockSession {
    client: Client,
}

/// A kind of server, as its rows and locks say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockKind {
    /// Each instance that may be, from the first on.
    pub instances: Vec<LockRow>,
    /// The sum of all epochs when a server was asked for last.
    pub needed: Option<i64>,
    /// How many sessions are registered.
    pub agents: usize,
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockRow {
    /// The greatest epoch.
    pub epoch: i64,
    /// Its lock is held.
    pub held: bool,
    /// Address and host that its holder published.
    pub address: Option<(String, String)>,
}

impl LockSession {
    /// Connects. Only a database that several hosts can share has such locks.
    ///
    /// # Errors
    /// [`Error::Engine`] for another one; a server that cannot be used, or follows another one: its
    /// locks exclude nobody.
    pub fn open(location: &Location) -> Result<LockSession, Error> {
        let Place::Server(server) = location.place() else {
            return Err(Error::Engine(
                "SQLite (for a lock that several hosts share)",
            ));
        };
        let mut client = connect_for(
            server,
            &Session {
                options: OPTIONS,
                idle: Duration::from_secs(1),
                interval: Duration::from_secs(1),
                unanswered: Duration::from_secs(2),
            },
        )?;
        // Older servers do not know it; then the probes alone find out.
        let _ = client.batch_execute("SET tcp_user_timeout = 3000");
        let follows = client.query_one("SELECT pg_is_in_recovery()", &[]);
        let follows: bool = follows
            .and_then(|row| row.try_get(0))
            .map_err(failure(TABLE))?;
        match follows {
            false => Ok(LockSession { client }),
            true => Err(Error::Server {
                server: server.to_string(),
                why: "follows another server: its locks exclude nobody".into(),
            }),
        }
    }

    /// Makes the rows of a kind, or says how many instances there may be. False if that is so already.
    ///
    /// # Errors
    /// As the database says.
    pub fn make(&mut self, kind: &str, instances: i32) -> Result<bool, Error> {
        let mut work = || {
            self.client.batch_execute(MAKE)?;
            let mut transaction = self.client.transaction()?;
            transaction.batch_execute("LOCK TABLE oneserver IN SHARE ROW EXCLUSIVE MODE")?;
            let made = transaction.execute(
                "INSERT INTO oneserver (kind, instance, allowed)
                 SELECT $1, n, true FROM generate_series(1, $2) AS n ON CONFLICT DO NOTHING",
                &[&kind, &instances],
            )?;
            let changed = transaction.execute(
                "UPDATE oneserver SET allowed = (instance <= $2)
                 WHERE kind = $1 AND allowed <> (instance <= $2)",
                &[&kind, &instances],
            )?;
            transaction.commit()?;
            Ok(made + changed > 0)
        };
        work().map_err(failure(TABLE))
    }

    /// What the rows and locks of a kind say; None if it was never made.
    ///
    /// # Errors
    /// As the database says.
    pub fn look(&mut self, kind: &str) -> Result<Option<LockKind>, Error> {
        let mut work = || {
            let there = self
                .client
                .query_one("SELECT to_regclass('oneserver') IS NOT NULL", &[])?;
            if !there.try_get::<_, bool>(0)? {
                return Ok(None);
            }
            let mut found = LockKind {
                instances: Vec::new(),
                needed: None,
                agents: 0,
            };
            for row in self.client.query(ROWS, &[&kind])? {
                let address: Option<String> = row.try_get(1)?;
                let host: Option<String> = row.try_get(2)?;
                found.needed = found.needed.or(row.try_get(3)?);
                found.instances.push(LockRow {
                    epoch: row.try_get(0)?,
                    held: row.try_get(4)?,
                    address: address.zip(host),
                });
            }
            let agents: i64 = self.client.query_one(AGENTS, &[&kind])?.try_get(0)?;
            found.agents = usize::try_from(agents).unwrap_or(0);
            Ok((!found.instances.is_empty()).then_some(found))
        };
        work().map_err(failure(TABLE))
    }

    /// Counts this session among those that can start a server, for as long as it lives.
    ///
    /// # Errors
    /// As the database says.
    pub fn register(&mut self, kind: &str) -> Result<(), Error> {
        let text = "SELECT pg_advisory_lock_shared(hashtextextended('oneserver agents ' || $1, 0))";
        self.client
            .execute(text, &[&kind])
            .map(drop)
            .map_err(failure(TABLE))
    }

    /// Notes that a server is needed since the present epochs.
    ///
    /// # Errors
    /// As the database says.
    pub fn ask(&mut self, kind: &str) -> Result<(), Error> {
        let text = "UPDATE oneserver SET needed =
                      (SELECT CAST(sum(epoch) AS bigint) FROM oneserver WHERE kind = $1 AND allowed)
                    WHERE kind = $1 AND instance = 1";
        self.client
            .execute(text, &[&kind])
            .map(drop)
            .map_err(failure(TABLE))
    }

    /// Waits in the server's queue until the lock of an instance is this session's. If the database has
    /// begun anew since the last holder took it, then that holder may not have noticed yet: waits for
    /// as long as it can take.
    ///
    /// # Errors
    /// As the database says, also when the connection breaks.
    pub fn take(&mut self, kind: &str, instance: i32) -> Result<(), Error> {
        let text = "SELECT pg_advisory_lock(hashtextextended('oneserver ' || $1 || ' ' || $2, 0))";
        let number = instance.to_string();
        let mut work = || {
            self.client.execute(text, &[&kind, &number])?;
            let before = self.client.query_opt(
                "SELECT 1 FROM oneserver WHERE kind = $1 AND instance = $2
                 AND database_start <> CAST(pg_postmaster_start_time() AS text)",
                &[&kind, &instance],
            )?;
            Ok(before.is_some())
        };
        if work().map_err(failure(TABLE))? {
            std::thread::sleep(LONGEST_UNSEEN);
        }
        Ok(())
    }

    /// The next epoch of an instance, which this session holds; no address.
    ///
    /// # Errors
    /// As the database says; [`Error::Constraint`] if there is no such instance.
    pub fn next_epoch(&mut self, kind: &str, instance: i32) -> Result<i64, Error> {
        let text = "UPDATE oneserver SET epoch = epoch + 1, address = NULL, host = NULL,
                      database_start = CAST(pg_postmaster_start_time() AS text)
                    WHERE kind = $1 AND instance = $2 AND allowed RETURNING epoch";
        let row = self.client.query_opt(text, &[&kind, &instance]);
        match row.map_err(failure(TABLE))? {
            Some(row) => row.try_get(0).map_err(failure(TABLE)),
            None => Err(Error::Constraint {
                table: TABLE.into(),
                why: format!("{kind}: there is no instance {instance}"),
            }),
        }
    }

    /// Publishes an address, or takes it back, if the epoch is still the greatest.
    ///
    /// # Errors
    /// As the database says.
    pub fn publish(
        &mut self,
        kind: &str,
        instance: i32,
        epoch: i64,
        address: Option<(&str, &str)>,
    ) -> Result<(), Error> {
        let (address, host) = address.unzip();
        let text = "UPDATE oneserver SET address = $4, host = $5
                    WHERE kind = $1 AND instance = $2 AND epoch = $3";
        let done = self
            .client
            .execute(text, &[&kind, &instance, &epoch, &address, &host]);
        done.map(drop).map_err(failure(TABLE))
    }

    /// A round trip: the session lives.
    ///
    /// # Errors
    /// If it does not.
    pub fn prove(&mut self) -> Result<(), Error> {
        self.client
            .batch_execute("SELECT 1")
            .map_err(failure(TABLE))
    }
}

impl std::fmt::Debug for LockSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LockSession")
    }
}
