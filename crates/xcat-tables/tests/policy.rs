//! Policy: a test for every sentence of the module's description.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use proptest::prelude::*;
use xcat_tables::Tables;
use xcat_tables::policy::{Call, Policy, Request, Verdict};

const COLUMNS: &str =
    "#priority,name,host,commands,noderange,parameters,time,rule,comments,disable";

/// Four nodes in two racks, and these rows of the policy table (CSV, in the columns' order).
fn tables(rows: &[&str]) -> support::Scratch {
    let scratch = support::empty();
    let dumps = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| std::fs::write(dumps.path().join(name), text).unwrap();
    let nodelist = "#node,groups,status,disable\nn1,\"all,r1\",,\nn2,\"all,r1\",,\nn3,\"all,r2\",,\n\
                    n4.cluster,\"all,r2\",,\n";
    write("nodelist.csv", nodelist.into());
    write(
        "site.csv",
        "#key,value,comments,disable\nmaster,mn.cluster,,\nexcludenodes,n2,,\n".into(),
    );
    write("noderes.csv", "#node,xcatmaster,disable\nr2,sn1,\n".into());
    let rows: String = rows.iter().map(|row| format!("{row}\n")).collect();
    write("policy.csv", format!("{COLUMNS}\n{rows}"));
    scratch.tables.load(dumps.path()).unwrap();
    scratch
}

fn policy(rows: &[&str]) -> Policy {
    Policy::read(&tables(rows).tables).unwrap()
}

/// alice on mn, an xCAT command.
fn plain(command: &str, nodes: &str) -> Request {
    Request {
        user: "alice".into(),
        hosts: vec!["mn".into(), "mn.cluster".into()],
        call: Call::new(command, []),
        stands_for: Vec::new(),
        nodes: nodes.split(',').map(String::from).collect(),
    }
}

/// nodereboot, which is rpower and rsetboot where no row names it.
fn nodereboot(nodes: &str) -> Request {
    Request {
        call: Call::new("nodereboot", ["-w"]),
        stands_for: vec![
            Call::new("rpower", ["off"]),
            Call::new("rpower", ["on"]),
            Call::new("rsetboot", ["net"]),
        ],
        ..plain("nodereboot", nodes)
    }
}

#[track_caller]
fn allowed(rows: &[&str], request: &Request) {
    assert_eq!(policy(rows).judge(request), Verdict::Allowed, "{rows:?}");
}

#[track_caller]
fn refused(rows: &[&str], request: &Request, wanted: &str) {
    match policy(rows).judge(request) {
        Verdict::Refused { why } => assert!(why.contains(wanted), "{rows:?}: {why}"),
        Verdict::Allowed => panic!("{rows:?}: allowed"),
    }
}

#[test]
fn no_row_no_permission() {
    refused(
        &[],
        &plain("rpower", "n1,n2,n3"),
        "no policy row allows rpower on n[1-3]",
    );
}

#[test]
fn only_three_words_allow() {
    for word in ["allow", "accept", "trusted", "Allow", "ACCEPT"] {
        allowed(&[&format!("1,alice,,,,,,{word},,")], &plain("rpower", "n1"));
    }
    for word in ["deny", "reject", "Deny"] {
        let row = format!("1,alice,,,,,,{word},,");
        refused(
            &[&row],
            &plain("rpower", "n1"),
            "policy row \"1\" denies rpower on n1",
        );
    }
    for word in [
        "disallow",
        "not allowed",
        "allow ",
        "untrusted",
        "alow",
        "yes",
        "",
    ] {
        let row = format!("7.5,alice,,,,,,\"{word}\",,");
        // Not even the rows behind it count.
        let rows = [row.as_str(), "8,alice,,,,,,allow,,"];
        refused(&rows, &plain("rpower", "n1"), "policy row \"7.5\": rule: ");
    }
}

