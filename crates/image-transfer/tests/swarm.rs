//! Nodes that load together.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant};

use common::{Disk, MIB, Plan, Served, load};
use image_transfer::Limits;

#[test]
fn one_node_loads_all_of_it() {
    let disk = Disk::new(16);
    let server = Served::new(&disk);
    for peers in [false, true] {
        let plan = Plan {
            peers,
            ..Plan::new(1, server.address)
        };
        let loaded = load(&disk, plan).join().unwrap().unwrap();
        assert!(loaded.same);
        assert_eq!(loaded.traffic.from_server, disk.object.len() as u64);
    }
    let accounts = server.accounts.lock().unwrap();
    let account = accounts.iter().find(|(_, account)| account.done);
    let (_, account) = account.unwrap();
    assert_eq!(account.have, 8);
}

#[test]
fn eight_nodes_take_each_frame_from_the_server_about_once() {
    let disk = Disk::new(48);
    let limits = Limits {
        // Slow enough that what peers tell each other is quicker.
        rate: Some(8 * MIB as u64),
        ..Limits::default()
    };
    let server = Served::with(
        &disk,
        "127.0.0.1:0".parse().unwrap(),
        limits,
        Default::default(),
    );
    let nodes: Vec<_> = (1..=8)
        .map(|node| {
            let plan = Plan {
                linger: Duration::from_secs(2),
                ..Plan::new(node, server.address)
            };
            load(&disk, plan)
        })
        .collect();
    let loaded: Vec<_> = nodes
        .into_iter()
        .map(|node| node.join().unwrap().unwrap())
        .collect();
    assert!(loaded.iter().all(|node| node.same));
    let sum = |which: fn(&common::Loaded) -> u64| loaded.iter().map(which).sum::<u64>();
    let size = disk.object.len() as u64;
    let (server, peers) = (
        sum(|node| node.traffic.from_server),
        sum(|node| node.traffic.from_peers),
    );
    assert!(
        server < 3 * size,
        "{server} bytes of {size} from the server: {loaded:?}"
    );
    assert!(server + peers >= 8 * size);
}

#[test]
fn what_is_not_kept_is_read_back_and_proven_all_the_same() {
    let disk = Disk::new(24);
    let limits = Limits {
        rate: Some(8 * MIB as u64),
        ..Limits::default()
    };
    let server = Served::with(
        &disk,
        "127.0.0.1:0".parse().unwrap(),
        limits,
        Default::default(),
    );
    // Memory for three frames on their way and three kept.
    let poor = |node, linger| Plan {
        memory: 8 * MIB,
        linger: Duration::from_secs(linger),
        ..Plan::new(node, server.address)
    };
    let first = load(&disk, poor(1, 10));
    // It has all twelve frames and keeps the last three: whoever begins now asks it for the others.
    let began = Instant::now();
    let done = || server.accounts.lock().unwrap().iter().any(|of| of.1.done);
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(60), "never done");
        std::thread::yield_now();
    }
    let others: Vec<_> = (2..=4).map(|node| load(&disk, poor(node, 1))).collect();
    let mut read_back = 0;
    for node in others.into_iter().chain([first]) {
        let loaded = node.join().unwrap().unwrap();
        assert!(loaded.same);
        read_back += loaded.read_back;
    }
    assert!(read_back > 0);
}
