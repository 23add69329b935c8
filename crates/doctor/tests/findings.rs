//! Every check sees the fault it is for, in real tables, and nothing where nothing is wrong.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use doctor::{Check, Finding, Host, Programs, TakeOverError, examine};
use xcat_tables::{Location, Tables};

struct Site {
    dir: tempfile::TempDir,
    tables: Tables,
    host: Host,
}

/// Five nodes of which nothing is wrong, and no service nodes.
fn site() -> Site {
    let dir = tempfile::tempdir().unwrap();
    for name in [
        "tables",
        "programs",
        "clashing",
        "profile.d",
        "xcat/bin",
        "first",
    ] {
        std::fs::create_dir_all(dir.path().join(name)).unwrap();
    }
    let tables = Tables::open(&Location::sqlite(dir.path().join("tables"))).unwrap();
    let at = |name: &str| dir.path().join(name);
    let host = Host {
        proc: "/proc".into(),
        path: std::env::join_paths([at("first"), at("programs")]).unwrap(),
        xcat_root: at("xcat"),
        programs: Programs {
            directory: at("programs"),
            clashing: at("clashing"),
            taken: at("taken"),
            profile: at("profile.d"),
        },
        run_dir: at("run"),
        setting: "a test".into(),
    };
    let site = Site { dir, tables, host };
    site.store(
        "nodelist",
        "#node,groups,disable\nn1,\"all,g1\",\nn2,\"all,g1\",\nn3,all,\nn4,all,\nold,all,1\n\
         mn,__mgmtnode,\n",
    );
    site.store("nodehm", "#node,mgt\ng1,ipmi\nn3,openbmc\nn4,hmc\nold,\n");
    site.store("ipmi", "#node,bmc\ng1,|n(\\d+)|10.0.0.($1)|\n");
    site.store("openbmc", "#node,bmc\nn3,10.0.0.3\n");
    site.store("mac", "#node,mac\nn1,a\nn2,b\nn3,c\nn4,d\n");
    site.store(
        "postscripts",
        "#node,postscripts\nxcatdefaults,syslog\nservice,servicenode\n",
    );
    site.store("prescripts", "#node,begin\nn[1-3],x\n");
    site.store(
        "policy",
        "#priority,name,commands,rule\n1,root,,allow\n1.2,mn,,trusted\n2,,getpostscript,allow\n",
    );
    site
}

impl Site {
    fn store(&self, table: &str, rows: &str) {
        let rows = rows.as_bytes();
        self.tables.restore(table, table, rows, false).unwrap();
    }

    fn add(&self, table: &str, rows: &str) {
        let rows = rows.as_bytes();
        self.tables.restore(table, table, rows, true).unwrap();
    }

