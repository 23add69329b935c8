//! What a plan refuses, warns of, does and leaves: with a world made up for it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;

use service_node_move::{
    Error, Facts, Interface, Node, Plan, Request, Scripts, Verb, World, interfaces, plan,
};
use xcat_tables::{Network, Row};

/// sn1 serves n1 and n2, sn2 could; all is well.
struct Site {
    facts: Facts,
    request: Request,
    hosts: BTreeMap<&'static str, &'static str>,
    silent: BTreeSet<&'static str>,
    missing: Result<Vec<String>, String>,
}

impl World for Site {
    fn addresses(&self, host: &str) -> Vec<IpAddr> {
        let known = self.hosts.get(host).map(|address| address.parse().unwrap());
        known.or_else(|| host.parse().ok()).into_iter().collect()
    }

    fn own(&self) -> Vec<Interface> {
        interfaces("inet 10.0.0.1/16 scope global eth0\n")
    }

    fn interfaces(&self, service_node: &str) -> Result<Vec<Interface>, String> {
        match service_node {
            "sn2" => Ok(interfaces(
                "inet 10.0.0.12/16 scope global eth0\ninet 10.1.0.12/16 scope global eth1\n",
            )),
            _ => Err("nobody lets us in".to_string()),
        }
    }

    fn missing(&self, _: &str, directories: &[&str]) -> Result<Vec<String>, String> {
        assert_eq!(directories, ["/install/netboot/img"]);
        self.missing.clone()
    }

    fn answering(&self, hosts: &BTreeMap<String, IpAddr>) -> Vec<String> {
        let answers = |host: &&String| !self.silent.contains(host.as_str());
        hosts.keys().filter(answers).cloned().collect()
    }

    fn command(&self, name: &str) -> Option<PathBuf> {
        (name != "makedhcp").then(|| PathBuf::from("/opt/xcat/bin").join(name))
    }
}

impl Site {
    fn new() -> Site {
        let mut facts = Facts {
            networks: vec![network("10.1.0.0", "<xcatmaster>")],
            names: ["n1", "n2", "sn1", "sn2"].map(String::from).into(),
            images: BTreeMap::from([("img".to_string(), "/install/netboot/img".to_string())]),
            defaults: [
                "syslog,setupntp now".to_string(),
                "mkresolvconf".to_string(),
            ],
            ..Facts::default()
        };
        for name in ["sn1", "sn2"] {
            let row = row(&[("node", name), ("tftpserver", "1"), ("dhcpserver", "1")]);
            facts.service_nodes.insert(name.to_string(), row);
        }
        for name in ["n1", "n2"] {
            let mut node = Node {
                pool: vec!["sn1".to_string(), "sn2".to_string()],
                ..Node::default()
            };
            for (table, column, value) in [
                ("noderes", "servicenode", "sn1,sn2"),
                ("noderes", "xcatmaster", "sn1n"),
                ("nodetype", "provmethod", "img"),
                ("nodetype", "os", "rhels9"),
            ] {
                node.values.insert((table, column), value.to_string());
            }
            facts.nodes.insert(name.to_string(), node);
        }
        Site {
            facts,
            request: Request::new(None, Some("sn1".to_string())),
            hosts: BTreeMap::from([
                ("n1", "10.1.1.1"),
                ("n2", "10.1.1.2"),
                ("sn1", "10.0.0.11"),
                ("sn1n", "10.1.0.11"),
                ("sn2", "10.0.0.12"),
                ("sn2n", "10.1.0.12"),
            ]),
            silent: BTreeSet::new(),
            missing: Ok(Vec::new()),
        }
    }

    fn set(&mut self, node: &str, table: &'static str, column: &'static str, value: &str) {
        let node = self.facts.nodes.get_mut(node).unwrap();
        node.values.insert((table, column), value.to_string());
    }

