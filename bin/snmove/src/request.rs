//! From what was typed to what is asked for, and whether this host may do it.

use std::net::IpAddr;

use anyhow::bail;
use program::{Usage, complain};
use service_node_move::{Request, Scripts, ThisHost, World};
use xcat_tables::Tables;

use crate::NAME;
use crate::args::Args;

/// The request, its nodes expanded.
pub(crate) fn request(args: &Args, tables: &Tables) -> anyhow::Result<Request> {
    let nodes = match args.noderange.first() {
        None => None,
        Some(range) => {
            let stdin = &mut std::io::stdin().lock();
            let nodes = tables.select(range, stdin, args.strict, &mut |warning| {
                complain(NAME, &warning.to_string());
            })?;
            if nodes.is_empty() {
                return Err(Usage(format!("{range}: names no node")).into());
            }
            Some(nodes)
        }
    };
    let mut request = Request::new(nodes, args.source.clone());
    request.old_master = args.sourcen.clone();
    request.destination = args.dest.clone();
    request.new_master = args.destn.clone();
    request.leave_nodes = args.ignorenodes;
    request.lite_only = args.liteonly;
    request.check_destination = !args.no_dest_check;
    request.strict_pool = args.strict_pool;
    request.scripts = match args.postscripts.as_deref() {
        None => Scripts::Usual,
        Some("all") => Scripts::All,
        Some(list) => Scripts::Also(list.split(',').map(String::from).collect()),
    };
    Ok(request)
}

/// Only the management node may change where nodes belong. Where no table says which host that is,
/// any is.
pub(crate) fn on_management_node(tables: &Tables, host: &ThisHost) -> anyhow::Result<()> {
    let Some(master) = tables.site("master")? else {
        return Ok(());
    };
    let own = host.own();
    let is_here = |address: &IpAddr| own.iter().any(|each| IpAddr::V4(each.address) == *address);
    if host.addresses(&master).iter().any(is_here) {
        return Ok(());
    }
    bail!(
        "{master}: is the management node, and this host is not: run it there (--plan is allowed anywhere)"
    );
}
