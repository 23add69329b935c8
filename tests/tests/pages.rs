//! The manual says what the programs do: options, commands, exit codes, version, the form of a message.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use scenarios::{Finished, program};

const PROGRAMS: [&str; 11] = [
    "getadapter",
    "findadapter-agent",
    "callbackd",
    "nodereboot",
    "nodereboot-priv",
    "oneserver",
    "osload",
    "osload-agent",
    "rflash",
    "snmove",
    "xtab",
];

/// Accepted for the original's sake, and not in --help.
const HIDDEN: [(&str, &str); 1] = [("getadapter", "-u")];

/// Options, each as its names and whether a value follows: `--force -f`, `--timeout VALUE`.
type Options = BTreeSet<String>;

fn manual() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../man")
}

/// The manual's section that has the program.
fn number(name: &str) -> u8 {
    if manual().join(format!("{name}.1")).is_file() {
        1
    } else {
        8
    }
}

fn page(name: &str) -> String {
    let path = manual().join(format!("{name}.{}", number(name)));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn run(name: &str, arguments: &[&str]) -> Finished {
    let mut command = Command::new(program(name));
    command.args(arguments).stdin(Stdio::null());
    // Nothing of this machine's is to be found: a program that went on would find no tables either.
    command
        .env("XCATCFG", "SQLite:/nonexistent")
        .env("NODETOOLS_ROOT", "/nonexistent");
    command.output().expect("starts").into()
}

/// The lines of a page between `.Sh NAME` and the next section.
fn section<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    let heading = format!(".Sh {name}");
    let mut lines = page.lines().skip_while(move |line| *line != heading);
    assert!(lines.next().is_some(), "no section {name}");
    lines.take_while(|line| !line.starts_with(".Sh ")).collect()
}

fn option(names: impl Iterator<Item = String>, value: bool) -> String {
    let mut words: Vec<String> = names.collect::<BTreeSet<_>>().into_iter().collect();
    words.extend(value.then(|| "VALUE".to_string()));
    words.join(" ")
}

/// The items `.It Fl f , -force Ar X` of a page.
fn options_of_page(name: &str) -> Options {
    let mut options = Options::new();
    let page = page(name);
    for item in section(&page, "OPTIONS")
        .iter()
        .filter_map(|line| line.strip_prefix(".It Fl "))
    {
        let mut words = item.split(' ').filter(|word| *word != "," && *word != "Fl");
        let names = words
            .by_ref()
            .take_while(|word| !["Ar", "Cm"].contains(word))
            .map(|word| format!("-{word}"));
        options.insert(option(
            names,
            item.contains(" Ar ") || item.contains(" Cm "),
        ));
    }
    options
}

/// The lines `  -f, --force <X>  what it does` of a help text.
fn options_of_help(help: &str) -> Options {
    let mut options = Options::new();
    for line in help
        .lines()
        .map(str::trim_start)
        // Not the list of a value's words.
        .filter(|line| line.starts_with('-') && !line.starts_with("- "))
    {
        let spelling = line.split("  ").next().unwrap_or(line);
        let words = || {
            spelling
                .split([' ', ',', '='])
                .filter(|word| !word.is_empty())
        };
        let names = words()
            .filter(|word| word.starts_with('-'))
            .map(String::from);
        let value = words().any(|word| word.starts_with('<') || word.starts_with('['));
        options.insert(option(names, value));
    }
    options
}

/// The options of a command, its own and those of its commands.
fn options_of_all_help(name: &str, commands: &[&str]) -> Options {
    let help = run(name, &[commands, &["--help"]].concat());
    let mut options = options_of_help(&help.code(0).stdout);
    for command in commands_of_help(&help.stdout) {
        options.extend(options_of_all_help(name, &[commands, &[&command]].concat()));
    }
    options
}

/// The commands in a help text, if the program has any.
fn commands_of_help(help: &str) -> BTreeSet<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let items = lines
        .take_while(|line| line.starts_with(' '))
        .filter_map(|line| line.strip_prefix("  "));
    items
        .filter(|line| !line.starts_with(' '))
        .filter_map(|line| line.split(' ').next())
        .map(String::from)
        .collect()
}

#[test]
fn options_are_those_of_the_page() {
    for name in PROGRAMS {
        let options = options_of_all_help(name, &[]);
        let mut written = options_of_page(name);
        for (_, hidden) in HIDDEN.iter().filter(|(of, _)| *of == name) {
            assert!(
                written.remove(*hidden),
                "{name}: {hidden} is not in the page"
            );
            run(name, &[hidden, "--help"]).code(0);
        }
        assert_eq!(
            options, written,
            "{name}: what --help says (left) is not what the page says (right)"
        );
        assert!(
            options.contains("--help -h") && options.contains("--version -v"),
            "{name}"
        );
    }
}

