//! What PostgreSQL has and files have not: a server that may be busy, hostile or gone.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket,
};
use postgres_server::{PASSWORD, Server, USER};
use support::{Engine, Scratch, change, empty_on, engines, fixture_on, location};
use xcat_tables::{Error, Tables, table_names};

/// Connections of ours to the scratch's database.
fn connections(database: &str) -> String {
    let server = postgres_server::shared().unwrap();
    let count = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND application_name = 'xcat-nodetools'"
    );
    server.sql("postgres", &count).trim().to_string()
}

fn pg(fixture: &str) -> Option<Scratch> {
    fixture_on(Engine::Pg, fixture)
}

fn database(scratch: &Scratch) -> String {
    let shown = scratch.tables.location().to_string();
    let name = shown.strip_prefix("Pg:dbname=").unwrap();
    name.split(';').next().unwrap().to_string()
}

/// For what the server does in its own time, as noticing that a client is gone.
#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(30), "not: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn two_connections_at_most_and_none_between_calls() {
    let Some(server) = postgres_server::shared() else {
        return;
    };
    let database = server.database();
    // A third one would be refused, and the call fail after a while.
    server.sql(
        &database,
        &format!(
            "CREATE ROLE limited LOGIN CONNECTION LIMIT 2; ALTER DATABASE {database} OWNER TO limited"
        ),
    );
    let host = server.directory().display();
    let setting = format!("Pg:dbname={database};host={host}|limited");
    let tables = Tables::open(&location(&setting)).unwrap();
    tables.create_missing().unwrap();
    let read = || {
        tables.names().unwrap();
        tables.attribute("nodehm", "mgt", &["n1".into()]).unwrap();
        tables
            .expand("all", &noderange::Options::default())
            .unwrap();
        tables.nodes_with_rows("nodehm").unwrap();
        tables.dump("site").unwrap();
    };
    change(&tables, &["site", "nodehm"], |t| {
        t.put("site", &[("key", "a")], &[("value", Some("b"))])?;
        read();
        until("one connection", || connections(&database) == "1");
        Ok(())
    })
    .unwrap();
    read();
    until("no connection", || connections(&database) == "0");
}

#[test]
fn null_and_empty_are_kept_apart_and_names_are_quoted() {
    for scratch in engines("ops") {
        let tables = &scratch.tables;
        tables.create_missing().unwrap();
        change(tables, &["switch", "nodelist", "osimage", "policy"], |t| {
            t.put(
                "switch",
                &[("node", "q'\"1")],
                &[("switch", Some("")), ("vlan", None)],
            )?;
            t.put(
                "osimage",
                &[("imagename", "i")],
                &[("groups", Some("a\"b'c\\d\n$1"))],
            )?;
            t.put(
                "policy",
                &[("priority", "1")],
                &[("time", Some("")), ("rule", None)],
            )
        })
        .unwrap();
        let row = &tables.rows_where("switch", &[("node", "q'\"1")]).unwrap()[0];
        assert_eq!((row.raw("switch"), row.raw("vlan")), (Some(""), None));
        let image = &tables.rows("osimage").unwrap()[0];
        assert_eq!(image.raw("groups"), Some("a\"b'c\\d\n$1"));
        let policy = tables.rows_where("policy", &[("priority", "1")]).unwrap();
        assert_eq!(
            (policy[0].raw("time"), policy[0].raw("rule")),
            (Some(""), None)
        );
        change(tables, &["policy"], |t| {
            assert_eq!(
                t.update("policy", &[("priority", "1")], &[("time", None)])?,
                1
            );
            assert_eq!(
                t.rows_where("policy", &[("priority", "1")])?[0].raw("time"),
                None
            );
            Ok(())
        })
        .unwrap();
    }
}

