//! A connection, for as long as one call.

use std::net::{IpAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

use postgres::config::SslMode;
use postgres::{Client, Config, NoTls};

use super::failure::{chain, may_pass};
use super::reach;
use super::server::{Server, Tls};
use crate::Error;
use crate::engine::PATIENCE;

/// How often a server that starts is asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// For the session: locks are waited for as long as on SQLite, no statement of ours takes five
/// minutes, and the server notices that our host is gone within a minute: until then it would keep our
/// locks.
const OPTIONS: &str = "-c lock_timeout=10s -c statement_timeout=300s -c tcp_keepalives_idle=30 \
                       -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3";

/// Connects and logs in. A server that is starting or has no place free is waited for, one that says
/// nothing is not waited for longer.
///
/// No thread is started: the driver runs its event loop in the calling one, and would use another
/// only to resolve a name. So names are resolved here.
pub(super) fn connect(server: &Server) -> Result<Client, Error> {
    connect_for(
        server,
        &Session {
            options: OPTIONS,
            idle: Duration::from_secs(10),
            interval: Duration::from_secs(5),
            unanswered: Duration::from_secs(30),
        },
    )
}

/// What a connection is for.
pub(super) struct Session {
    /// Settings of the server for it.
    pub(super) options: &'static str,
    /// Our own probes: after so long without a word, then so often, three times.
    pub(super) idle: Duration,
    /// See `idle`.
    pub(super) interval: Duration,
    /// A word of ours may stay unanswered by the server's host so long.
    pub(super) unanswered: Duration,
}

/// [`connect`] with other patience.
pub(super) fn connect_for(server: &Server, session: &Session) -> Result<Client, Error> {
    let error = |why: String| Error::Server {
        server: server.to_string(),
        why,
    };
    let deadline = Instant::now() + PATIENCE;
    let mut config = Config::new();
    config
        .dbname(&server.database)
        .user(&server.user)
        .application_name("xcat-nodetools")
        .options(session.options)
        .connect_timeout(PATIENCE)
        .tcp_user_timeout(session.unanswered)
        .keepalives_idle(session.idle)
        .keepalives_interval(session.interval)
        .keepalives_retries(3)
        .port(server.port);
    if !server.password.is_empty() {
        config.password(&server.password);
    }
    let local = server.host.starts_with('/');
    let unreachable = |why: std::io::Error| error(format!("error connecting to server: {why}"));
    if local {
        let socket = format!("{}/.s.PGSQL.{}", server.host, server.port);
        reach::path(socket.as_ref()).map_err(unreachable)?;
        config.host_path(&server.host);
    } else {
        let addresses = addresses(server).map_err(|why| error(why.to_string()))?;
        let address = reach::address(&addresses, server.port).map_err(unreachable)?;
        config.host(&server.host).hostaddr(address);
    }
    let verified = match &server.tls {
        Tls::Authority(file) => tls::Database::Authority(file),
        Tls::Name(file) => tls::Database::Name(file),
        Tls::No | Tls::Perhaps | Tls::Yes => tls::Database::Anyone,
    };
    config.ssl_mode(match &server.tls {
        // Nobody can listen in on a socket of this host; the server does not even offer it there.
        _ if local => SslMode::Disable,
        Tls::No => SslMode::Disable,
        Tls::Perhaps => SslMode::Prefer,
        Tls::Yes | Tls::Authority(_) | Tls::Name(_) => SslMode::Require,
    });
    loop {
        let result = if config.get_ssl_mode() == SslMode::Disable {
            config.connect(NoTls)
        } else {
            config.connect(tls::database(&verified).map_err(|why| error(why.to_string()))?)
        };
        match result {
            Ok(client) => return Ok(client),
            Err(why) if may_pass(&why) && Instant::now() < deadline => std::thread::sleep(PAUSE),
            Err(why) => return Err(error(chain(&why))),
        }
    }
}

fn addresses(server: &Server) -> std::io::Result<Vec<IpAddr>> {
    if let Some(address) = server.address {
        return Ok(vec![address]);
    }
    let found = (server.host.as_str(), server.port).to_socket_addrs()?;
    let mut addresses: Vec<IpAddr> = Vec::new();
    for address in found.map(|found| found.ip()) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}
