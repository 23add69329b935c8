//! A service node dies and another one takes its nodes over: management node, two service nodes and two compute nodes
//! in namespaces of their own, real sshd, real dnsmasq as DHCP, TFTP and DNS server of each service node, real DHCP
//! clients on the compute nodes. A compute node's lease, name server, default route and boot file come from the new one.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use scenarios::{Cluster, Finished, parts, program};
use simulators::{SimNet, SimNode};

const BOOT: Duration = Duration::from_millis(200);
const PARTS: [&str; 11] = [
    "unshare",
    "nsenter",
    "ip",
    "ssh",
    "ssh-keygen",
    "dnsmasq",
    "busybox",
    "curl",
    "socat",
    "dhclient",
    "dhcpcd",
];

/// A node whose address its system's DHCP client has leased; what that writes is the node's own. The lease's router is
/// its way to everywhere.
const LEASE: &str = r#"set -eu
for own in /var/lib/dhcp /var/lib/dhcpcd; do
	[ ! -d "$own" ] || mount -t tmpfs none "$own"
done
cp -a /etc /run/etc
mount --bind /run/etc /etc
ln -s "$(command -v busybox)" /run/udhcpc
cat >/run/leased <<'SCRIPT'
#!/bin/sh
[ "$1" = deconfig ] || echo "nameserver $dns" >/etc/resolv.conf
SCRIPT
chmod +x /run/leased
case $1 in
dhclient) dhclient -pf /run/dhclient.pid eth0 ;;
dhcpcd) dhcpcd -4 -w eth0 ;;
udhcpc) /run/udhcpc -i eth0 -s /run/leased -b -p /run/udhcpc.pid ;;
none) ;;
esac >/dev/null 2>&1 </dev/null
# Not every client sets one where the address was there before.
ip route show default | grep -q . || ip route add default via "$2"
"#;

/// sn1 and sn2 serve n1 and n2.
struct Site<'c> {
    cluster: &'c Cluster,
    net: SimNet,
    servers: Vec<Option<SimNode>>,
    nodes: Vec<SimNode>,
}

/// Stands for xCAT's makedhcp where every server knows its own nodes only: the first service node of the nodes learns
/// them. With `nodeset` it makes the boot files there, too.
const SERVE: &str = r#"#!/bin/sh
set -eu
nodes=$1
first=${nodes%%,*}
sn=$(@XTAB@ get "$first" noderes.servicenode | sed 's/.*[ :"]\(sn[0-9]\),.*/\1/')
case ${0##*/} in
nodeset) echo "boot file of $sn" >"@DIR@/$sn.tftp/boot.0" ;;
makedhcp)
	cp "@DIR@/macs" "@DIR@/$sn.hosts"
	@SSH@ "root@$(cat "@DIR@/$sn.address")" 'kill -HUP $(cat /run/dnsmasq.pid)'
	;;
esac
echo "${0##*/} $*" >>"@DIR@/calls"
"#;

