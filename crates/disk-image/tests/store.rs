//! Names, objects, and who keeps them.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use disk_image::{Digest, Error, Manifest, Store, testing};

struct Place {
    directory: tempfile::TempDir,
    store: Store,
}

impl Place {
    fn new() -> Place {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(
            &directory.path().join("images"),
            &directory.path().join("orders"),
        );
        fs::create_dir(directory.path().join("orders")).unwrap();
        Place {
            store: store.unwrap(),
            directory,
        }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    fn put(&self, name: &str, byte: u8) -> Digest {
        testing::put(&self.store, name, &[byte; 8192], 1 << 20).unwrap()
    }

    fn objects(&self) -> Vec<String> {
        names(&self.path("images/objects"))
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn a_name_means_an_image() {
    let place = Place::new();
    assert!(place.store.list().unwrap().is_empty());
    let digest = place.put("rocky", 1);
    assert_eq!(place.store.resolve("rocky").unwrap(), digest);
    let manifest = place.store.manifest(digest).unwrap();
    let bytes = place.store.manifest_bytes(digest).unwrap();
    assert_eq!(Manifest::digest(&bytes), digest);
    let mut object = Vec::new();
    let mut file = place.store.frames_file(digest).unwrap();
    file.read_to_end(&mut object).unwrap();
    assert_eq!(manifest.frames()[0].decode(&object).unwrap(), [1; 8192]);
    let listed = place.store.list().unwrap();
    assert!(listed.len() == 1 && listed[0].name == "rocky");
    let found = place.store.resolve("suse").unwrap_err();
    assert_eq!(found.to_string(), "suse: no such image");
    // Content of disks is root's; that they exist may be known.
    let mode = |path: &str| fs::metadata(place.path(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&format!("images/objects/{digest}.frames")), 0o600);
    assert_eq!(mode("images/adding"), 0o700);
    assert!(names(&place.path("images/adding")).is_empty());
}

#[test]
fn names_are_no_paths() {
    let place = Place::new();
    place.put("a", 1);
    fs::write(
        place.path("images/outside"),
        format!("{}\n", Digest::of(b"")),
    )
    .unwrap();
    for name in ["../outside", "/etc/passwd", ".", "..", "", "a/../a"] {
        assert!(
            matches!(place.store.resolve(name), Err(Error::Name(_))),
            "{name}"
        );
        assert!(
            matches!(place.store.remove(name), Err(Error::Name(_))),
            "{name}"
        );
    }
    // A link or a FIFO in the place of a name or an object is not followed and not waited for.
    symlink(
        place.path("images/outside"),
        place.path("images/names/link"),
    )
    .unwrap();
    assert!(matches!(
        place.store.resolve("link"),
        Err(Error::System { .. })
    ));
    nix::unistd::mkfifo(
        &place.path("images/names/fifo"),
        nix::sys::stat::Mode::S_IRWXU,
    )
    .unwrap();
    assert!(matches!(
        place.store.resolve("fifo"),
        Err(Error::Store { .. })
    ));
    place.store.remove("link").unwrap_err();
    place.store.remove("fifo").unwrap();
    assert!(place.path("images/outside").exists());
    assert_eq!(place.store.list().unwrap().len(), 1);
}

#[test]
fn an_image_stays_as_long_as_a_name_or_an_order_refers_to_it() {
    let place = Place::new();
    let old = place.put("rocky", 1);
    let order = place.path("orders/0123.json");
    let text = format!(
        r#"{{"format":1,"nonce":"0123","images":[{{"name":"rocky","manifest":"{old}","disk":null}}],"overwrite":[],"zero":0,"limit_seconds":60}}"#
    );
    fs::write(&order, &text).unwrap();
    let new = place.put("rocky", 2);
    assert_eq!(place.store.resolve("rocky").unwrap(), new);
    assert_eq!(
        place.objects().len(),
        4,
        "the running load keeps the old one"
    );
    place.store.manifest(old).unwrap();
    fs::remove_file(&order).unwrap();
    assert_eq!(place.store.sweep().unwrap(), 1);
    assert!(matches!(
        place.store.manifest(old),
        Err(Error::NoSuchImage(_))
    ));
    assert!(matches!(
        place.store.frames_file(old),
        Err(Error::NoSuchImage(_))
    ));
    // Two names for one image.
    assert_eq!(place.put("alma", 2), new);
    place.store.remove("rocky").unwrap();
    place.store.manifest(new).unwrap();
    place.store.remove("alma").unwrap();
    assert!(place.objects().is_empty());
    assert!(matches!(
        place.store.remove("alma"),
        Err(Error::NoSuchImage(_))
    ));
}

#[test]
fn nothing_goes_while_it_is_not_known_what_is_used() {
    let place = Place::new();
    place.put("a", 1);
    place.put("b", 2);
    fs::write(place.path("orders/x.json"), "{").unwrap();
    fs::write(place.path("orders/.y.json"), "{").unwrap();
    fs::write(place.path("orders/z.json.new"), "{").unwrap();
    let found = place.store.remove("a").unwrap_err().to_string();
    assert!(found.contains("orders/x.json: order: "), "{found}");
    assert_eq!(place.objects().len(), 4);
    fs::remove_file(place.path("orders/x.json")).unwrap();
    fs::write(place.path("images/names/c"), "garbage").unwrap();
    let found = place.store.sweep().unwrap_err().to_string();
    assert!(found.contains("names/c: is no SHA-256"), "{found}");
    assert_eq!(place.objects().len(), 4);
    let listed = place.store.list().unwrap();
    assert!(listed.len() == 2 && listed[0].digest.is_ok() && listed[1].digest.is_err());
    place.store.remove("c").unwrap();
    assert_eq!(place.objects().len(), 2);
}

#[test]
fn what_was_changed_behind_its_digest_is_found() {
    let place = Place::new();
    let digest = place.put("a", 1);
    let path = place.path(&format!("images/objects/{digest}.json"));
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"raw\"", "\"vdi\"")).unwrap();
    let found = place.store.manifest(digest).unwrap_err().to_string();
    assert!(found.contains("is damaged"), "{found}");
    // Adding it again repairs it.
    assert_eq!(place.put("a", 1), digest);
    place.store.manifest(digest).unwrap();
}

#[test]
fn a_directory_that_others_may_write_into_is_no_store() {
    let place = Place::new();
    place.put("a", 1);
    fs::set_permissions(place.path("images"), fs::Permissions::from_mode(0o777)).unwrap();
    let opened = Store::open(&place.path("images"), &place.path("orders"));
    assert!(opened.unwrap_err().to_string().contains("others may write"));
}

#[test]
fn who_holds_the_store_loses_nothing() {
    let place = Place::new();
    place.put("a", 1);
    let held = place.store.hold().unwrap();
    let (done, wait) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            place.store.remove("a").unwrap();
            done.send(()).unwrap();
        });
        // The other waits in the kernel: it is there when the kernel says so.
        let waits = || {
            fs::read_to_string("/proc/locks")
                .unwrap()
                .contains("-> FLOCK")
        };
        while !waits() {
            std::thread::yield_now();
        }
        assert!(wait.try_recv().is_err());
        place.store.resolve("a").unwrap();
        drop(held);
        wait.recv().unwrap();
    });
    assert!(place.objects().is_empty());
}