    fn plan(&self) -> Result<Plan, Error> {
        plan(&self.facts, &self.request, &BTreeMap::new(), self)
    }

    #[track_caller]
    fn refusal(&self) -> Vec<String> {
        match self.plan() {
            Err(Error::Refused(reasons)) => reasons,
            other => panic!("{other:?}"),
        }
    }
}

fn row(cells: &[(&str, &str)]) -> Row {
    let cells = cells.iter();
    Row::from_iter(cells.map(|(column, value)| (column.to_string(), Some(value.to_string()))))
}

fn network(net: &str, gateway: &str) -> Network {
    Network::of(&row(&[
        ("net", net),
        ("mask", "255.255.0.0"),
        ("gateway", gateway),
    ]))
    .unwrap()
}

#[test]
fn a_good_destination_is_taken_and_every_step_has_its_place() {
    let plan = Site::new().plan().unwrap();
    let verbs: Vec<&Verb> = plan.steps.iter().map(|step| &step.verb).collect();
    let scripts = ["syslog", "setupntp now", "mkresolvconf"].map(String::from);
    assert_eq!(
        verbs,
        [
            &Verb::BootFiles("osimage=img".to_string()),
            &Verb::Route {
                new: "10.1.0.12".to_string(),
                old: Some("10.1.0.11".to_string()),
            },
            &Verb::Rebind,
            &Verb::Scripts(scripts.to_vec()),
        ]
    );
    assert!(plan.steps.iter().all(|step| step.nodes == ["n1", "n2"]));
    assert!(
        plan.warnings.is_empty() && plan.stays.is_empty(),
        "{plan:?}"
    );
    assert!(plan.moves.iter().all(|each| each.new_master == "10.1.0.12"));
}

#[test]
fn all_that_is_wrong_with_a_destination_is_said_at_once() {
    let mut site = Site::new();
    site.request.new_master = Some("10.2.0.99".to_string());
    site.missing = Ok(vec!["/install/netboot/img".to_string()]);
    site.set("n1", "noderes", "nfsserver", "sn1n");
    site.set("n2", "nodehm", "conserver", "10.0.0.11");
    site.facts.names.remove("sn2");
    let sn2 = row(&[("node", "sn2"), ("tftpserver", "0")]);
    site.facts.service_nodes.insert("sn2".to_string(), sn2);
    let use_it = "is not set, and its new nodes use it";
    assert_eq!(
        site.refusal(),
        [
            "sn2: has no /install/netboot/img, which image img needs".to_string(),
            "sn2: has no row in nodelist".to_string(),
            format!("sn2: servicenode.conserver {use_it}"),
            format!("sn2: servicenode.dhcpserver {use_it}"),
            format!("sn2: servicenode.nfsserver {use_it}"),
            format!("sn2: servicenode.tftpserver {use_it}"),
            "10.2.0.99: is no address of sn2".to_string(),
            "10.2.0.99: has no address in the network of n[1-2]".to_string(),
        ]
    );
    site.facts.service_nodes.remove("sn2");
    site.silent.insert("sn2");
    let reasons = site.refusal();
    for text in [
        "sn2: does not answer on its ssh port",
        "sn2: has no row in servicenode",
    ] {
        assert!(reasons.iter().any(|reason| reason == text), "{reasons:?}");
    }
    site.request.check_destination = false;
    site.plan().unwrap();
    site.request.check_destination = true;
    site.request.new_master = Some("10.1.0.12".to_string());
    site.hosts.remove("sn2");
    assert!(
        site.refusal()
            .contains(&"sn2: does not resolve".to_string())
    );
}

#[test]
fn a_destination_that_cannot_be_looked_at_is_no_good_one() {
    let mut site = Site::new();
    site.missing = Err("Permission denied".to_string());
    let wanted = "sn2: its images cannot be looked at: Permission denied";
    assert_eq!(site.refusal(), [wanted]);
    let mut site = Site::new();
    site.request.destination = Some("sn1".to_string());
    site.request.source = None;
    // The first of its list already; only where its xcatmaster is could be asked.
    let wanted = "Could not get IP addresses from service node sn1. (nobody lets us in)";
    assert_eq!(site.refusal()[0], wanted);
}