impl<'c> Site<'c> {
    fn new(cluster: &'c Cluster) -> Site<'c> {
        let net = SimNet::new();
        let start = |number| SimNode::start(&net, number, BOOT);
        let servers: Vec<_> = [1, 2].map(|number| Some(start(number))).into();
        let nodes: Vec<SimNode> = [3, 4].map(start).into();
        let site = Site {
            cluster,
            net,
            servers,
            nodes,
        };
        site.script("usr/bin/ssh", "#!/bin/sh\nexec @SSH@ \"$@\"\n");
        for name in ["nodeset", "makedhcp"] {
            site.script(&format!("opt/xcat/bin/{name}"), SERVE);
        }
        site.script(
            "opt/xcat/bin/updatenode",
            "#!/bin/sh\necho \"updatenode $*\" >>'@DIR@/calls'\n",
        );
        site.tables();
        for i in 0..2 {
            site.serve(i);
        }
        fs::copy(site.dir("macs"), site.dir("sn1.hosts")).unwrap();
        site.on_server(0, "kill -HUP $(cat /run/dnsmasq.pid)");
        site
    }

    fn tables(&self) {
        let rows = |rows: &[&[&str]]| -> Vec<Vec<String>> {
            let owned = |row: &&[&str]| row.iter().map(ToString::to_string).collect();
            rows.iter().map(owned).collect()
        };
        let restore = |table: &str, header: &str, content: &[&[&str]]| {
            self.cluster.restore(table, header, rows(content));
        };
        let address = |number| SimNet::address(number).to_string();
        restore(
            "site",
            "#key,value",
            &[
                &["master", "127.0.0.1"],
                &["domain", "cluster.test"],
                &["disjointdhcps", "1"],
            ],
        );
        restore(
            "nodelist",
            "#node,groups",
            &[
                &["sn1", "service"],
                &["sn2", "service"],
                &["n1", "compute"],
                &["n2", "compute"],
            ],
        );
        restore(
            "hosts",
            "#node,ip",
            &[
                &["sn1", &address(1)],
                &["sn2", &address(2)],
                &["n1", &address(3)],
                &["n2", &address(4)],
            ],
        );
        let services = "#node,dhcpserver,tftpserver,nameserver";
        restore(
            "servicenode",
            services,
            &[&["sn1", "1", "1", "1"], &["sn2", "1", "1", "1"]],
        );
        restore(
            "networks",
            "#netname,net,mask,gateway",
            &[&["cn", "10.77.0.0", "255.255.0.0", "<xcatmaster>"]],
        );
        restore(
            "noderes",
            "#node,servicenode,xcatmaster,tftpserver",
            &[&["compute", "sn1,sn2", &address(1), "sn1"]],
        );
        restore(
            "nodetype",
            "#node,os,provmethod",
            &[&["compute", "rhels9", "img"]],
        );
        restore(
            "postscripts",
            "#node,postscripts",
            &[&["xcatdefaults", "syslog"]],
        );
        restore("osimage", "#imagename,provmethod", &[&["img", "netboot"]]);
        let image = self.dir("image");
        fs::create_dir(&image).unwrap();
        restore(
            "linuximage",
            "#imagename,rootimgdir",
            &[&["img", image.to_str().unwrap()]],
        );
        let macs: Vec<String> = (0..2)
            .map(|i| self.on_node(i, "cat /sys/class/net/eth0/address"))
            .collect();
        restore("mac", "#node,mac", &[&["n1", &macs[0]], &["n2", &macs[1]]]);
        let known = format!(
            "{},{},n1\n{},{},n2\n",
            macs[0],
            address(3),
            macs[1],
            address(4)
        );
        fs::write(self.dir("macs"), known).unwrap();
    }

    /// Starts what a service node runs. Its DHCP server knows nobody yet.
    fn serve(&self, i: usize) {
        let name = format!("sn{}", i + 1);
        let tftp = self.dir(&format!("{name}.tftp"));
        fs::create_dir(&tftp).unwrap();
        fs::set_permissions(self.net.dir(), fs::Permissions::from_mode(0o755)).unwrap();
        if i == 0 {
            fs::write(tftp.join("boot.0"), format!("boot file of {name}\n")).unwrap();
        }
        fs::write(self.dir(&format!("{name}.hosts")), "").unwrap();
        fs::write(
            self.dir(&format!("{name}.address")),
            SimNet::address(i + 1).to_string(),
        )
        .unwrap();
        let records: String = [(3, "n1"), (4, "n2")]
            .map(|(number, node)| {
                format!(
                    "host-record={node}.cluster.test,{}\n",
                    SimNet::address(number)
                )
            })
            .concat();
        let config = format!(
            "no-resolv\nno-hosts\n{records}interface=eth0\nbind-interfaces\nuser=root\npid-file=/run/dnsmasq.pid\n\
             dhcp-leasefile=/run/leases\ndhcp-authoritative\ndhcp-range=10.77.0.0,static,255.255.0.0,1h\n\
             dhcp-hostsfile={}\ndhcp-boot=boot.0\nenable-tftp\ntftp-root={}\n",
            self.dir(&format!("{name}.hosts")).display(),
            tftp.display()
        );
        let file = self.dir(&format!("{name}.conf"));
        fs::write(&file, config).unwrap();
        // It goes to the background when it listens; the other one stands for xCAT's daemon.
        self.on_server(i, &format!("dnsmasq -C '{}'", file.display()));
        self.on_server(
            i,
            "socat TCP-LISTEN:3001,fork,reuseaddr /dev/null >/dev/null 2>&1 </dev/null &",
        );
    }

    fn dir(&self, name: &str) -> std::path::PathBuf {
        self.net.dir().join(name)
    }

    fn script(&self, name: &str, text: &str) {
        let ssh = format!(
            "/usr/bin/ssh -F none -i '{}' -oBatchMode=yes -oStrictHostKeyChecking=accept-new -oUserKnownHostsFile='{}'",
            self.net.key().display(),
            self.dir("known").display()
        );
        let text = text
            .replace("@SSH@", &ssh)
            .replace("@DIR@", self.net.dir().to_str().unwrap())
            .replace("@XTAB@", program("xtab").to_str().unwrap());
        let path = self.cluster.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[track_caller]
    fn on_server(&self, i: usize, command: &str) -> String {
        self.said(self.servers[i].as_ref().unwrap(), command)
    }

    #[track_caller]
    fn on_node(&self, i: usize, command: &str) -> String {
        self.said(&self.nodes[i], command)
    }

    #[track_caller]
    fn said(&self, node: &SimNode, command: &str) -> String {
        let output = self.net.ssh(node.address).arg(command).output().unwrap();
        assert!(output.status.success(), "{command}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_string()
    }

    /// Starts a node's DHCP client, or gives it the route that the lease would.
    fn lease(&self, i: usize, client: &str) {
        let file = self.dir("lease");
        fs::write(&file, LEASE).unwrap();
        let server = SimNet::address(1);
        self.on_node(i, &format!("sh '{}' {client} {server}", file.display()));
    }

    /// What a compute node gets when it boots from the network: who gave the lease, its address, its boot file.
    fn boot(&self, i: usize) -> (String, String, String) {
        let script = self.dir("leased");
        fs::write(
            &script,
            "#!/bin/sh\n[ \"$1\" != bound ] || echo \"$serverid $ip $boot_file\"\n",
        )
        .unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let lease = self.on_node(
            i,
            &format!(
                "busybox udhcpc -i eth0 -f -n -q -t 10 -T 1 -s '{}' 2>/dev/null",
                script.display()
            ),
        );
        let words: Vec<&str> = lease.split(' ').collect();
        let [server, address, file] = words[..] else {
            panic!("{lease}");
        };
        let content = self.on_node(i, &format!("curl -sS -m 20 tftp://{server}/{file}"));
        (server.to_string(), address.to_string(), content)
    }

    fn snmove(&self, args: &[&str]) -> Finished {
        // On the management node's network.
        let mut command = self.net.command(program("snmove"));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap());
        self.cluster.environment(&mut command);
        command.args(args).output().unwrap().into()
    }
}

/// With these DHCP clients on the nodes.
fn take_over(cluster: &Cluster, clients: [&str; 2]) {
    let mut site = Site::new(cluster);
    let (sn1, sn2) = (
        SimNet::address(1).to_string(),
        SimNet::address(2).to_string(),
    );
    let (n1, n2) = (
        SimNet::address(3).to_string(),
        SimNet::address(4).to_string(),
    );
    assert_eq!(
        site.boot(0),
        (sn1.clone(), n1.clone(), "boot file of sn1".into())
    );
    let good = |sn: &str| format!("{sn}: dhcp=yes bootfile=yes nfs=- dns=yes xcatd=yes\n");
    let verified = site.snmove(&["--verify", "compute"]);
    assert_eq!(
        verified.code(0).stdout,
        format!("n1: {0}n2: {0}", good("sn1"))
    );
    let plan = site.snmove(&["-s", "sn1", "--plan"]);
    let text = format!("n[1-2]: moves from sn1 to sn2; its master: {sn1} -> {sn2}\n");
    assert!(plan.code(0).stdout.starts_with(&text), "{}", plan.stdout);

    for (i, client) in clients.into_iter().enumerate() {
        site.lease(i, client);
        let way = site.on_node(i, "ip route show default");
        assert!(way.starts_with(&format!("default via {sn1} ")), "{way}");
    }

    // With all that it runs.
    site.servers[0] = None;
    let moved = site.snmove(&["-s", "sn1"]);
    moved.code(0);
    assert!(
        moved
            .stdout
            .contains("sn1: its DHCP server was not told to forget the nodes"),
        "{}",
        moved.stdout
    );
    for (i, client) in clients.into_iter().enumerate() {
        let way = site.on_node(i, "ip route show default");
        assert!(way.starts_with(&format!("default via {sn2} ")), "{way}");
        assert_eq!(way.lines().count(), 1, "{way}");
        let node = i + 1;
        let said = match client {
            "none" => format!("n{node}: no DHCP client: its address is fixed\n"),
            "udhcpc" => format!(
                "n{node}: udhcpc asked again; lease from a server that its files do not name; name servers: {sn2}\n"
            ),
            client => {
                format!("n{node}: {client} asked again; lease from {sn2}; name servers: {sn2}\n")
            }
        };
        assert!(moved.stdout.contains(&said), "{said}{}", moved.stdout);
        if client != "none" {
            let names = site.on_node(i, "grep ^nameserver /etc/resolv.conf");
            assert_eq!(names, format!("nameserver {sn2}"));
            site.on_node(i, &format!("pkill -x {client}"));
        }
    }
    let calls = fs::read_to_string(site.dir("calls")).unwrap();
    let wanted = "nodeset n1,n2 osimage=img\nmakedhcp n1,n2\nupdatenode n1,n2 -s\nupdatenode n1,n2 -P syslog\n";
    assert_eq!(calls, wanted);

    for (i, address) in [&n1, &n2].into_iter().enumerate() {
        assert_eq!(
            site.boot(i),
            (sn2.clone(), address.clone(), "boot file of sn2".into())
        );
    }
    let verified = site.snmove(&["--verify", "-s", "sn2"]);
    assert_eq!(
        verified.code(0).stdout,
        format!("n1: {0}n2: {0}", good("sn2"))
    );
    let rows = || cluster.run("xtab", &["dump", "noderes"]).stdout;
    let after = rows();
    assert!(after.contains("\"n1\",\"sn2,sn1\""), "{after}");
    site.snmove(&["-s", "sn1"]).code(0);
    assert_eq!(rows(), after);

    // What the new one does not do is seen.
    site.on_server(1, "kill $(cat /run/dnsmasq.pid)");
    let verified = site.snmove(&["--verify", "n1"]);
    assert_eq!(
        verified.code(1).stdout,
        "n1: sn2: dhcp=no bootfile=- nfs=- dns=no xcatd=yes\n"
    );

    site.snmove(&["--undo"]).code(0);
    assert!(!rows().contains("\"n1\""), "{}", rows());
}

fn is_possible() -> bool {
    parts::root() && PARTS.iter().all(|part| parts::have(part))
}

#[test]
fn nodes_of_a_dead_service_node_are_served_by_another() {
    if is_possible() {
        take_over(&Cluster::new(0), ["dhclient", "none"]);
    }
}

#[test]
fn the_same_with_tables_on_postgres() {
    if !is_possible() {
        return;
    }
    if let Some(cluster) = Cluster::on_postgres(0) {
        take_over(&cluster, ["dhcpcd", "udhcpc"]);
    }
}