#[test]
fn the_first_row_by_number_decides() {
    let rows = ["10,alice,,,,,,allow,,", "9.5,alice,,,,,,deny,,"];
    refused(&rows, &plain("rpower", "n1"), "row \"9.5\"");
    allowed(
        &["10,alice,,,,,,deny,,", "9,alice,,,,,,allow,,"],
        &plain("rpower", "n1"),
    );
    allowed(
        &["-1,alice,,,,,,allow,,", "0,alice,,,,,,deny,,"],
        &plain("rpower", "n1"),
    );
}

#[test]
fn of_equal_priorities_those_that_deny_come_first() {
    let rows = ["4.1,alice,,,,,,allow,,", "4.10,alice,,,,,,deny,,"];
    refused(&rows, &plain("rpower", "n1"), "row \"4.10\" denies");
    let rows = ["4.10,alice,,,,,,deny,,", "4.1,alice,,,,,,allow,,"];
    refused(&rows, &plain("rpower", "n1"), "row \"4.10\" denies");
    let findings = policy(&rows).findings();
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(!findings[0].refuses && findings[0].column == "priority");
}

#[test]
fn a_priority_that_is_no_number_could_be_the_first() {
    for priority in ["", "high", "1x", "1e9999", "0x1", "inf", "NaN", "1 ", "-"] {
        let row = format!("\"{priority}\",alice,,,,,,allow,,");
        let rows = ["1,alice,,,,,,allow,,", row.as_str()];
        refused(
            &rows,
            &plain("rpower", "n1"),
            &format!("row {priority:?}: priority: "),
        );
    }
    // Certainly about somebody else.
    allowed(
        &["high,bob,,,,,,deny,,", "1,alice,,,,,,allow,,"],
        &plain("rpower", "n1"),
    );
}

#[test]
fn names_hosts_and_commands_are_compared_whole() {
    let request = plain("rpower", "n1");
    for row in [
        "1,alice,,,,,,allow,,",
        "1,*,,,,,,allow,,",
        "1,,,,,,,allow,,",
        "1,alice,mn,,,,,allow,,",
        "1,alice,mn.cluster,,,,,allow,,",
        "1,alice,*,*,*,*,*,allow,,",
        "1,alice,,rpower,,,,allow,,",
        "1,alice,,\"nodeset,rpower,\",,,,allow,,",
    ] {
        allowed(&[row], &request);
    }
    for row in [
        "1,Alice,,,,,,allow,,",
        "1,alic,,,,,,allow,,",
        "1,alice,login1,,,,,allow,,",
        "1,alice,,rpowe,,,,allow,,",
        "1,alice,,rpower.,,,,allow,,",
    ] {
        refused(&[row], &request, "no policy row allows rpower on n1");
    }
}

#[test]
fn lists_and_patterns_where_xcat_has_none_cannot_be_read() {
    for (row, column) in [
        ("1,\"bob,alice\",,,,,,deny,,", "name"),
        ("1,al*,,,,,,deny,,", "name"),
        ("1,\" \",,,,,,deny,,", "name"),
        ("1,alice,\"mn,login1\",,,,,deny,,", "host"),
        ("1,alice,,\"nodeset, rpower\",,,,deny,,", "commands"),
        ("1,alice,,\"rpower,*\",,,,deny,,", "commands"),
        ("1,alice,,\",\",,,,deny,,", "commands"),
        ("1,0,,,,,,allow,,", "name"),
        ("1,alice,,0,,,,allow,,", "commands"),
    ] {
        let rows = [row, "2,alice,,,,,,allow,,"];
        refused(
            &rows,
            &plain("rpower", "n1"),
            &format!("row \"1\": {column}: "),
        );
    }
}

#[test]
fn what_another_condition_excludes_need_not_be_readable() {
    for row in [
        "1,bob,,,,,,alow,,",
        "1,bob,\"x,y\",,\"nosuch\",(,noon,alow,,",
        "1,,login1,,,,,alow,,",
        "1,,,makedns,nosuch,,,alow,,",
    ] {
        allowed(&[row, "2,alice,,,,,,allow,,"], &plain("rpower", "n1"));
    }
    // Rows behind the one that decided are not looked at.
    allowed(
        &["1,alice,,,,,,allow,,", "2,alice,,,,,,alow,,"],
        &plain("rpower", "n1"),
    );
}