    fn program(&self, path: &str) {
        let path = self.dir.path().join(path);
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn checks(&self) -> Vec<Check> {
        let before = listing(self.dir.path());
        let checks = examine(&self.tables, &self.host).unwrap();
        assert_eq!(listing(self.dir.path()), before, "a look changes nothing");
        checks
    }

    /// The findings, all of which come from one check.
    #[track_caller]
    fn findings(&self, name: &str) -> Vec<Finding> {
        let checks = self.checks();
        for check in &checks {
            assert!(check.name == name || check.findings.is_empty(), "{check:?}");
        }
        let check = checks.into_iter().find(|check| check.name == name);
        check.unwrap().findings
    }

    /// The one finding, with these words in it.
    #[track_caller]
    fn finds(&self, name: &str, words: &[&str]) {
        let findings = self.findings(name);
        assert_eq!(findings.len(), 1, "{findings:?}");
        has(&findings[0], words);
    }
}

#[track_caller]
fn has(finding: &Finding, words: &[&str]) {
    let text = format!("{}: {}: {}", finding.subject, finding.what, finding.fix);
    for word in words {
        assert!(text.contains(word), "{word} is not in: {text}");
    }
}

fn listing(dir: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(listing(&path));
        } else {
            found.push((path.clone(), std::fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}

#[test]
fn nothing_is_wrong() {
    let site = site();
    let checks = site.checks();
    for check in &checks {
        assert_eq!(check.findings, [], "{}", check.name);
    }
    let (subject, text) = &checks[0].facts[0];
    assert!(subject.starts_with("SQLite:"), "{subject}");
    assert!(text.contains("a test; 5 nodes"), "{text}");
    assert_eq!(checks[1].facts.len(), 2, "two ports");
}

#[test]
fn an_empty_directory_is_a_cluster_without_nodes() {
    let dir = tempfile::tempdir().unwrap();
    let mut site = site();
    site.tables = Tables::open(&Location::sqlite(dir.path())).unwrap();
    assert!(site.checks().iter().all(|check| check.findings.is_empty()));
    assert_eq!(dir.path().read_dir().unwrap().count(), 0);
}

#[test]
fn tables_that_others_may_open() {
    let site = site();
    let file = site.dir.path().join("tables/ipmi.sqlite");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    site.finds("tables", &["ipmi.sqlite: others", "chmod go="]);
}

#[test]
fn sqlite_with_service_nodes() {
    let site = site();
    site.store("servicenode", "#node,tftpserver\nn1,1\n");
    site.finds("tables", &["1 service nodes", "xcat-tables(5)"]);
}

#[test]
fn who_has_the_port() {
    let site = site();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    site.store("site", &format!("#key,value\nxcatdport,{port}\n"));
    let checks = site.checks();
    let me = format!("(process {})", std::process::id());
    let (subject, who) = checks[1].facts[0].clone();
    assert_eq!(subject, format!("port {port}"));
    assert!(who.ends_with(&me), "{who}");
    drop(socket);
    let checks = site.checks();
    assert_eq!(
        (checks[1].facts[0].1.as_str(), &checks[1].findings[..]),
        ("nobody", &[][..])
    );
    // With xCAT's daemon installed that is wrong. Port 3002 may be anybody's on this machine.
    site.program("xcat/bin/xcatd");
    let findings = site.findings("ports");
    has(
        &findings[0],
        &[&subject, "nobody listens", "systemctl start xcatd"],
    );
    site.store("site", "#key,value\nxcatdport,x\n");
    has(
        &site.findings("ports")[0],
        &["site.xcatdport", "is no port"],
    );
}

#[test]
fn commands_that_another_one_hides() {
    let site = site();
    // What is not installed is not hidden.
    site.program("xcat/bin/snmove");
    assert_eq!(site.findings("commands"), []);
    site.program("programs/rflash");
    site.program("programs/snmove");
    site.program("first/rflash");
    let findings = site.findings("commands");
    assert_eq!(findings.len(), 2, "{findings:?}");
    has(
        &findings[0],
        &[
            "rflash: ",
            "first/rflash is found first",
            "--take-over rflash",
        ],
    );
    has(
        &findings[1],
        &["snmove: ", "xcat/bin/snmove has the same name"],
    );
    // A shell goes past what is no program.
    for name in ["first/rflash", "xcat/bin/snmove"] {
        let plain = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(site.dir.path().join(name), plain).unwrap();
    }
    assert_eq!(site.findings("commands"), []);
}

#[test]
fn a_name_of_xcats_is_its_own_until_it_is_taken_over_and_again_afterwards() {
    let mut site = site();
    let facts = |site: &Site| {
        let checks = site.checks();
        let commands = checks.into_iter().find(|check| check.name == "commands");
        commands.unwrap().facts
    };
    // Without xCAT, and without a link: nobody would find it.
    site.program("clashing/rflash");
    let alone = site.findings("commands");
    assert_eq!(alone.len(), 1, "{alone:?}");
    has(
        &alone[0],
        &["rflash: no shell finds it", "--take-over rflash"],
    );
    // Beside xCAT that is as it should be, and said.
    site.program("xcat/bin/rflash");
    assert_eq!(site.findings("commands"), []);
    let said = facts(&site);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].1.contains("xcat/bin/rflash; ours is "), "{said:?}");

    let before = listing(site.dir.path());
    let programs = site.host.programs.clone();
    let at = |name: &str| site.dir.path().join(name);
    assert_eq!(programs.take_over("rflash").unwrap(), at("clashing/rflash"));
    let taken = listing(site.dir.path());
    programs.take_over("rflash").unwrap();
    assert_eq!(listing(site.dir.path()).len(), taken.len());
    assert_eq!(
        std::fs::read_link(at("taken/rflash")).unwrap(),
        at("clashing/rflash")
    );
    // xCAT's profile, then ours, as a login shell reads them.
    std::fs::write(
        at("profile.d/xcat.sh"),
        format!("PATH={}:$PATH\nexport PATH\n", at("xcat/bin").display()),
    )
    .unwrap();
    let script = "for file in profile.d/*.sh; do . ./$file; done; . profile.d/zz-xcat-nodetools.sh
        command -v rflash; echo $PATH";
    let shell = std::process::Command::new("sh")
        .args(["-c", script])
        .current_dir(site.dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8(shell.stdout).unwrap();
    let (found, path) = text.split_once('\n').unwrap();
    assert_eq!(Path::new(found), at("taken/rflash"));
    assert_eq!(path.matches("/taken").count(), 1, "twice is once: {path}");
    // This process has not read it, a login shell has.
    let stale = site.findings("commands");
    assert_eq!(stale.len(), 0, "xCAT's is not in this PATH: {stale:?}");
    site.program("first/rflash");
    let stale = site.findings("commands");
    assert_eq!(stale.len(), 1, "{stale:?}");
    has(&stale[0], &["rflash: taken over, and ", "log in again"]);
    site.host.path = path.trim_end().into();
    assert_eq!(site.findings("commands"), []);
    assert!(facts(&site)[0].1.starts_with("taken over: "));

    std::fs::remove_file(at("first/rflash")).unwrap();
    std::fs::remove_file(at("profile.d/xcat.sh")).unwrap();
    // A second name keeps the file, the last one takes it away.
    site.program("clashing/snmove");
    programs.take_over("snmove").unwrap();
    programs.give_back("rflash").unwrap();
    assert!(at("profile.d/zz-xcat-nodetools.csh").exists());
    programs.give_back("snmove").unwrap();
    programs.give_back("snmove").unwrap();
    std::fs::remove_file(at("clashing/snmove")).unwrap();
    assert_eq!(listing(site.dir.path()), before);

    let unknown = programs.take_over("../../bin/sh").unwrap_err();
    assert!(matches!(unknown, TakeOverError::Unknown(_)), "{unknown:?}");
    let missing = programs.take_over("snmove").unwrap_err();
    assert!(matches!(missing, TakeOverError::Missing(_)), "{missing:?}");
    assert_eq!(listing(site.dir.path()), before);
}

#[test]
fn nodes_without_management_controller_address_or_mac() {
    let site = site();
    site.add("nodelist", "#node,groups\nn5,all\nn6,all\nn7,all\nsw,all\n");
    site.add(
        "nodehm",
        "#node,mgt,power\nn6,hmc,openbmc\nn7,ipmi,hmc\nsw,switch,\n",
    );
    site.add("mac", "#node,mac\nn5,e\n");
    let findings = site.findings("nodes");
    assert_eq!(findings.len(), 3, "{findings:?}");
    has(
        &findings[0],
        &["n5: no nodehm.mgt", "xtab set n5 nodehm.mgt="],
    );
    // The power column decides where there is one.
    has(&findings[1], &["n6: no openbmc.bmc"]);
    has(&findings[2], &["n[6-7]: no mac.mac"]);
}

#[test]
fn rows_of_nodes_that_are_gone() {
    let site = site();
    site.add("mac", "#node,mac\ngone1,a\ngone2,b\nold,c\n");
    site.finds(
        "strays",
        &["mac: gone[1-2]: ", "xtab set -d -k node=gone1 mac"],
    );
}

#[test]
fn values_that_cannot_be_evaluated() {
    let site = site();
    site.store("ipmi", "#node,bmc\ng1,|n(\\d+|x($1)|\n");
    site.store("hosts", "#node,ip\nn3,/n(/x/\n");
    let findings = site.findings("values");
    assert_eq!(findings.len(), 2, "{findings:?}");
    has(
        &findings[0],
        &["hosts.ip, row of n3: ", "xtab set n3 hosts.ip=VALUE"],
    );
    has(
        &findings[1],
        &[
            "ipmi.bmc, row of group g1, for n[1-2]: ",
            "xtab set -k node=g1 ipmi.bmc=",
        ],
    );
}

/// Only the finding on the engine comes along: service nodes cannot reach SQLite.
fn pool(noderes: &str) -> Vec<Finding> {
    let site = site();
    site.add("nodelist", "#node,groups\nsn1,\"\"\nsn2,\"\"\n");
    site.add("nodehm", "#node,mgt\nsn1,hmc\nsn2,hmc\n");
    site.add("mac", "#node,mac\nsn1,x\nsn2,y\n");
    site.store("servicenode", "#node,tftpserver\nsn1,1\nsn2,1\n");
    site.store(
        "hosts",
        "#node,ip,hostnames\nsn2,10.9.0.2,\"sn2-ib0 sn2-eth1\"\n",
    );
    site.store("noderes", noderes);
    let mut pools = Vec::new();
    for check in site.checks() {
        match check.name {
            "pools" => pools = check.findings,
            "tables" => assert_eq!(check.findings.len(), 1),
            _ => assert_eq!(check.findings, [], "{}", check.name),
        }
    }
    pools
}

#[test]
fn pools_of_service_nodes() {
    let head = "#node,servicenode,xcatmaster,monserver\n";
    let found = |row: &str, words: &[&str]| {
        let findings = pool(&format!("{head}{row}\n"));
        assert_eq!(findings.len(), 1, "{row}: {findings:?}");
        has(&findings[0], words);
    };
    for good in [
        "g1,\"sn1,sn2\",sn1,",
        "g1,\"sn1,sn2\",sn1-face,\"sn1,sn1-face\"",
        "g1,\"sn2,sn1\",sn2-ib0,",
        "g1,sn1,,",
    ] {
        assert_eq!(pool(&format!("{head}{good}\n")), [], "{good}");
    }
    found(
        "g1,\"sn1,sn2\",,",
        &["pool \"sn1,sn2\" of n[1-2]", "no noderes.xcatmaster"],
    );
    found(
        "g1,\"sn1,sn2\",10.9.0.2,",
        &[
            "is sn2, which is not the first",
            "noderes.servicenode=sn2,sn1",
        ],
    );
    found(
        "g1,\"sn1, sn2\",sn1,",
        &["blanks", "noderes.servicenode=sn1,sn2"],
    );
    found("g1,\"sn1,sn1\",sn1,", &["one name twice"]);
    found("g1,\"sn1,sn9\",sn1,", &["sn9 is no node"]);
    found("g1,\"sn1,n4\",sn1,", &["n4 is no service node"]);
    found(
        "g1,\"sn1,sn2\",sn1,sn1",
        &["noderes.monserver sn1 has one name"],
    );
}

#[test]
fn policy_rows_that_mean_something_else() {
    let site = site();
    let head = "#priority,name,commands,noderange,parameters,rule\n1,root,,,,allow\n";
    let found = |rows: &str, words: &[&str]| {
        site.store("policy", &format!("{head}{rows}\n"));
        site.finds("policy", words);
    };
    found("2,ann,,,,disallow", &["row \"2\": rule: "]);
    found("2,ann,,,\"(?<!x)y\",allow", &["row \"2\": parameters: "]);
    found("2,ann,,nosuch,,allow", &["row \"2\": noderange: "]);
    found("2,n1,rpower,,,allow", &["row \"2\": name: n1 is a node"]);
    found(
        "2,ann,\"rpower,rvitals\",,,deny\n3,ann,rpower,n1,,allow",
        &[
            "row \"3\": is never reached: row \"2\"",
            "xtab set -d -k priority=3 policy",
        ],
    );
    // Narrower rows first are what an order is for.
    site.store(
        "policy",
        &format!("{head}2,ann,rpower,n1,,allow\n3,ann,,,,deny\n"),
    );
    assert_eq!(site.findings("policy"), []);
}

#[test]
fn claims_of_the_dead() {
    let site = site();
    let (host, boot) = this_host();
    let row = |node: &str, pid: u32, reserve: &str| {
        format!("{node},getadapter,waiting,{pid},{reserve}\n")
    };
    let mine = format!("{host} {boot} 99999999999 x");
    let rows = [
        "#node,command,state,pid,reserve\n".to_string(),
        // A process of this host that waits nowhere.
        row("n1", 1, &mine),
        row("n2", 1, &mine),
        row("gone", 1, &mine),
        // Another host's, past and before its deadline.
        row("n3", 7, "elsewhere b 1 x"),
        row("n4", 7, "elsewhere b 99999999999 x"),
    ];
    site.store("taskstate", &rows.concat());
    let findings = site.findings("claims");
    assert_eq!(findings.len(), 3, "{findings:?}");
    let of = |nodes: &str| {
        findings
            .iter()
            .find(|found| found.subject == nodes)
            .unwrap()
    };
    has(
        of("n[1-2]"),
        &[
            "process 1 on",
            "which is gone",
            "xtab set -d 'n[1-2]' taskstate",
        ],
    );
    has(of("n3"), &["process 7 on elsewhere"]);
    has(of("gone"), &["xtab set -d -k node=gone taskstate"]);
    assert_eq!(
        site.checks().last().unwrap().facts.len(),
        1,
        "n4 is waited for"
    );
}

#[test]
fn rows_that_are_no_claims() {
    let site = site();
    let head = "#node,command,state,pid,reserve\n";
    let found = |row: &str, words: &[&str]| {
        site.store("taskstate", &format!("{head}n1,getadapter,{row}\n"));
        site.finds("claims", words);
    };
    for reserve in [
        "elsewhere",
        "elsewhere b soon x",
        "elsewhere b 99999999999",
        "elsewhere  99999999999 x",
        "elsewhere b 99999999999 x later",
        "elsewhere b 99999999999 x 5 6",
    ] {
        found(
            &format!("waiting,7,{reserve}"),
            &["n1: reserve ", reserve, "xtab set -d n1 taskstate"],
        );
    }
    found("waiting,none,", &["n1: says nothing of a process"]);
    found("sleeping,7,", &["n1: says nothing of a process"]);
    let good = format!("{head}n1,getadapter,done,7,elsewhere b 99999999999 x 5\n");
    site.store("taskstate", &good);
    assert_eq!(site.findings("claims"), []);
}

#[test]
fn names_in_a_fix_are_quoted_for_a_shell() {
    let site = site();
    site.add("mac", "#node,mac\n\"it's;id\",a\n");
    site.finds("strays", &[r"xtab set -d -k 'node=it'\''s;id' mac"]);
    let site = self::site();
    site.add("nodelist", "#node,groups\n\"$(id)\",all\n");
    site.add("mac", "#node,mac\n\"$(id)\",a\n");
    site.finds("nodes", &[r"xtab set '/\x24\x28id\x29' nodehm.mgt=KIND"]);
    let site = self::site();
    site.add("policy", "#priority,name,rule\n\"2 & id\",ann,allow\n");
    site.finds("policy", &["xtab set -k 'priority=2 & id' policy."]);
}

#[test]
fn a_claim_with_a_living_reader_is_left_alone() {
    let site = site();
    let run = site.host.run_dir.clone();
    std::fs::create_dir(&run).unwrap();
    nix::unistd::mkfifo(&run.join("1"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let both = std::fs::File::options()
        .read(true)
        .write(true)
        .open(run.join("1"))
        .unwrap();
    let (host, boot) = this_host();
    site.store(
        "taskstate",
        &format!("#node,command,state,pid,reserve\nn1,getadapter,waiting,1,{host} {boot} 1 x\n"),
    );
    let look = || {
        examine(&site.tables, &site.host)
            .unwrap()
            .pop()
            .unwrap()
            .findings
    };
    assert_eq!(look(), []);
    drop(both);
    assert_eq!(look().len(), 1);
}

fn this_host() -> (String, String) {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let host = nix::unistd::gethostname().unwrap().into_string().unwrap();
    (host, boot.trim().to_string())
}

#[test]
fn a_table_that_cannot_be_read_is_a_finding_and_the_others_are_looked_at() {
    let site = site();
    let file = site.dir.path().join("tables/policy.sqlite");
    std::fs::write(&file, "no database, and long enough to be seen as none").unwrap();
    let checks = site.checks();
    let findings: Vec<&Finding> = checks.iter().flat_map(|check| &check.findings).collect();
    assert_eq!(findings.len(), 1, "{findings:?}");
    has(findings[0], &["policy: cannot be looked at: policy: "]);
}

/// How many calls of read this thread has made.
fn reads() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/io").unwrap();
    let count = text.lines().find_map(|line| line.strip_prefix("syscr: "));
    count.unwrap().parse().unwrap()
}

#[test]
fn ten_thousand_nodes_are_one_line_each_fault_and_few_reads() {
    let site = site();
    let nodes = 1..=10_000;
    let rows: String = nodes
        .clone()
        .map(|n| format!("c{n},\"all,big\"\n"))
        .collect();
    site.store("nodelist", &format!("#node,groups\n{rows}"));
    site.store("nodehm", "#node,mgt\nbig,ipmi\n");
    site.store("ipmi", "#node,bmc\nbig,|c(\\d+)|c($1)-bmc|\n");
    let rows: String = nodes.skip(1).map(|n| format!("c{n},a\n")).collect();
    site.store("mac", &format!("#node,mac\n{rows}"));
    for table in ["openbmc", "prescripts"] {
        site.store(table, "#node\n");
    }
    let before = reads();
    let checks = examine(&site.tables, &site.host).unwrap();
    // A query begins with a read of its own, whatever SQLite has in its cache.
    let taken = reads() - before;
    assert!(taken < 5_000, "{taken} reads");
    let findings: Vec<&Finding> = checks.iter().flat_map(|check| &check.findings).collect();
    assert_eq!(findings.len(), 1, "{findings:?}");
    has(findings[0], &["c1: no mac.mac"]);
}