#[test]
fn commands_are_those_of_the_page() {
    for name in PROGRAMS {
        let help = run(name, &["--help"]);
        let page = page(name);
        let synopsis = section(&page, "SYNOPSIS");
        let written: BTreeSet<String> = synopsis
            .iter()
            .filter_map(|line| line.strip_prefix(".Cm "))
            .filter_map(|line| line.split(' ').next())
            .map(String::from)
            .collect();
        assert_eq!(
            commands_of_help(help.code(0).stdout.as_str()),
            written,
            "{name}"
        );
        assert_eq!(
            ["oneserver", "osload", "xtab"].contains(&name),
            !written.is_empty(),
            "{name}"
        );
    }
}

#[test]
fn every_page_has_the_exit_codes_and_what_an_administrator_looks_for() {
    for name in PROGRAMS {
        let page = page(name);
        let codes: Vec<&str> = section(&page, "EXIT STATUS")
            .iter()
            .filter_map(|line| line.strip_prefix(".It "))
            .collect();
        let more: &[&str] = match name {
            "oneserver" => &["7", "75", "124"],
            _ => &[],
        };
        assert_eq!(codes, [&["0", "1", "2", "3"], more].concat(), "{name}");
        for wanted in ["SYNOPSIS", "DESCRIPTION", "FILES", "EXAMPLES", "SEE ALSO"] {
            assert!(section(&page, wanted).len() > 1, "{name}: {wanted}");
        }
    }
}

#[test]
fn pages_refer_to_pages_that_exist() {
    for file in std::fs::read_dir(manual()).expect("man/") {
        let path = file.expect("man/").path();
        let text = std::fs::read_to_string(&path).expect("a page");
        for reference in section(&text, "SEE ALSO")
            .iter()
            .filter_map(|line| line.strip_prefix(".Xr "))
        {
            let mut words = reference.split(' ');
            let (name, number) = (
                words.next().unwrap_or_default(),
                words.next().unwrap_or_default(),
            );
            assert!(
                manual().join(format!("{name}.{number}")).is_file(),
                "{}: {reference}",
                path.display()
            );
        }
    }
    let overview =
        std::fs::read_to_string(manual().join("xcat-nodetools.7")).expect("the overview");
    let listed: Vec<&str> = section(&overview, "PROGRAMS")
        .iter()
        .filter_map(|line| line.strip_prefix(".It Xr "))
        .collect();
    assert_eq!(
        listed,
        PROGRAMS.map(|name| format!("{name} {}", number(name)))
    );
    // Each file format has a page, and the overview leads to all of them.
    for heading in ["PROGRAMS", "SEE ALSO"] {
        let formats = |line: &&str| line.starts_with(".Xr ") && line.contains(" 5");
        let named: BTreeSet<String> = section(&overview, heading)
            .into_iter()
            .filter(formats)
            .filter_map(|line| line.split(' ').nth(1).map(String::from))
            .collect();
        assert_eq!(named, pages_of_formats(), "{heading}");
    }
}

/// The names of section 5.
fn pages_of_formats() -> BTreeSet<String> {
    let pages = std::fs::read_dir(manual()).expect("man/");
    let names = pages.map(|page| page.expect("a page").file_name());
    let names = names.filter_map(|name| Some(name.to_str()?.strip_suffix(".5")?.to_string()));
    names.collect()
}

#[test]
fn the_version_names_the_project() {
    for name in PROGRAMS {
        for option in ["-v", "--version"] {
            let shown = run(name, &[option]);
            assert_eq!(
                shown.code(0).stdout,
                format!("{name} (xcat-nodetools) {}\n", env!("CARGO_PKG_VERSION"))
            );
            assert_eq!(shown.stderr, "");
        }
    }
}

#[test]
fn wrong_usage_is_two_and_one_message_with_its_subject() {
    for name in PROGRAMS {
        let ended = run(name, &["--no-such-option"]);
        ended.code(2);
        assert_eq!(ended.stdout, "", "{name}");
        assert!(
            ended
                .stderr
                .starts_with(&format!("{name}: --no-such-option: ")),
            "{name}: {}",
            ended.stderr
        );
        assert_eq!(ended.stderr.lines().count(), 1, "{name}: {}", ended.stderr);
    }
    for name in ["getadapter", "nodereboot", "osload", "snmove", "xtab"] {
        let ended = run(name, &[]);
        ended.code(2);
        assert!(
            ended.stderr.starts_with(&format!("{name}: ")),
            "{name}: {}",
            ended.stderr
        );
    }
}
