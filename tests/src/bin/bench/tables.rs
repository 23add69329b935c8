//! Ranges and tables, whole processes: xtab beside ClusterShell's nodeset, the sqlite3 shell on the
//! same files and, where it is installed, xCAT.

use std::fs;
use std::path::{Path, PathBuf};

use scenarios::program;

use crate::measure::{Cost, cost, median};

const ROUNDS: usize = 7;
const COLUMNS: [&str; 3] = ["nodehm.mgt", "ipmi.bmc", "nodepos.rack"];
/// Megabytes that 100,000 nodes may take.
const MEMORY: f64 = 40.0;

/// All of it.
pub(crate) fn run() {
    let few = Site::new(10_000);
    let many = Site::new(100_000);
    let nodeset = peer("target/python/bin/nodeset");
    let xcat = peer("/opt/xcat/bin/nodels");

    for site in [&few, &many] {
        let mut race = Race::new(site, &format!("expansion of {} names", site.count));
        race.enter("xtab", site.xtab(&["nodes", "--no-verify", &site.range()]));
        if let Some(nodeset) = &nodeset {
            race.enter(
                "nodeset",
                words(&[nodeset, "-e", "-S", "\\n", &site.range()]),
            );
        }
        race.run();
        let target = (site.count == few.count).then_some(1.0 / 20.0);
        race.ratio("nodeset", target);

        // nodeset knows of no tables; the others look whether each name is a node.
        let mut race = Race::new(site, &format!("{} names that are nodes", site.count));
        race.enter("xtab", site.xtab(&["nodes", &site.range()]));
        race.enter("sqlite3", site.shell(&["select node from nodelist"]));
        if let Some(nodels) = &xcat {
            race.enter("xCAT", words(&[nodels, &site.range()]));
        }
        race.run();
        race.ratio("sqlite3", None);
        race.ratio("xCAT", None);
        race.memory(MEMORY);
    }

    for site in [&few, &many] {
        let mut race = Race::new(site, &format!("3 columns of {} nodes", site.count));
        let get: Vec<&str> = ["get", "all"].into_iter().chain(COLUMNS).collect();
        race.enter("xtab", site.xtab(&get));
        race.enter(
            "sqlite3",
            site.shell(
                &["nodelist", "nodegroup", "site", "nodehm", "ipmi", "nodepos"]
                    .map(|table| format!("select * from {table}"))
                    .iter()
                    .map(String::as_str)
                    .collect::<Vec<_>>(),
            ),
        );
        if let Some(nodels) = &xcat {
            let nodels: Vec<&str> = [nodels, "all"].into_iter().chain(COLUMNS).collect();
            race.enter("xCAT", words(&nodels));
        }
        race.run();
        let target = (site.count == few.count).then_some(4.0);
        race.ratio("sqlite3", target);
        race.ratio("xCAT", None);
        race.memory(MEMORY);
    }

    let mut race = Race::new(&few, "a write of 10000 nodes");
    race.enter(
        "xtab",
        few.xtab(&["set", "all", "nodepos.u=7", "--max-nodes", "10000"]),
    );
    race.enter(
        "sqlite3",
        few.shell(&[
            "begin immediate",
            "update nodepos set u='7' where node in (select node from nodelist)",
            "commit",
        ]),
    );
    race.run();
    race.ratio("sqlite3", None);

    let mut race = Race::new(&many, "a dump of 100000 rows");
    race.enter("xtab", many.xtab(&["dump", "nodelist"]));
    let mut shell = many.shell(&["select * from nodelist"]);
    shell.insert(1, "-csv".into());
    race.enter("sqlite3", shell);
    if let Some(tabdump) = peer("/opt/xcat/sbin/tabdump") {
        race.enter("xCAT", words(&[&tabdump, "nodelist"]));
    }
    race.run();
    race.ratio("sqlite3", Some(2.0));
    race.ratio("xCAT", None);
    race.memory(MEMORY);
}

/// Tables of nodes `n00001`.. with a group that names their management and one that computes their
/// BMC's address; the rack is each node's own.
struct Site {
    dir: tempfile::TempDir,
    count: usize,
}

