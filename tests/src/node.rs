//! A simulated node: its own loopback address, TLS, whatever bytes the test wants.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket};
use tls::{ClientContext, OldSuites, Stream, Trust};

use crate::cluster::Cluster;

/// Where a node connects from and to.
#[derive(Debug, Clone, Copy)]
pub struct Node {
    /// Its own address.
    pub address: Ipv4Addr,
    /// callbackd's port on 127.0.0.1.
    pub port: u16,
}

impl Node {
    /// Node `nI` of the cluster.
    pub fn of(cluster: &Cluster, i: usize) -> Node {
        Node {
            address: Cluster::address(i),
            port: cluster.port,
        }
    }

    /// Connects, without TLS yet.
    pub fn connect(&self) -> std::io::Result<TcpStream> {
        let socket = socket(
            AddressFamily::Inet,
            SockType::Stream,
            SockFlag::SOCK_CLOEXEC,
            None,
        )?;
        bind(
            socket.as_raw_fd(),
            &SockaddrIn::from(SocketAddrV4::new(self.address, 0)),
        )?;
        connect(
            socket.as_raw_fd(),
            &SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::LOCALHOST, self.port)),
        )?;
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(stream)
    }

    /// Connects with TLS, trusting anyone, as a stock node does.
    pub fn dial(&self) -> std::io::Result<Stream> {
        let context = ClientContext::new(&Trust::Anyone, None, OldSuites::No)
            .map_err(std::io::Error::other)?;
        context
            .connect(self.connect()?, "callbackd")
            .map_err(std::io::Error::other)
    }

    /// Sends bytes and returns everything that comes until the end.
    pub fn say(&self, bytes: &[u8]) -> std::io::Result<String> {
        let mut stream = self.dial()?;
        stream.write_all(bytes)?;
        stream.flush()?;
        let mut answer = Vec::new();
        let mut chunk = [0; 4096];
        while let Ok(n) = stream.read(&mut chunk) {
            if n == 0 {
                break;
            }
            answer.extend_from_slice(&chunk[..n]);
        }
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

/// One `nic` element per name, as the stock script writes them.
pub fn adapters_xml(names: &[&str]) -> String {
    names
        .iter()
        .enumerate()
        .map(|(i, name)| format!("<nic>\n<interface>{name}</interface>\n<pcilocation>/pci0000:00/0000:00:{i:02x}.0</pcilocation>\n<mac>52:54:00:00:00:{i:02x}</mac>\n<vendor>Example Corporation</vendor>\n<model>Example 10Gb NIC</model>\n<linkstate>UP </linkstate>\n</nic>\n"))
        .collect()
}

/// A whole report of a stock script; `more` goes before the adapters (a nonce, say).
pub fn report_xml(more: &str, names: &[&str]) -> String {
    format!(
        "<xcatrequest>\n<command>getadapter</command>\n<action>update</action>\n{more}{}</xcatrequest>\n",
        adapters_xml(names)
    )
}
