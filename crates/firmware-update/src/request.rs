//! What a command line asks for, and xCAT's refusals.

use std::path::{Path, PathBuf};

/// xCAT's options of rflash, in both spellings.
pub const OPTIONS: [(&str, &str); 6] = [
    ("-c", "--check"),
    ("-l", "--list"),
    ("-a", "--activate"),
    ("-u", "--upload"),
    ("-d", "-d"),
    ("--delete", "--delete"),
];

/// What to do with every node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// `-l`: the images that a BMC holds.
    List,
    /// `-c`: the running versions, after that of a file if one is given.
    Check(Option<PathBuf>),
    /// `-u FILE`
    Upload(PathBuf),
    /// `-a FILE`
    ActivateFile(PathBuf),
    /// `-a ID`
    ActivateId(String),
    /// `--delete ID`
    Delete(String),
    /// `-d DIRECTORY`
    Directory {
        /// Holds one archive for the BMC, one for the host, or both.
        path: PathBuf,
        /// `--no-host-reboot`
        keep_host: bool,
    },
}

/// Sorts the words after the noderange out, in the order of xCAT's own tests. `options` are xCAT's
/// options as typed, without `-V`; `words` everything else; relative paths start at `cwd`.
///
/// # Errors
/// xCAT's text, which is printed once for each node.
pub fn classify(
    options: &[String],
    words: &[String],
    verbose: bool,
    cwd: &Path,
) -> Result<Request, String> {
    if options.is_empty() && words.is_empty() {
        return Err("No option specified for rflash".into());
    }
    let opts = options.join(" ");
    let keep_host = options.iter().any(|option| option == "--no-host-reboot");
    let unattended = keep_host && options.len() == 2 && options.iter().any(|option| option == "-d");
    let multiple = || format!("Multiple options are not supported. Options specified: {opts}");
    if options.len() > 1 && !unattended && !verbose {
        return Err(multiple());
    }
    let kinds: Vec<(Kind, &String)> = words.iter().map(|word| (kind(word, cwd), word)).collect();
    let of = |wanted: Kind| {
        kinds
            .iter()
            .filter(move |(kind, _)| *kind == wanted)
            .map(|(_, word)| *word)
    };
    let directories = of(Kind::Directory).count();
    let others = kinds.len() - directories;
    let is = |names: &[&str]| names.contains(&opts.as_str());
    let file = of(Kind::File).next();
    if others > 1 {
        if is(&["-a", "--activate", "--delete"]) || (file.is_some() && opts != "-d") {
            return Err("More than one firmware specified is not supported.".into());
        }
        if opts == "-d" {
            return Err("More than one directory specified is not supported.".into());
        }
        return Err(format!("Invalid firmware specified with {opts}"));
    }
    let path = |word: &String| cwd.join(word);
    if let Some(file) = file {
        return match opts.as_str() {
            "-c" | "--check" => Ok(Request::Check(Some(path(file)))),
            "-u" | "--upload" => Ok(Request::Upload(path(file))),
            "-a" | "--activate" => Ok(Request::ActivateFile(path(file))),
            _ => Err(format!(
                "Invalid option specified when a file is provided: {opts}"
            )),
        };
    }
    if let Some(id) = of(Kind::Id).next() {
        return match opts.as_str() {
            "-a" | "--activate" => Ok(Request::ActivateId(id.clone())),
            "--delete" => Ok(Request::Delete(id.clone())),
            _ => {
                let hint = if opts == "-d" {
                    "Did you mean --delete?"
                } else {
                    ""
                };
                Err(format!(
                    "Invalid option specified when an update id is provided: {opts}. {hint}"
                ))
            }
        };
    }
    let unknown = of(Kind::Unknown).next();
    if let Some(directory) = of(Kind::Directory).next() {
        if opts.starts_with("-d") || unattended {
            if directories > 1 {
                return Err("More than one directory specified is not supported".into());
            }
            if let Some(word) = unknown {
                return Err(format!("Invalid option specified {word} "));
            }
            // With -V the original lets `-d -a` pass, and flashes.
            if opts != "-d" && !unattended {
                return Err(multiple());
            }
            return Ok(Request::Directory {
                path: path(directory),
                keep_host,
            });
        }
        if is(&["-c", "--check", "-u", "--upload", "-a", "--activate"]) {
            return Err(format!("Invalid firmware specified with {opts}"));
        }
        return Err("Invalid option specified".into());
    }
    match opts.as_str() {
        "-c" | "--check" => Ok(Request::Check(None)),
        "-l" | "--list" => Ok(Request::List),
        _ => Err(format!(
            "Invalid option specified with {opts}: {} ",
            unknown.map_or("", String::as_str)
        )),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Id,
    Directory,
    Unknown,
}

/// A directory named `beef` is an ID and a file `ab12` without `.tar` is one: xCAT's order.
fn kind(word: &str, cwd: &Path) -> Kind {
    if word.to_ascii_lowercase().ends_with(".tar") {
        Kind::File
    } else if !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Kind::Id
    } else if word.starts_with('/') || cwd.join(word).is_dir() {
        Kind::Directory
    } else {
        Kind::Unknown
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::path::Path;

    use super::{Request, classify};

    fn ask(line: &str, cwd: &Path) -> Result<Request, String> {
        let words = line.split_whitespace().map(String::from);
        let (options, words): (Vec<String>, Vec<String>) =
            words.partition(|word| word.starts_with('-'));
        let verbose = options.iter().any(|option| option == "-V");
        let options: Vec<String> = options
            .into_iter()
            .filter(|option| option != "-V")
            .collect();
        classify(&options, &words, verbose, cwd)
    }

    #[test]
    fn every_refusal_of_the_original_in_its_words() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("fw")).unwrap();
        std::fs::create_dir(dir.path().join("gw")).unwrap();
        std::fs::create_dir(dir.path().join("beef")).unwrap();
        for (line, text) in [
            ("", "No option specified for rflash"),
            (
                "-a -u f.tar",
                "Multiple options are not supported. Options specified: -a -u",
            ),
            (
                "-d -a fw",
                "Multiple options are not supported. Options specified: -d -a",
            ),
            (
                "-d -a -V fw",
                "Multiple options are not supported. Options specified: -d -a",
            ),
            (
                "-a f.tar g.tar",
                "More than one firmware specified is not supported.",
            ),
            (
                "--delete abcd 1234",
                "More than one firmware specified is not supported.",
            ),
            (
                "-l f.tar x",
                "More than one firmware specified is not supported.",
            ),
            (
                "-d f.tar g.tar",
                "More than one directory specified is not supported.",
            ),
            ("-l abcd 1234", "Invalid firmware specified with -l"),
            (
                "-l f.tar",
                "Invalid option specified when a file is provided: -l",
            ),
            (
                "-d F.TAR",
                "Invalid option specified when a file is provided: -d",
            ),
            (
                "-a -u -V f.tar",
                "Invalid option specified when a file is provided: -a -u",
            ),
            (
                "f.tar",
                "Invalid option specified when a file is provided: ",
            ),
            (
                "-u abcd",
                "Invalid option specified when an update id is provided: -u. ",
            ),
            (
                "-d abcd",
                "Invalid option specified when an update id is provided: -d. Did you mean --delete?",
            ),
            (
                "-d beef",
                "Invalid option specified when an update id is provided: -d. Did you mean --delete?",
            ),
            (
                "-d fw gw",
                "More than one directory specified is not supported",
            ),
            ("-d fw other", "Invalid option specified other "),
            ("-c fw", "Invalid firmware specified with -c"),
            ("--upload /x", "Invalid firmware specified with --upload"),
            ("-l fw", "Invalid option specified"),
            ("-l /absolute", "Invalid option specified"),
            ("fw", "Invalid option specified"),
            ("-u nothing", "Invalid option specified with -u: nothing "),
            ("-d nothing", "Invalid option specified with -d: nothing "),
            (
                "--delete xyz",
                "Invalid option specified with --delete: xyz ",
            ),
            ("-a", "Invalid option specified with -a:  "),
        ] {
            assert_eq!(
                ask(line, dir.path()),
                Err(text.to_string()),
                "rflash n1 {line}"
            );
        }
    }

    #[test]
    fn what_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("fw")).unwrap();
        let at = |name: &str| dir.path().join(name);
        let directory = |keep_host| Request::Directory {
            path: at("fw"),
            keep_host,
        };
        for (line, request) in [
            ("-l", Request::List),
            ("--list nonsense", Request::List),
            ("-c", Request::Check(None)),
            ("-c f.tar", Request::Check(Some(at("f.tar")))),
            ("f.tar -u", Request::Upload(at("f.tar"))),
            (
                "--activate /a/F.TAR",
                Request::ActivateFile("/a/F.TAR".into()),
            ),
            ("-a 9AD41d12", Request::ActivateId("9AD41d12".into())),
            ("--delete 9ad41d12", Request::Delete("9ad41d12".into())),
            ("-d fw", directory(false)),
            ("-d fw --no-host-reboot", directory(true)),
            ("--no-host-reboot -d fw -V", directory(true)),
            (
                "-V -d /x",
                Request::Directory {
                    path: "/x".into(),
                    keep_host: false,
                },
            ),
        ] {
            assert_eq!(ask(line, dir.path()), Ok(request), "rflash n1 {line}");
        }
    }
}