#[test]
fn parameters_are_a_pattern_of_perl() {
    let stat = |arguments: &[&str]| Request {
        call: Call::new("rpower", arguments.iter().copied()),
        ..plain("rpower", "n1")
    };
    let rows = ["1,alice,,rpower,,^stat(us)?$,,allow,,"];
    allowed(&rows, &stat(&["stat"]));
    allowed(&rows, &stat(&["status"]));
    refused(&rows, &stat(&["off"]), "no policy row");
    refused(&rows, &stat(&[]), "no policy row");
    // Joined with blanks, found anywhere.
    allowed(&["1,alice,,,,on -V,,allow,,"], &stat(&["on", "-V"]));
    allowed(
        &["1,alice,,,,O,,deny,,", "2,alice,,,,(?i)O,,allow,,"],
        &stat(&["on"]),
    );
    for pattern in ["(?=o)on", "(on", "(?x)o n", "(o)\\1", "o++"] {
        let row = format!("3.3,alice,,,,{pattern},,allow,,");
        refused(&[&row], &stat(&["on"]), "row \"3.3\": parameters: ");
    }
    // Perl's $ would match before the line end.
    for odd in ["stat\n", "st\u{e4}t", "\u{1b}[2J"] {
        refused(&["1,,,,,,,allow,,"], &stat(&[odd]), "not plain text");
    }
}

#[test]
fn any_time_cannot_be_read() {
    refused(
        &["6,alice,,,,,08:00-17:00,allow,,"],
        &plain("rpower", "n1"),
        "row \"6\": time: ",
    );
    let rows = ["6,alice,,,,,noon,deny,,", "7,alice,,,,,,allow,,"];
    refused(&rows, &plain("rpower", "n1"), "row \"6\": time: ");
}

#[test]
fn noderanges() {
    allowed(&["1,alice,,,r1,,,allow,,"], &plain("rpower", "n1,n2"));
    allowed(
        &["1,alice,,,\"n1,n3\",,,allow,,"],
        &plain("rpower", "n1,n3"),
    );
    // Some: those are settled, the others go on.
    let rows = ["1,alice,,,r1,,,allow,,", "2,alice,,,n3,,,allow,,"];
    allowed(&rows, &plain("rpower", "n1,n3"));
    refused(
        &rows,
        &plain("rpower", "n1,n2,n4.cluster"),
        "no policy row allows rpower on n4.cluster",
    );
    // A later denial does not touch what is settled; one that comes first refuses everything.
    allowed(
        &["1,alice,,,r1,,,allow,,", "2,alice,,,all,,,deny,,"],
        &plain("rpower", "n1,n2"),
    );
    let rows = ["1,alice,,,\"n2,n3\",,,deny,,", "2,alice,,,,,,allow,,"];
    refused(
        &rows,
        &plain("rpower", "n1,n2,n3"),
        "row \"1\" denies rpower on n[2-3]",
    );
    allowed(&rows, &plain("rpower", "n1"));
    // Nodes that site.excludenodes takes out of ranges are still denied.
    refused(
        &["1,alice,,,r1,,,deny,,", "2,,,,,,,allow,,"],
        &plain("rpower", "n2"),
        "denies",
    );
}

#[test]
fn noderanges_that_cannot_be_read() {
    for range in [
        "nosuch",
        "\"n1,nosuch\"",
        "n[1-2",
        "(n1",
        "^/etc/passwd",
        "/(",
        "nodehm.nosuch==x",
        "n009-n007",
        "5",
    ] {
        let row = format!("1,alice,,,{range},,,allow,,");
        let rows = [row.as_str(), "2,alice,,,,,,allow,,"];
        refused(&rows, &plain("rpower", "n3"), "row \"1\": noderange: ");
    }
}