impl Site {
    fn new(count: usize) -> Site {
        let dir = tempfile::tempdir().expect("tempdir");
        let site = Site { dir, count };
        let file = |name: &str, text: String| {
            fs::write(site.dir.path().join(format!("{name}.csv")), text).expect("csv");
        };
        let nodes = |header: &str, row: &dyn Fn(usize) -> String| {
            let rows: String = (1..=count)
                .map(|i| format!("\"{}\",{}\n", site.name(i), row(i)))
                .collect();
            format!("{header}\n{rows}")
        };
        file(
            "nodelist",
            nodes("#node,groups,status,statustime", &|i| {
                format!(
                    "\"all,compute,ipmi,rack{}\",\"booted\",\"11-21-2026 12:00:00\"",
                    i / 40
                )
            }),
        );
        file(
            "nodepos",
            nodes("#node,rack,u", &|i| {
                format!("\"rack{}\",\"{}\"", i / 40, i % 40)
            }),
        );
        file("nodehm", "#node,mgt\n\"compute\",\"ipmi\"\n".into());
        file(
            "ipmi",
            "#node,bmc\n\"ipmi\",\"|n(\\d+)|10.(1+$1/65536).($1/256%256).($1%256)|\"\n".into(),
        );
        fs::create_dir(site.dir.path().join("tables")).expect("tables");
        for arguments in [
            vec!["init"],
            vec!["load", site.dir.path().to_str().expect("path")],
        ] {
            cost(&site.xtab(&arguments), &site.tables());
        }
        site
    }

    fn name(&self, i: usize) -> String {
        let width = self.count.to_string().len();
        format!("n{i:0width$}")
    }

    fn range(&self) -> String {
        format!("{}-{}", self.name(1), self.name(self.count))
            .replacen("n", "n[", 1)
            .replace("-n", "-")
            + "]"
    }

    fn tables(&self) -> PathBuf {
        self.dir.path().join("tables")
    }

    fn xtab(&self, arguments: &[&str]) -> Vec<String> {
        let mut all = vec![program("xtab").display().to_string()];
        all.extend(words(arguments));
        all
    }

    /// The sqlite3 shell on all table files at once.
    fn shell(&self, statements: &[&str]) -> Vec<String> {
        let mut all = words(&["sqlite3", ":memory:"]);
        for table in ["nodelist", "nodegroup", "site", "nodehm", "ipmi", "nodepos"] {
            let used = statements.iter().any(|text| text.contains(table));
            if used {
                let path = self.tables().join(format!("{table}.sqlite"));
                all.push(format!("attach '{}' as {table}_file", path.display()));
            }
        }
        all.extend(statements.iter().map(ToString::to_string));
        all
    }
}

/// Commands that do the same, run in turns.
struct Race<'a> {
    site: &'a Site,
    what: String,
    runners: Vec<(&'static str, Vec<String>, Vec<Cost>)>,
}

impl Race<'_> {
    fn new<'a>(site: &'a Site, what: &str) -> Race<'a> {
        Race {
            site,
            what: what.into(),
            runners: Vec::new(),
        }
    }

    fn enter(&mut self, name: &'static str, command: Vec<String>) {
        self.runners.push((name, command, Vec::new()));
    }

    fn run(&mut self) {
        for _ in 0..ROUNDS {
            for (_, command, costs) in &mut self.runners {
                costs.push(cost(command, &self.site.tables()));
            }
        }
    }

    fn median(&self, name: &str, of: impl Fn(&Cost) -> f64) -> Option<f64> {
        let (_, _, costs) = self.runners.iter().find(|(runner, _, _)| *runner == name)?;
        Some(median(&mut costs.iter().map(of).collect::<Vec<_>>()))
    }

    /// xtab's CPU time by another's, and whether that is what it should be.
    fn ratio(&self, other: &str, target: Option<f64>) {
        let (Some(ours), Some(theirs)) = (
            self.median("xtab", |cost| cost.cpu),
            self.median(other, |cost| cost.cpu),
        ) else {
            println!("{}: {other}: not installed, left out", self.what);
            return;
        };
        let ratio = ours / theirs;
        println!(
            "{}: {:.1} ms CPU, {other} {:.1} ms: ratio {}{}",
            self.what,
            ours * 1e3,
            theirs * 1e3,
            shown(ratio),
            verdict(ratio, target)
        );
    }

    fn memory(&self, target: f64) {
        let Some(memory) = self.median("xtab", |cost| cost.memory) else {
            return;
        };
        println!(
            "{}: {memory:.1} MiB at most{}",
            self.what,
            verdict(memory, Some(target))
        );
    }
}

fn shown(ratio: f64) -> String {
    if ratio < 1.0 {
        format!("1/{:.1}", 1.0 / ratio)
    } else {
        format!("{ratio:.2}")
    }
}

fn verdict(value: f64, target: Option<f64>) -> String {
    match target {
        Some(target) if value <= target => format!(" (target {}: met)", shown(target)),
        Some(target) => format!(" (target {}: MISSED)", shown(target)),
        None => String::new(),
    }
}

/// A program of somebody else's, if it is here: an absolute path, or one in the source tree.
fn peer(path: &str) -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    path.is_file().then(|| path.display().to_string())
}

fn words(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}
