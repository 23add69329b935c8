//! What holds for any text and any set of names.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use noderange::{HARD_LIMIT, Names, Op, Options, expand, fold};
use proptest::prelude::*;

struct Nodes(BTreeSet<String>);

impl Names for Nodes {
    fn is_node(&self, name: &str) -> bool {
        self.0.contains(name)
    }
    fn nodes(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(self.0.iter().map(String::as_str))
    }
    fn group(&self, name: &str) -> Result<Option<Vec<String>>, String> {
        Ok((name == "all").then(|| self.0.iter().cloned().collect()))
    }
    fn select(&self, attribute: &str, op: Op, value: &str) -> Result<Option<Vec<String>>, String> {
        let nodes = self
            .0
            .iter()
            .filter(|node| (*node == value) == (op == Op::Equal));
        Ok((attribute == "t.c").then(|| nodes.cloned().collect()))
    }
}

fn options() -> Options {
    Options {
        files: None,
        ..Options::default()
    }
}

fn some() -> Nodes {
    Nodes(["n1", "n2", "n10", "r1c1", "a-1"].map(String::from).into())
}

/// The folded names are a range of exactly these names, which not even strictness refuses; in a file
/// too.
fn folds_back(names: &BTreeSet<String>) {
    let folded = fold(names.iter().map(String::as_str));
    let nodes = Nodes(names.clone());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{folded}\n")).unwrap();
    for range in [folded.clone(), format!("^{}", file.path().display())] {
        let strict = Options {
            strict: true,
            ..Options::default()
        };
        let found = expand(&range, &nodes, &strict).unwrap();
        assert_eq!(&found.nodes, names, "{folded}");
        assert!(found.missed.is_empty(), "{folded}");
    }
}

proptest! {
    #[test]
    fn folding_loses_nothing(names in prop::collection::btree_set("[a-c]{1,2}[0-9]{0,3}[-._]?[0-9]{0,2}[a-b]?", 0..60)) {
        folds_back(&names);
    }

    #[test]
    fn folding_loses_no_name_that_a_node_can_have(names in prop::collection::btree_set("[-A-Za-z0-9._]{1,12}|[a-z]{1,3}-?0{0,3}[0-9]{1,3}(-[a-z]{1,3}0?[0-9])?(\\.[a-z]{1,4}){0,2}", 0..200)) {
        folds_back(&names);
    }

    #[test]
    fn folding_loses_no_name_at_all(names in prop::collection::btree_set("[^\\\\]{1,8}", 0..30)) {
        folds_back(&names);
    }

    #[test]
    fn any_bytes_end(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        for strict in [false, true] {
            let _ = expand(&text, &some(), &Options { strict, ..options() });
        }
    }

    #[test]
    fn any_text_ends(text in "[-n0-9@,()\\[\\]:+^/=~!. ]{0,40}|\\PC{0,30}") {
        if let Ok(found) = expand(&text, &some(), &options()) {
            prop_assert!(found.nodes.iter().all(|node| some().is_node(node)));
        }
    }

    #[test]
    fn without_verification_too(text in "[-n0-3@,()\\[\\]:+]{0,30}") {
        let options = Options { verify: false, ..options() };
        if let Ok(found) = expand(&text, &some(), &options) {
            prop_assert!(found.missed.is_empty() || found.missed.iter().all(|name| name.len() < 200));
        }
    }
}

/// Every plain name is a node: a million of them are soon made.
struct Every;

impl Names for Every {
    fn is_node(&self, name: &str) -> bool {
        name.bytes().all(|byte| byte.is_ascii_alphanumeric())
    }
    fn nodes(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(std::iter::empty())
    }
    fn group(&self, _name: &str) -> Result<Option<Vec<String>>, String> {
        Ok(None)
    }
    fn select(&self, _: &str, _: Op, _: &str) -> Result<Option<Vec<String>>, String> {
        Ok(None)
    }
}

