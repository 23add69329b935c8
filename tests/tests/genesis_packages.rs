//! What `make dist` packs for xCAT's own genesis: the older one unpacks it and runs runme.sh (here in a
//! root with busybox alone), the newer one takes a signed system extension.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use scenarios::{Finished, parts, program, sysfs};
use serde_json::Value;

const VERSION: &str = "9.8.7";

fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "powerpc64" => "ppc64le",
        other => other,
    }
}

fn run(command: &mut Command) -> Finished {
    let ended = command.stdin(Stdio::null()).output();
    ended.expect("starts").into()
}

/// Packs the built agent, once, and says where a package is.
fn packed(kind: &str) -> PathBuf {
    static PACKED: OnceLock<PathBuf> = OnceLock::new();
    let dir = PACKED.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("genesis-packages");
        let agents = dir.join("agents");
        fs::create_dir_all(&agents).expect("agents");
        // What only a debugger wants would be most of it.
        run(Command::new("strip")
            .arg("-o")
            .arg(agents.join("findadapter-agent"))
            .arg(program("findadapter-agent")))
        .code(0);
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        run(Command::new(project.join("scripts/genesis/package"))
            .arg(arch())
            .arg(&agents)
            .arg(VERSION)
            .arg(&dir))
        .code(0);
        dir
    });
    let name = format!("xcat-nodetools-{kind}-{VERSION}-{}.tar.gz", arch());
    dir.join(name)
}

fn unpack(package: &Path, into: &Path) {
    fs::create_dir_all(into).expect("a directory");
    run(Command::new("tar")
        .arg("-xf")
        .arg(package)
        .arg("-C")
        .arg(into))
    .code(0);
}

/// Every file below a directory, with its mode.
fn files(root: &Path, dir: &Path, found: &mut BTreeMap<String, u32>) {
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        let metadata = fs::symlink_metadata(&path).expect("metadata");
        if metadata.is_dir() {
            files(root, &path, found);
        } else {
            assert!(metadata.is_file(), "{}: is a regular file", path.display());
            let name = path.strip_prefix(root).expect("below").display();
            found.insert(name.to_string(), metadata.permissions().mode() & 0o7777);
        }
    }
}

/// A root like the older genesis': busybox, the libraries of what runs there (the packed agents are
/// static, the one that is tested need not be), xCAT's script in place.
fn genesis(dir: &Path) -> PathBuf {
    let root = dir.join("genesis");
    for name in ["bin", "dev", "tmp", "usr/bin", "node"] {
        fs::create_dir_all(root.join(name)).expect("a directory");
    }
    let busybox = run(Command::new("sh").args(["-c", "command -v busybox"]));
    let busybox = PathBuf::from(busybox.code(0).stdout.trim());
    fs::copy(&busybox, root.join("bin/busybox")).expect("busybox");
    for executable in [&busybox, &program("findadapter-agent")] {
        let libraries = run(Command::new("ldd").arg(executable)).stdout;
        for library in libraries
            .split_whitespace()
            .filter(|word| word.starts_with('/'))
        {
            let place = root.join(library.trim_start_matches('/'));
            fs::create_dir_all(place.parent().expect("a directory")).expect("a directory");
            fs::copy(library, place).expect(library);
        }
    }
    in_genesis(&root, "/bin/busybox --install -s /bin").code(0);
    let stock = root.join("bin/getadapter");
    fs::write(&stock, "#!/bin/sh\necho stock\n").expect("stock");
    fs::set_permissions(&stock, PermissionsExt::from_mode(0o755)).expect("mode");
    sysfs::make_adapters(&root.join("node"), 2);
    root
}

fn in_genesis(root: &Path, script: &str) -> Finished {
    let enter = "mount --bind /dev \"$1/dev\" && exec chroot \"$1\" /bin/busybox sh -c \"$2\"";
    run(Command::new("unshare")
        .args([
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            enter,
            "sh",
        ])
        .arg(root)
        .arg(script)
        .env_clear()
        .env("PATH", "/bin:/usr/bin:/sbin:/usr/sbin"))
}

fn ready() -> bool {
    let needed = ["busybox", "unshare", "chroot", "tar"];
    parts::root() && needed.iter().all(|part| parts::have(part))
}

#[test]
fn the_older_genesis_runs_runme_and_then_our_agent() {
    if !ready() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let package = packed("genesis");
    let mut found = BTreeMap::new();
    unpack(&package, &dir.path().join("looked"));
    files(
        &dir.path().join("looked"),
        &dir.path().join("looked"),
        &mut found,
    );
    let wanted = [
        ("LICENSE-APACHE", 0o644),
        ("LICENSE-MIT", 0o644),
        ("bin/findadapter-agent", 0o755),
        ("bin/getadapter", 0o755),
        ("runme.sh", 0o755),
    ];
    assert_eq!(
        found,
        wanted.map(|(name, mode)| (name.to_string(), mode)).into()
    );

    let root = genesis(dir.path());
    assert_eq!(in_genesis(&root, "getadapter").code(0).stdout, "stock\n");
    fs::copy(&package, root.join("tmp/agents.tgz")).expect("a copy");
    // As its loop does: a directory of the file's name, unpacked there (its tar needs no z), runme.sh, the
    // next of the chain.
    let chain = "mkdir /tmp/d && cd /tmp/d && tar xzf ../agents.tgz >/dev/null && ./runme.sh && cd / && \
                 getadapter --print --sysroot /node && findadapter-agent -v";
    let ended = in_genesis(&root, chain);
    ended.code(0);
    assert!(
        ended.stdout.contains("<mac>52:54:00:00:00:01</mac>")
            && ended
                .stdout
                .ends_with(&format!("{}\n", env!("CARGO_PKG_VERSION"))),
        "{}",
        ended.stdout
    );
    assert!(
        ended
            .stderr
            .contains("xcat-nodetools: /bin/getadapter: findadapter-agent (xcat-nodetools)"),
        "{}",
        ended.stderr
    );
    assert!(
        root.join("usr/bin/findadapter-agent").is_file(),
        "a new name"
    );
    // Twice is once.
    in_genesis(&root, "cd /tmp/d && ./runme.sh").code(0);
}