#[test]
fn a_program_without_a_row_needs_every_command_that_it_stands_for() {
    allowed(
        &["1,alice,,\"rpower,rsetboot\",,,,allow,,"],
        &nodereboot("n1,n3"),
    );
    allowed(
        &[
            "1,alice,,rpower,,,,allow,,",
            "2,alice,,rsetboot,all,,,allow,,",
        ],
        &nodereboot("n1"),
    );
    allowed(&["1,alice,,,,,,allow,,"], &nodereboot("n1"));
    refused(
        &["1,alice,,rpower,,,,allow,,"],
        &nodereboot("n1"),
        "no policy row allows rsetboot on n1",
    );
    let stat = [
        "1,alice,,rpower,,^stat$,,allow,,",
        "2,alice,,rsetboot,,,,allow,,",
    ];
    refused(
        &stat,
        &nodereboot("n1"),
        "no policy row allows rpower on n1",
    );
    let some = [
        "1,alice,,rpower,r1,,,allow,,",
        "2,alice,,rsetboot,,,,allow,,",
    ];
    refused(
        &some,
        &nodereboot("n1,n3"),
        "no policy row allows rpower on n3",
    );
    // A row for all commands does not pass by an earlier denial.
    let rows = ["1,alice,,rpower,,,,deny,,", "2,alice,,,,,,allow,,"];
    refused(&rows, &nodereboot("n1"), "row \"1\" denies rpower on n1");
}

#[test]
fn a_row_that_names_the_program_decides() {
    allowed(
        &[
            "1,alice,,nodereboot,,,,allow,,",
            "2,alice,,rpower,,,,deny,,",
        ],
        &nodereboot("n1"),
    );
    let rows = ["1,alice,,nodereboot,,,,deny,,", "2,alice,,,,,,allow,,"];
    refused(&rows, &nodereboot("n1"), "denies nodereboot");
    // For some of the nodes; the others need the commands.
    let rows = [
        "1,alice,,nodereboot,r1,,,allow,,",
        "2,alice,,\"rpower,rsetboot\",,,,allow,,",
    ];
    allowed(&rows, &nodereboot("n1,n3"));
    refused(
        &rows[..1],
        &nodereboot("n1,n3"),
        "no policy row allows rpower on n3",
    );
    // Its arguments are matched with its own.
    allowed(&["1,alice,,nodereboot,,^-w$,,allow,,"], &nodereboot("n1"));
    refused(
        &["1,alice,,nodereboot,,^-f$,,allow,,"],
        &nodereboot("n1"),
        "no policy row",
    );
}

#[test]
fn users_that_are_called_like_a_host() {
    for user in ["n1", "N1", "n4.cluster", "n4", "mn.cluster", "mn", "sn1"] {
        let request = Request {
            user: user.into(),
            ..plain("rpower", "n1")
        };
        refused(
            &["1,,,,,,,trusted,,"],
            &request,
            "name of a node or a master",
        );
    }
    for user in ["", "*", "0", "al ice", "alice\n", "alice,bob"] {
        let request = Request {
            user: user.into(),
            ..plain("rpower", "n1")
        };
        refused(
            &["1,,,,,,,trusted,,"],
            &request,
            "no name that policy could know",
        );
    }
}

#[test]
fn a_request_without_nodes() {
    let request = Request {
        nodes: Vec::new(),
        ..plain("rpower", "")
    };
    refused(&["1,,,,,,,allow,,"], &request, "no nodes");
}

#[test]
fn disabled_rows_do_not_exist() {
    refused(
        &["1,alice,,,,,,allow,,1"],
        &plain("rpower", "n1"),
        "no policy row",
    );
    allowed(
        &["1,alice,,,,,,deny,,yes", "2,alice,,,,,,allow,,0"],
        &plain("rpower", "n1"),
    );
    assert!(policy(&["1,\"a,b\",,,,,,alow,,yes"]).findings().is_empty());
}

#[test]
fn findings_name_row_and_column() {
    let policy = policy(&[
        "1,root,,,,,,allow,,",
        "1.2,mn.cluster,,,,,,trusted,,",
        "5,bob,,,,,,disallow,,",
        "6,bob,,,nosuch,(,noon,allow,,",
    ]);
    let found: Vec<String> = policy.findings().iter().map(ToString::to_string).collect();
    let starts = [
        "policy row \"5\": rule: \"disallow\": xCAT takes it for allow",
        "policy row \"6\": parameters: ",
        "policy row \"6\": noderange: nosuch: no such node or group",
        "policy row \"6\": time: ",
    ];
    assert_eq!(found.len(), starts.len(), "{found:?}");
    for (found, start) in found.iter().zip(starts) {
        assert!(found.starts_with(start), "{found}");
    }
}