#[test]
fn rows_are_in_the_order_of_the_key_bytewise() {
    let Some(scratch) = empty_on(Engine::Pg) else {
        return;
    };
    let tables = &scratch.tables;
    tables.create_missing().unwrap();
    change(tables, &["site", "eventlog"], |t| {
        for key in ["b", "B", "a1", "_", "a", "\u{e9}"] {
            t.put("site", &[("key", key)], &[])?;
        }
        for _ in 0..11 {
            t.insert("eventlog", &[("node", Some("n1"))])?;
        }
        // Numbers that come from a dump are not given out again.
        t.insert("eventlog", &[("recid", Some("40"))])
    })
    .unwrap();
    let keys = |table, column| -> Vec<String> {
        let rows = tables.rows(table).unwrap();
        rows.iter()
            .map(|row| row.raw(column).unwrap().into())
            .collect()
    };
    assert_eq!(keys("site", "key"), ["B", "_", "a", "a1", "b", "\u{e9}"]);
    let numbers = keys("eventlog", "recid");
    assert_eq!((numbers[1].as_str(), numbers[9].as_str()), ("2", "10"));
}

#[test]
fn tables_are_made_by_init_and_claims_on_demand_by_many_at_once() {
    let Some(scratch) = empty_on(Engine::Pg) else {
        return;
    };
    let tables = &scratch.tables;
    assert!(tables.rows("nodelist").unwrap().is_empty());
    assert!(matches!(
        tables.rows("pg_class"),
        Err(Error::UnknownTable(_))
    ));
    let missing = change(tables, &["nics"], |_| Ok(()));
    assert!(matches!(missing, Err(Error::MissingTable(name)) if name == "nics"));
    let workers: Vec<_> = (0..4)
        .map(|who| {
            let tables = tables.clone();
            std::thread::spawn(move || {
                let node = format!("n{who}");
                change(&tables, &["taskstate"], |t| {
                    t.put("taskstate", &[("node", &node)], &[])
                })
            })
        })
        .collect();
    for worker in workers {
        worker.join().unwrap().unwrap();
    }
    assert_eq!(tables.rows("taskstate").unwrap().len(), 4);
    assert_eq!(
        tables.create_missing().unwrap().len(),
        table_names().count() - 1
    );
    assert!(tables.create_missing().unwrap().is_empty());
    let server = postgres_server::shared().unwrap();
    let columns = server.sql(
        &database(&scratch),
        "SELECT column_name, data_type, character_maximum_length FROM information_schema.columns
         WHERE table_name = 'eventlog' AND column_name IN ('recid', 'node')
            OR table_name = 'nodehm' AND column_name IN ('node', 'mgt')
         ORDER BY table_name, column_name",
    );
    assert_eq!(
        columns,
        "node|text|\nrecid|integer|\nmgt|text|\nnode|character varying|128\n"
    );
}

#[test]
fn a_held_table_is_named_and_nothing_is_changed() {
    let Some(scratch) = pg("ops") else { return };
    let held = scratch.tables.clone();
    let (ready, wait) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let holder = std::thread::spawn(move || {
        change(&held, &["site"], |_| {
            ready.send(()).unwrap();
            released.recv().unwrap();
            Ok(())
        })
        .unwrap();
    });
    wait.recv().unwrap();
    let started = Instant::now();
    let tables = &scratch.tables;
    let result = change(tables, &["nodehm", "site", "switch"], |t| {
        t.delete("nodehm", &[])
    });
    assert!(
        matches!(&result, Err(Error::Busy { table }) if table == "site"),
        "{result:?}"
    );
    let waited = started.elapsed().as_secs();
    assert!((9..20).contains(&waited), "{waited} s");
    assert_eq!(tables.rows("site").unwrap().len(), 2, "readers are let in");
    release.send(()).unwrap();
    holder.join().unwrap();
    assert_eq!(tables.rows("nodehm").unwrap().len(), 2);
    change(tables, &["site"], |t| t.delete("site", &[])).unwrap();
}

#[test]
fn the_clock_is_the_databases_and_moves() {
    let Some(scratch) = pg("ops") else { return };
    let now = change(&scratch.tables, &["site"], |t| t.now()).unwrap();
    let ours = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    assert!(now.abs_diff(i64::try_from(ours.unwrap().as_secs()).unwrap()) < 60);
}