#[test]
fn a_master_that_cannot_be_determined_and_why() {
    #[track_caller]
    fn says(site: &Site, why: &str) {
        let text = "Could not determine an xcatmaster value for node n1.";
        let refusal = site.refusal();
        let wanted = format!("{text} ({why})");
        assert!(refusal.contains(&wanted), "{refusal:?}");
    }
    let mut site = Site::new();
    site.facts.networks = vec![network("10.2.0.0", "<xcatmaster>")];
    let address = site.hosts["n1"];
    let why = format!("no row of table networks holds its address {address}");
    says(&site, &why);
    site.hosts.insert("n1", "fd00::1");
    says(&site, "it has no IPv4 address");
    let mut site = Site::new();
    site.hosts.insert("n1", "10.2.0.1");
    site.facts
        .networks
        .push(network("10.2.0.0", "<xcatmaster>"));
    says(&site, "sn2 has no address in its network 10.2.0.0/16");
    site.request.destination = Some("sn3".to_string());
    says(&site, "sn3 tells no addresses");
}

#[test]
fn a_service_that_the_old_one_does_not_have_is_not_missed() {
    let mut site = Site::new();
    let sn2 = row(&[("node", "sn2"), ("tftpserver", "1")]);
    site.facts
        .service_nodes
        .insert("sn2".to_string(), sn2.clone());
    assert_eq!(site.refusal().len(), 1);
    site.facts.service_nodes.insert("sn1".to_string(), sn2);
    site.plan().unwrap();
    // A node that has its boot files from elsewhere uses neither's.
    let none = row(&[("node", "sn2")]);
    site.facts.service_nodes.insert("sn2".to_string(), none);
    assert_eq!(site.refusal().len(), 1);
    for node in ["n1", "n2"] {
        site.set(node, "noderes", "tftpserver", "10.9.9.9");
    }
    let plan = site.plan().unwrap();
    let stays = "n[1-2]: noderes.tftpserver=10.9.9.9: not known to be the old service node";
    assert_eq!(plan.stays, [stays]);
}

#[test]
fn rules_of_the_pool() {
    let mut site = Site::new();
    site.request.check_destination = false;
    site.request.destination = Some("sn2".to_string());
    let node = site.facts.nodes.get_mut("n1").unwrap();
    node.pool = vec!["sn1".to_string()];
    node.values.remove(&("noderes", "xcatmaster"));
    let node = site.facts.nodes.get_mut("n2").unwrap();
    node.pool = vec!["sn3".to_string(), "sn1".to_string(), "sn2".to_string()];
    site.set("n2", "noderes", "xcatmaster", "sn2");
    let wanted = [
        "n1: noderes.servicenode names 1 service nodes, and a pool has at least two",
        "n1: sn2 is not in its noderes.servicenode",
        "n1: noderes.xcatmaster is not set",
        "n2: sn1 is not the first in its noderes.servicenode",
        "n2: noderes.xcatmaster=sn2 does not belong to sn3",
    ];
    assert_eq!(site.plan().unwrap().warnings, wanted);
    site.request.strict_pool = true;
    assert_eq!(site.refusal(), wanted);
}