#[test]
fn there_is_an_end_to_everything() {
    let options = options();
    for (range, names) in [
        // Names that are no nodes come to an end as well.
        ("n[1-99999999]", &some() as &dyn Names),
        ("n1+99999999", &Every),
        ("n1+99999999999999999999999", &Every),
        ("n[1-999999]x[1-999999]", &Every),
        ("n00000000-n99999999", &Every),
        ("n[000000009-000000007]", &Every),
    ] {
        let error = expand(range, names, &options).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("noderange: more than {HARD_LIMIT} names"),
            "{range}"
        );
    }
    assert!(expand(&"(".repeat(1000), &some(), &options).is_err());
    let deep = format!("{}n1{}", "(".repeat(1000), ")".repeat(1000));
    assert!(expand(&deep, &some(), &options).is_err());
    assert!(expand(&"n".repeat(17 << 20), &some(), &options).is_err());
    let few = Options {
        max_nodes: 2,
        ..options
    };
    assert!(expand("all", &some(), &few).is_err());
    assert_eq!(
        expand("all,-r1c1,-a-1,-n10", &some(), &few)
            .unwrap()
            .nodes
            .len(),
        2
    );
}

#[test]
fn files_are_refused_where_none_may_be_read() {
    let error = expand("n1,^/etc/passwd", &some(), &options()).unwrap_err();
    assert!(error.to_string().contains("no file may be read"), "{error}");
}

#[test]
fn a_number_without_a_prefix_is_an_error() {
    let bare = Options {
        prefix: String::new(),
        ..options()
    };
    assert!(expand("5", &some(), &bare).is_err());
}

#[test]
fn a_folded_cluster_with_gaps_is_a_range_again() {
    let names = (1..6_000).filter(|i| i % 3 != 0).map(|i| format!("n{i}"));
    folds_back(&names.collect());
    let names = (0..100).flat_map(|r| (0..20).map(move |c| format!("r{r:03}c{c:02}")));
    folds_back(&names.collect());
}

/// What a range means, and what it warns of; the same range is an error when strict.
fn warned(range: &str) -> (String, Vec<String>) {
    let found = expand(range, &some(), &options()).unwrap();
    let strict = Options {
        strict: true,
        ..options()
    };
    let refused = expand(range, &some(), &strict).map_err(|error| error.to_string());
    let warnings: Vec<String> = found.warnings.iter().map(ToString::to_string).collect();
    match warnings.first() {
        Some(first) => assert_eq!(refused, Err(format!("noderange: {first} (strict)"))),
        None => assert!(refused.is_ok(), "{range}"),
    }
    (
        found.nodes.into_iter().collect::<Vec<_>>().join(" "),
        warnings,
    )
}