#[test]
fn agents_of_another_architecture_replace_nothing() {
    if !ready() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let package = packed("genesis");
    let root = genesis(dir.path());
    let place = root.join("tmp/d");
    unpack(&package, &place);
    // The head of a program for a big machine of IBM's, 31 bits.
    fs::write(
        place.join("bin/getadapter"),
        b"\x7fELF\x01\x02\x01\0\0\0\0\0\0\0\0\0\0\x02\0\x16",
    )
    .expect("a program");
    let ended = in_genesis(&root, "cd /tmp/d && ./runme.sh");
    ended.code(1);
    assert!(
        ended.stderr.contains("bin/getadapter: does not run here"),
        "{}",
        ended.stderr
    );
    assert_eq!(in_genesis(&root, "getadapter").code(0).stdout, "stock\n");
    assert!(!root.join("usr/bin/findadapter-agent").exists());
}

#[test]
fn the_extension_is_what_the_newer_genesis_loads() {
    let needed = ["mksquashfs", "unsquashfs", "openssl", "tar"];
    if !needed.iter().all(|part| parts::have(part)) {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    unpack(&packed("extension"), &at("extension"));
    let script = at("extension/make-extension");

    let key = |algorithm: &str, name: &str| {
        let made = run(Command::new("openssl")
            .args(["genpkey", "-algorithm", algorithm, "-out"])
            .arg(at(name)));
        made.code(0);
        at(name)
    };
    let private = key("ed25519", "key.pem");
    let make = |release: &str, key: &Path| {
        run(Command::new(&script)
            .args([release, "site-2026"])
            .arg(key)
            .arg(at("out")))
    };
    make("6.0", &key("x25519", "other.pem")).code(3);
    make("6.0\", \"x", &private).code(3);
    let made = make("6.0", &private);
    let names: Vec<PathBuf> = made.code(0).stdout.lines().map(PathBuf::from).collect();
    let there = fs::read_dir(at("out")).expect("out").count();
    assert!(names.iter().all(|name| name.is_file()) && there == 3 && names.len() == 3);

    // The manifest: exactly these keys, and the digest of the image.
    let manifest = at("out/xcat-nodetools.manifest.json");
    let text = fs::read(&manifest).expect("the manifest");
    let value: Value = serde_json::from_slice(&text).expect("JSON");
    let digest = run(Command::new("sha256sum").arg(at("out/xcat-nodetools.raw")));
    let expected = serde_json::json!({
        "architecture": arch(), "capabilities": ["adapters.report"], "genesis_release": "6.0",
        "kernel_modules": false, "kernel_release": null, "key_id": "site-2026",
        "license_class": "open", "name": "xcat-nodetools", "pci_ids": [], "schema": 1,
        "sha256": digest.stdout.split(' ').next(), "version": VERSION,
    });
    assert_eq!(value, expected);
    run(Command::new("openssl")
        .args(["pkey", "-pubout", "-in"])
        .arg(&private)
        .arg("-out")
        .arg(at("public.pem")))
    .code(0);
    run(Command::new("openssl")
        .args(["pkeyutl", "-verify", "-pubin", "-rawin", "-inkey"])
        .arg(at("public.pem"))
        .arg("-in")
        .arg(&manifest)
        .arg("-sigfile")
        .arg(at("out/xcat-nodetools.sig")))
    .code(0);
    assert_eq!(
        fs::metadata(at("out/xcat-nodetools.sig"))
            .expect("a signature")
            .len(),
        64
    );

    // The image: actions that are regular files with names that are allowed, and the release file of
    // the image's own name.
    run(Command::new("unsquashfs")
        .args(["-quiet", "-no-progress", "-d"])
        .arg(at("image"))
        .arg(at("out/xcat-nodetools.raw")))
    .code(0);
    let mut found = BTreeMap::new();
    files(&at("image"), &at("image"), &mut found);
    let actions = "usr/libexec/xcat/genesis/actions";
    let wanted = [
        (format!("{actions}/findadapter-agent"), 0o755),
        (format!("{actions}/getadapter"), 0o755),
        (
            "usr/lib/extension-release.d/extension-release.xcat-nodetools".to_string(),
            0o644,
        ),
    ];
    assert_eq!(found, wanted.into());
    let release = fs::read_to_string(at(
        "image/usr/lib/extension-release.d/extension-release.xcat-nodetools",
    ));
    let machine = match arch() {
        "x86_64" => "x86-64",
        "aarch64" => "arm64",
        _ => "ppc64-le",
    };
    assert_eq!(
        release.expect("the release file"),
        format!("ID=_any\nARCHITECTURE={machine}\n")
    );

    // As an action is run: by a path, with a limit, and without a shell.
    sysfs::make_adapters(&at("node"), 1);
    let ended = run(Command::new("timeout")
        .arg("300")
        .arg(at("image").join(actions).join("getadapter"))
        .args(["--print", "--sysroot"])
        .arg(at("node"))
        .env_clear());
    assert!(ended.code(0).stdout.contains("<interface>eth0</interface>"));
}