#[test]
fn scripts_that_a_node_does_not_have_are_named_or_forced() {
    let mut site = Site::new();
    site.facts.defaults = ["remoteshell".to_string(), String::new()];
    site.set("n2", "postscripts", "postscripts", "syslog debug");
    let warned = |plan: &Plan| {
        let about = plan.warnings.iter().filter(|text| text.contains("scripts"));
        let first = about.map(|text| text.split(" is ").next().unwrap().to_string());
        first.collect::<Vec<_>>()
    };
    let plan = site.plan().unwrap();
    assert_eq!(
        warned(&plan),
        ["n1: syslog", "n[1-2]: setupntp", "n[1-2]: mkresolvconf"]
    );
    let scripts = |plan: &Plan| {
        let steps = plan.steps.iter().filter_map(|step| match &step.verb {
            Verb::Scripts(scripts) => Some((step.nodes.join(","), scripts.join(","))),
            _ => None,
        });
        steps.collect::<Vec<_>>()
    };
    let pair = |nodes: &str, scripts: &str| (nodes.to_string(), scripts.to_string());
    assert_eq!(scripts(&plan), [pair("n2", "syslog debug")]);
    let forced = ["setupntp".to_string(), "syslog".to_string()];
    site.request.scripts = Scripts::Also(forced.to_vec());
    let plan = site.plan().unwrap();
    assert_eq!(warned(&plan), ["n[1-2]: mkresolvconf"]);
    assert_eq!(
        scripts(&plan),
        [
            pair("n1", "setupntp,syslog"),
            pair("n2", "syslog debug,setupntp,syslog")
        ]
    );
    site.request.scripts = Scripts::All;
    let plan = site.plan().unwrap();
    assert_eq!(
        scripts(&plan),
        [
            pair("n1", "remoteshell"),
            pair("n2", "remoteshell,syslog debug")
        ]
    );
}

#[test]
fn aix_nodes_change_in_the_tables_alone() {
    let mut site = Site::new();
    for node in ["n1", "n2"] {
        site.set(node, "nodetype", "os", "AIX");
        site.set(node, "nodehm", "conserver", "sn1");
    }
    site.facts.service_nodes.clear();
    site.request.check_destination = false;
    assert!(site.refusal()[0].starts_with("AIX: only the tables are changed here: use -i"));
    site.request.leave_nodes = true;
    let plan = site.plan().unwrap();
    assert_eq!(plan.changes.len(), 6);
    let verbs: Vec<&Verb> = plan.steps.iter().map(|step| &step.verb).collect();
    assert_eq!(verbs, [&Verb::Conserver]);
    site.request.lite_only = true;
    assert!(site.refusal()[0].starts_with("-l: statelite files of AIX"));
}

#[test]
fn separate_dhcp_servers_are_told_and_what_is_not_installed_is_named() {
    let mut site = Site::new();
    site.facts.disjoint_dhcps = true;
    site.request.leave_nodes = true;
    let plan = site.plan().unwrap();
    let verbs: Vec<&Verb> = plan.steps.iter().map(|step| &step.verb).collect();
    assert_eq!(
        verbs,
        [
            &Verb::BootFiles("osimage=img".to_string()),
            &Verb::Dhcp,
            &Verb::ForgetDhcp("sn1".to_string())
        ]
    );
    let wanted = "makedhcp: is not installed: its step will fail for all its nodes";
    assert_eq!(plan.warnings, [wanted]);
}

#[test]
fn hardware_control_points_stay_and_are_named() {
    let mut site = Site::new();
    site.set("n1", "ppc", "hcp", "10.0.0.11");
    site.set("n2", "mp", "mpa", "sn1");
    let plan = site.plan().unwrap();
    assert_eq!(
        plan.stays,
        [
            "n1: ppc.hcp=10.0.0.11: its hardware control point is the old service node",
            "n2: mp.mpa=sn1: its hardware control point is the old service node",
        ]
    );
}

#[test]
fn nothing_moves_onto_itself() {
    let mut site = Site::new();
    let node = site.facts.nodes["n1"].clone();
    site.facts.nodes.insert("sn2".to_string(), node);
    let plan = site.plan().unwrap();
    assert_eq!(plan.nodes(), ["n1", "n2"]);
    let text = "sn2: is the new service node itself: it stays where it is";
    assert_eq!(plan.warnings, [text]);
}
