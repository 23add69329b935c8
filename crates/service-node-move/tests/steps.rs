//! How steps end: what fails for whom, and what is no failure.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;

use boot_target::Answers;
use service_node_move::{Commands, Outcome, Said, Step, Verb, take};

/// Answers by command and first argument: standard output, standard error, good.
#[derive(Default)]
struct Fake {
    answers: BTreeMap<&'static str, (&'static str, &'static str, bool)>,
    calls: Vec<String>,
}

impl Commands for Fake {
    fn xcat(&mut self, command: &str, nodes: &[String], args: &[&str]) -> Result<Answers, String> {
        let call = format!("{command} {}", args.first().unwrap_or(&""));
        self.calls.push(format!("{call} {}", nodes.join(",")));
        let (said, errors, good) = self.answers.get(call.trim()).unwrap_or(&("", "", true));
        Ok(Answers::of(
            said.as_bytes(),
            errors.as_bytes(),
            nodes,
            *good,
        ))
    }

    fn route(&mut self, nodes: &[String], new: &str, old: Option<&str>) -> Answers {
        self.calls
            .push(format!("route {new} {old:?} {}", nodes.join(",")));
        let (said, errors, good) = self.answers.get("route").unwrap_or(&("", "", true));
        Answers::of(said.as_bytes(), errors.as_bytes(), nodes, *good)
    }

    fn rebind(&mut self, nodes: &[String]) -> BTreeMap<String, String> {
        let text = "its DHCP client was not asked: no route to host";
        let each = nodes.iter();
        each.map(|node| (node.clone(), text.to_string())).collect()
    }
}

impl Fake {
    fn take(&mut self, verb: Verb) -> (Outcome, Vec<Said>) {
        let mut said = Vec::new();
        let nodes = ["n1", "n2"].map(String::from).to_vec();
        let step = Step { verb, nodes };
        let outcome = take(&step, self, &mut |text| said.push(text));
        said.retain(|said| !matches!(said, Said::Remark(_)));
        (outcome, said)
    }
}

fn failed(pairs: &[(&str, &str)]) -> Outcome {
    let pairs = pairs.iter();
    Outcome {
        failed: pairs
            .map(|(node, why)| (node.to_string(), why.to_string()))
            .collect(),
    }
}

fn route() -> Verb {
    Verb::Route {
        new: "10.1.0.12".to_string(),
        old: Some("10.1.0.11".to_string()),
    }
}

#[test]
fn a_node_without_the_old_route_command_has_its_route_all_the_same() {
    let mut fake = Fake::default();
    let said = "n1: bash: line 1: route: command not found\nn2: SIOCADDRT: File exists\n";
    fake.answers.insert("xdsh -v", (said, "", false));
    let (outcome, said) = fake.take(route());
    assert_eq!((outcome, said), (Outcome::default(), Vec::new()));
    let calls = ["xdsh -v n1,n2", "route 10.1.0.12 Some(\"10.1.0.11\") n1,n2"];
    assert_eq!(fake.calls, calls);
}

#[test]
fn a_node_that_keeps_its_dead_route_has_failed() {
    let mut fake = Fake::default();
    let error = "n2: Error: Permission denied\n";
    fake.answers.insert("route", ("", error, false));
    let (outcome, _) = fake.take(route());
    assert_eq!(
        outcome,
        failed(&[("n2", "default route: Permission denied")])
    );
    // One that could not be reached is not asked a second time.
    let mut fake = Fake::default();
    let error = "n2: Error: ssh: no route to host\n";
    fake.answers.insert("xdsh -v", ("", error, false));
    let (outcome, _) = fake.take(route());
    assert_eq!(outcome, failed(&[("n2", "xdsh: ssh: no route to host")]));
    assert!(fake.calls[1].ends_with(" n1"), "{:?}", fake.calls);
}

#[test]
fn scripts_run_only_where_the_new_master_is_known() {
    let mut fake = Fake::default();
    let error = "n1: Error: timed out\n";
    fake.answers.insert("updatenode -s", ("", error, false));
    let (outcome, _) = fake.take(Verb::Scripts(vec!["syslog".to_string()]));
    assert_eq!(outcome, failed(&[("n1", "updatenode: timed out")]));
    assert_eq!(fake.calls, ["updatenode -s n1,n2", "updatenode -P n2"]);
}

#[test]
fn a_dead_service_node_and_silent_nodes_are_named_and_no_failure() {
    let mut fake = Fake::default();
    let error = "sn1: Error: no route to host\n";
    fake.answers.insert("xdsh -v", ("", error, false));
    let (outcome, said) = fake.take(Verb::ForgetDhcp("sn1".to_string()));
    assert_eq!(outcome, Outcome::default());
    let text = "sn1: its DHCP server was not told to forget the nodes: no route to host";
    assert_eq!(said, [Said::Info(text.to_string())]);
    let (outcome, said) = fake.take(Verb::Rebind);
    assert_eq!(outcome, Outcome::default());
    let text = "n1: its DHCP client was not asked: no route to host";
    assert_eq!((said.len(), &said[0]), (2, &Said::Info(text.to_string())));
}

#[test]
fn a_failure_that_names_nobody_is_everybodys() {
    let mut fake = Fake::default();
    fake.answers.insert(
        "nodeset osimage=img",
        ("", "Error: image is not complete\n", false),
    );
    let (outcome, said) = fake.take(Verb::BootFiles("osimage=img".to_string()));
    let why = "nodeset: image is not complete";
    assert_eq!(outcome, failed(&[("n1", why), ("n2", why)]));
    assert_eq!(said, [Said::Failed(format!("n[1-2]: {why}"))]);
}