#[test]
fn accidents_are_xcats_and_are_said() {
    for (range, nodes, warning) in [
        ("n2-n1", "", "n2-n1: names no node: it goes down"),
        ("n[2-1]", "", "[2-1]: names no node: it goes down"),
        (
            "n001-n2",
            "",
            "n001-n2: names no node: its first number is longer than its last",
        ),
        (
            "n1-n02",
            "n1 n2",
            "n1-n02: counts without leading zeros: only its last number has some",
        ),
        (
            "n1:n2:n10",
            "n1 n2",
            "n1:n2:n10: ends at its second name: a range has two ends",
        ),
        (
            "n1+x",
            "n1",
            "n1+x: counts as far as there are digits: the rest is no number",
        ),
        (
            "n1+1+9",
            "n1 n2",
            "n1+1+9: counts as far as there are digits: the rest is no number",
        ),
        (
            "all@-n1",
            "n1",
            "all@-n1: excludes nothing: behind @ a minus is ignored",
        ),
        (
            "t.nosuch==x,n1",
            "n1",
            "t.nosuch==x: names no node: no table has this column",
        ),
        (
            "t.c===n1",
            "",
            "t.c===n1: compares with a value that begins with =",
        ),
        (
            "/n1|n2",
            "n1 n10 n2",
            "/n1|n2: also matches names that only begin or only end so: | parts the whole pattern",
        ),
    ] {
        assert_eq!(
            warned(range),
            (nodes.into(), vec![warning.into()]),
            "{range}"
        );
    }
    for (range, nodes) in [
        ("n1,-", "n1"),
        ("n1@", "n1"),
        ("@n1", ""),
        ("@(n1)", ""),
        ("n1,-()", "n1"),
        ("n1,^", "n1"),
        ("-(n1),n2", "n1 n2"),
        ("n1@-(n2)", "n1 n2"),
    ] {
        let (found, warnings) = warned(range);
        assert_eq!(found, nodes, "{range}");
        assert_eq!(warnings.len(), 1, "{range}: {warnings:?}");
        assert!(
            warnings[0].contains("nothing stands before or behind"),
            "{range}: {warnings:?}"
        );
    }
    let (found, warnings) = warned("n009-n007");
    assert_eq!(found, "");
    assert!(warnings[0].starts_with("n009-n007: counts up to the end of its width: "));
    for range in [
        "n1-n2",
        "all,-n1",
        "(all)@(n1)",
        "(all),-(n1)",
        "n1,,n2",
        "",
        "/n[1|2]",
        "n08-n100",
    ] {
        assert_eq!(warned(range).1, Vec::<String>::new(), "{range}");
    }
}

#[test]
fn an_unknown_attribute_never_lets_nodes_in() {
    for range in [
        "all,-t.nosuch==x",
        "all,-(n1,t.nosuch==x)",
        "-n1@t.nosuch~x,all",
    ] {
        let error = expand(range, &some(), &options()).unwrap_err();
        assert!(
            error.to_string().contains("no such attribute"),
            "{range}: {error}"
        );
    }
}

#[test]
fn only_regular_files_are_opened() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(path("names"), "n1: x\nnosuch\n^names\nn2\n").unwrap();
    nix::unistd::mkfifo(path("fifo").as_str(), nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::os::unix::fs::symlink("fifo", path("link")).unwrap();
    std::os::unix::fs::symlink("names", path("good")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
    let here = Options {
        files: Some(dir.path().into()),
        ..Options::default()
    };
    for name in ["fifo", "link", "socket", ".", "/dev/zero", "/dev/tty"] {
        let error = expand(&format!("^{name}"), &some(), &here).unwrap_err();
        let wanted = format!("noderange: {name}: not a regular file");
        assert_eq!(error.to_string(), wanted);
    }
    let error = expand("n1,^nosuch", &some(), &here).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("noderange: nosuch: No such file"),
        "{error}"
    );
    let found = expand("^good", &some(), &here).unwrap();
    assert_eq!(found.nodes, ["n1", "n2"].map(String::from).into());
    let warnings: Vec<String> = found.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "^good: ^names: is skipped: a file cannot name another one",
            "^good: goes on without names that are no nodes: nosuch",
        ]
    );
    let added = expand("n10,-^names", &some(), &here).unwrap();
    assert_eq!(added.nodes.len(), 3);
    assert_eq!(
        added.warnings[0].to_string(),
        "n10,-^names: adds its nodes: a file is neither excluded nor intersected"
    );
    std::fs::write(path("odd"), [0xff, b'\n']).unwrap();
    assert!(expand("^odd", &some(), &here).is_err());
}

#[test]
fn of_very_many_accidents_only_the_first_are_kept() {
    let range: Vec<String> = (1..500).map(|i| format!("n{}-n{}", i + 1, i)).collect();
    let found = expand(&range.join(","), &some(), &options()).unwrap();
    assert_eq!(found.warnings.len(), 64);
    let long = format!("n{}-n1", "2".repeat(3000));
    let found = expand(&long, &some(), &options()).unwrap();
    assert!(found.warnings[0].to_string().len() < 200);
}