#[test]
fn an_error_takes_everything_back_even_if_it_is_swallowed() {
    let Some(scratch) = pg("ops") else { return };
    let tables = &scratch.tables;
    let before = tables.dump("site").unwrap();
    let long = "x".repeat(129);
    let result = change(tables, &["site"], |t| {
        t.put("site", &[("key", "new")], &[])?;
        let refused = t.insert("site", &[("key", Some(&long))]);
        assert!(
            matches!(refused, Err(Error::Constraint { .. })),
            "{refused:?}"
        );
        Ok(())
    });
    assert!(matches!(result, Err(Error::Database { .. })), "{result:?}");
    assert_eq!(tables.dump("site").unwrap(), before);
    // What a row holds is in no error: it may be a password.
    let refused = change(tables, &["deps"], |t| t.delete("deps", &[])).unwrap_err();
    assert!(matches!(refused, Error::MissingTable(_)));
    tables.create_missing().unwrap();
    let refused = change(tables, &["deps"], |t| {
        let row = [
            ("node", Some("n1")),
            ("cmd", None),
            ("comments", Some("hushhush")),
        ];
        t.insert("deps", &row)
    });
    let refused = refused.unwrap_err();
    assert!(matches!(refused, Error::Constraint { .. }), "{refused:?}");
    assert!(!format!("{refused} {refused:?}").contains("hushhush"));
}

#[test]
fn a_server_that_goes_away_ends_the_call_and_not_the_next() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let database = server.database();
    let tables = Tables::open(&location(&server.setting(&database))).unwrap();
    tables.create_missing().unwrap();
    let before = tables.dump("site").unwrap();
    let server = std::cell::RefCell::new(server);
    let lost = change(&tables, &["nodehm", "site"], |t| {
        t.put("site", &[("key", "a")], &[("value", Some("b"))])?;
        server.borrow_mut().stop();
        t.put("nodehm", &[("node", "n1")], &[("mgt", Some("ipmi"))])
    });
    assert!(
        matches!(&lost, Err(Error::Lost { table }) if table == "nodehm"),
        "{lost:?}"
    );
    let gone = tables.rows("site").unwrap_err();
    assert!(matches!(gone, Error::Server { .. }), "{gone:?}");
    assert!(!format!("{gone} {gone:?}").contains(PASSWORD));
    server.borrow_mut().start_again();
    assert_eq!(tables.dump("site").unwrap(), before);
    let unsure = change(&tables, &["nodehm", "site"], |t| {
        t.put("site", &[("key", "a")], &[("value", Some("b"))])?;
        server.borrow_mut().stop();
        Ok(())
    });
    assert!(matches!(unsure, Err(Error::Unsure { .. })), "{unsure:?}");
    server.borrow_mut().start_again();
    assert_eq!(tables.dump("site").unwrap(), before);
    change(&tables, &["site"], |t| t.put("site", &[("key", "a")], &[])).unwrap();
}

/// A certificate for `localhost`, self-signed.
fn certificate(server: &Server) -> std::path::PathBuf {
    let (key, file) = (
        server.data().join("server.key"),
        server.data().join("server.crt"),
    );
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            "/CN=localhost",
        ])
        .args([
            "-addext",
            "subjectAltName=DNS:localhost",
            "-days",
            "2",
            "-keyout",
        ])
        .arg(&key)
        .arg("-out")
        .arg(&file)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    server.hand_over(&key);
    server.hand_over(&file);
    file
}