#[test]
fn tables_without_policy_allow_nothing() {
    let scratch = support::empty();
    let tables: &Tables = &scratch.tables;
    let judged = Policy::read(tables).unwrap().judge(&plain("rpower", "n1"));
    assert!(matches!(judged, Verdict::Refused { .. }));
}

fn cell(values: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![
        8 => proptest::sample::select(values).prop_map(String::from),
        1 => "[ -~]{0,6}".prop_map(|text| text.replace('"', "\"\"")),
    ]
}

prop_compose! {
    fn row()(
        priority in cell(&["1", "2", "3", "4.5", "4.50", "9", "x"]),
        name in cell(&["", "alice", "*", "bob"]),
        host in cell(&["", "mn", "login1"]),
        commands in cell(&["", "rpower", "nodereboot", "rsetboot", "rpower,rsetboot"]),
        noderange in cell(&["", "n1", "r1", "all", "n3", "nosuch"]),
        parameters in cell(&["", "^on$", "off", "-w", "("]),
        time in cell(&["", "", "", "", "noon"]),
        rule in cell(&["allow", "allow", "trusted", "deny", "disallow"]),
        disable in proptest::sample::select(vec!["", "", "", "1"]),
    ) -> [String; 9] {
        [priority, name, host, commands, noderange, parameters, time, rule, disable.into()]
    }
}

/// Keys are unique: the row's number behind a decimal point, or behind the text, keeps them apart.
fn csv(at: usize, row: &[String; 9]) -> String {
    let [
        priority,
        name,
        host,
        commands,
        noderange,
        parameters,
        time,
        rule,
        disable,
    ] = row;
    format!(
        "\"{priority}{}\",\"{name}\",\"{host}\",\"{commands}\",\"{noderange}\",\"{parameters}\",\"{time}\",\"{rule}\",,{disable}",
        if priority.contains('.') {
            at.to_string()
        } else {
            format!(".{at}")
        }
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn a_row_that_denies_at_the_front_never_widens(
        rows in proptest::collection::vec(row(), 0..6),
        mut front in row(),
        nodes in proptest::sample::subsequence(vec!["n1", "n2", "n3", "n4.cluster"], 1..4),
        own in any::<bool>(),
    ) {
        let rows: Vec<String> = rows.iter().enumerate().map(|(at, row)| csv(at, row)).collect();
        let mut request = if own { nodereboot("n1") } else { plain("rpower", "n1") };
        request.nodes = nodes.into_iter().map(String::from).collect();
        let texts: Vec<&str> = rows.iter().map(String::as_str).collect();
        let before = policy(&texts).judge(&request);
        front[0] = "-5".into();
        front[7] = "deny".into();
        let front = csv(99, &front);
        let mut with = vec![front.as_str()];
        with.extend(texts);
        let after = policy(&with).judge(&request);
        prop_assert!(after != Verdict::Allowed || before == Verdict::Allowed, "{with:?}");
    }

    #[test]
    fn judging_never_panics(
        cells in proptest::array::uniform9("\\PC{0,12}"),
        user in any::<String>(),
        command in any::<String>(),
        argument in any::<String>(),
        node in any::<String>(),
    ) {
        let cells = cells.map(|text| text.replace('"', "\"\""));
        let row = format!("\"{}\"", cells[..8].join("\",\""));
        let request = Request {
            user,
            hosts: vec![argument.clone()],
            call: Call::new(&command, [argument.as_str()]),
            stands_for: vec![Call::new("rpower", ["on"])],
            nodes: vec![node, "n1".into()],
        };
        let policy = policy(&[&format!("{row},,")]);
        let _ = policy.findings();
        let _ = policy.judge(&request);
    }
}