#[test]
fn over_the_network_with_a_password_and_tls() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
    let port = port.unwrap().port();
    let settings = [
        "listen_addresses=127.0.0.1",
        &format!("port={port}"),
        "ssl=on",
    ];
    let Some(server) = Server::make(&settings) else {
        return;
    };
    let authority = certificate(&server);
    let authority = authority.display();
    let server = server.run();
    let database = server.database();
    let open = |more: &str, password: &str| {
        let setting = format!("Pg:dbname={database};port={port};{more}|{USER}|{password}");
        Tables::open(&location(&setting))
    };
    let encrypted = |tables: Tables| {
        change(&tables, &["taskstate"], |_| {
            let asked = "SELECT s.ssl FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE a.application_name = 'xcat-nodetools'";
            Ok(server.sql("postgres", asked).trim().to_string())
        })
        .unwrap()
    };
    let after = |found: String| {
        until("alone", || {
            let asked =
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'xcat-nodetools'";
            server.sql("postgres", asked).trim() == "0"
        });
        found
    };
    assert_eq!(
        after(encrypted(open("host=localhost", PASSWORD).unwrap())),
        "t"
    );
    assert_eq!(
        after(encrypted(
            open("host=127.0.0.1;sslmode=require", PASSWORD).unwrap()
        )),
        "t"
    );
    assert_eq!(
        after(encrypted(
            open("host=localhost;sslmode=disable", PASSWORD).unwrap()
        )),
        "f"
    );
    let full = format!("host=localhost;sslmode=verify-full;sslrootcert={authority}");
    assert_eq!(after(encrypted(open(&full, PASSWORD).unwrap())), "t");
    // The certificate is for another name.
    let other = format!("host=127.0.0.1;sslmode=verify-full;sslrootcert={authority}");
    assert!(matches!(open(&other, PASSWORD), Err(Error::Server { .. })));
    let only = format!("host=127.0.0.1;sslmode=verify-ca;sslrootcert={authority}");
    open(&only, PASSWORD).unwrap();
    assert!(
        open(
            "host=localhost;sslmode=verify-ca;sslrootcert=/nonexistent",
            PASSWORD
        )
        .is_err()
    );
    let refused = open("host=localhost", "wrong-pass").unwrap_err();
    let text = format!("{refused} {refused:?}");
    assert!(text.contains("password authentication failed"), "{text}");
    assert!(
        !text.contains("wrong-pass") && !text.contains(PASSWORD),
        "{text}"
    );
}

#[test]
fn of_two_that_claim_the_same_nodes_one_wins_each() {
    let Some(scratch) = pg("ops") else { return };
    let claim = |tables: Tables, who: String| {
        let nodes = (0..20).map(|n| format!("c{n}"));
        // One look and one write: nobody may come in between.
        nodes
            .filter(|node| {
                change(&tables, &["taskstate"], |t| {
                    let free = t.rows_where("taskstate", &[("node", node)])?.is_empty();
                    if free {
                        t.put("taskstate", &[("node", node)], &[("pid", Some(&who))])?;
                    }
                    Ok(free)
                })
                .unwrap()
            })
            .count()
    };
    let workers: Vec<_> = (0..3)
        .map(|who| {
            let tables = scratch.tables.clone();
            std::thread::spawn(move || claim(tables, who.to_string()))
        })
        .collect();
    let won: usize = workers.into_iter().map(|w| w.join().unwrap()).sum();
    assert_eq!(won, 20);
}

#[test]
fn who_listens_and_says_nothing_is_not_waited_for() {
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let unix = UnixListener::bind(directory.path().join(".s.PGSQL.5432")).unwrap();
    let (port, host) = (tcp.local_addr().unwrap().port(), directory.path().display());
    let settings = [
        format!("Pg:dbname=x;host=127.0.0.1;port={port};sslmode=disable|adm|secret"),
        format!("Pg:dbname=x;host=127.0.0.1;port={port};sslmode=require|adm|secret"),
        format!("Pg:dbname=x;host={host}|adm|secret"),
    ];
    let waiting = settings.map(|setting| {
        std::thread::spawn(move || {
            let started = Instant::now();
            let error = Tables::open(&location(&setting)).unwrap_err().to_string();
            (error, started.elapsed())
        })
    });
    for thread in waiting {
        let (error, waited) = thread.join().unwrap();
        assert!(error.contains("the server says nothing"), "{error}");
        assert!(!error.contains("secret"), "{error}");
        assert!(waited < Duration::from_secs(25), "{waited:?}");
    }
    // Nor is one whose queue is full.
    let mut queue = Vec::new();
    let path = directory.path().join(".s.PGSQL.5433");
    let full = socket(
        AddressFamily::Unix,
        SockType::Stream,
        SockFlag::empty(),
        None,
    )
    .unwrap();
    bind(full.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
    listen(&full, Backlog::new(1).unwrap()).unwrap();
    for _ in 0..2 {
        queue.push(UnixStream::connect(&path).unwrap());
    }
    let setting = format!("Pg:dbname=x;host={host};port=5433|adm|secret");
    let error = Tables::open(&location(&setting)).unwrap_err().to_string();
    assert!(error.contains("error connecting to server"), "{error}");
    drop((tcp, unix, queue));
}
