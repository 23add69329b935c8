#!/usr/bin/perl
# Every program, doing something real, in every state in which Perl code and init scripts start programs.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use File::Path qw(make_path);
use JSON::PP;
use POSIX qw(mkfifo);
use Test::More;

use Call;
use Site;

my $site = Site->new(3, 66);
my $root = $site->{root};

# The site's hook answers for the nodes that it boots: with a report of adapters, or by loading the disk.
my $request = "$root/request.xml";
Site::write_file($request, <<'END', 0600);
<xcatrequest>
<command>getadapter</command>
<action>update</action>
<nic><interface>eno1</interface><mac>34:40:b5:be:6a:80</mac></nic>
</xcatrequest>
END
Site::write_file("$root/boot", <<"END", 0755);
#!/bin/sh
while read -r node; do
	echo "\$1 \$node" >>'$root/booted'
	case \$1 in
	runcmd=osload-agent) setsid '$root/bin/osload-agent' --device '$root/disk' --foreground --return </dev/null >'$root/console' 2>&1 & ;;
	runcmd=*) '$root/bin/callbackd' --stdin --peer 127.1.0.\${node#n} <'$request' >/dev/null || exit ;;
	esac
done
END

# Programs say that they are ready into a FIFO.
mkfifo("$root/$_", 0600) or die $! for qw(ready world);

# A simulated BMC for each node.
my $config = { password => 'secret', scale => 50, groups => [{ count => 3, first => '127.66.0.1' }] };
Site::write_file("$root/bmcs.json", encode_json($config), 0600);
open my $alive, '|-', "exec $root/bin/bmc-simulator $root/bmcs.json $root/bmcs.control >$root/ready" or die $!;
is(first_line("$root/ready"), "ready\n", 'simulated BMCs');

# A node for the agent to look at.
my $net = "$root/node/sys/devices/pci0000:00/0000:00:03.0/net/eth0";
make_path($net, "$root/node/sys/class/net", "$root/node/sys/bus/pci");
my %said = (address => '52:54:00:00:00:01', operstate => 'up', ifindex => 2, iflink => 2, type => 1);
Site::write_file("$net/$_", "$said{$_}\n", 0644) for keys %said;
symlink '../..', "$net/device" or die $!;
symlink '../../devices/pci0000:00/0000:00:03.0/net/eth0', "$root/node/sys/class/net/eth0" or die $!;

my $disk = "$root/node/sys/devices/pci0000:00/0000:00:1f.2/block/sda";
make_path("$disk/queue", "$root/node/sys/block");
my %disk = (size => 409_600, removable => 0, ro => 0, dev => '8:0', 'queue/logical_block_size' => 512);
Site::write_file("$disk/$_", "$disk{$_}\n", 0644) for keys %disk;
symlink '../devices/pci0000:00/0000:00:1f.2/block/sda', "$root/node/sys/block/sda" or die $!;

# A node at the address that agents of this host come from, with a disk, and an image for it.
$site->succeed('xtab', 'set', '--new', 'l1', 'groups=loaded', 'hosts.ip=127.0.0.1');
my $image = join '', map { pack 'N*', map { $_ * 2_654_435_761 % 2**32 } $_ * 65_536 .. $_ * 65_536 + 65_535 } 1 .. 8;
Site::write_file("$root/image.raw", $image, 0600);

# Where nodereboot-priv finds what it runs, and that finds tables and images without an environment.
make_path("$root/sbin", "$root/etc");
my $place = <<'END';
cp -a /etc/. "$1/etc" && mount --bind "$1/etc" /etc && mkdir -p /etc/xcat && mount --bind "$1/tables" /etc/xcat &&
echo "images = $1/var/lib/xcat-nodetools/images" >"$1/etc/xcat-nodetools.conf" &&
cp -L "$1/bin/nodereboot" "$1/bin/osload" "$1/sbin/" && mount --bind "$1/sbin" /usr/sbin && echo ready >"$1/world" && exec cat
END
my $inside = open my $world, '|-', 'unshare', '--mount', '--propagation', 'private', 'sh', '-c', $place, 'sh', $root or die $!;
is(first_line("$root/world"), "ready\n", 'a place for nodereboot-priv');

sub first_line {
    open my $file, '<', $_[0] or die $!;
    return scalar <$file>;
}

$site->succeed('oneserver', 'init', 'imaged');

sub program { return "$root/bin/$_[0]" }

# A report that nobody waits for, and is stored.
sub report_waits {
    make_path($site->spool);
    chmod 0700, $site->spool;
    my $record = { format => 2, node => 'n2', received => time * 1_000_000_000, nic => [{ interface => 'eno1' }] };
    Site::write_file($site->spool . "/00000000000000000001.1.n2", encode_json($record), 0600);
    return sub { !$site->waiting };
}

# A disk with something else on it, that is overwritten.
sub disk_differs {
    Site::write_file("$root/disk", 'x' x length $image, 0600);
    return sub { Site::read_file("$root/disk") eq $image };
}

# Name, what to do before (it returns what tells whether all is well afterwards), arguments, what standard output and standard error say, exit code, input. The
# first comes before getadapter, whose callbackd would take its report.
my @DOES = (
    ['callbackd', \&report_waits, ['--apply', '-V'], qr/\A\z/, qr/\Acallbackd: n2: report of 1 adapters stored\n\z/, 0],
    ['callbackd', undef, ['--stdin', '--peer', '127.1.0.2'], qr/<serverdone>/, qr/\A\z/, 0, $request],
    ['xtab', undef, ['nodes', 'all'], qr/\An1\nn2\nn3\n\z/, qr/\A\z/, 0],
    ['xtab', undef, ['nodes', 'n9'], qr/\A\z/, qr/n9/, 1],
    ['getadapter', undef, ['all', '-f', '--timeout', 60],
        qr/\A(?:n[123]:\[0\]->eno1!mac=34:40:b5:be:6a:80\n){3}\z/, qr/^getadapter: 3 answered: n\[1-3\]; 0 failed$/m, 0],
    ['getadapter', undef, ['all', '-f', '--dry-run'], qr/\An1: would be booted into genesis\n/, qr/\A\z/, 0],
    ['findadapter-agent', undef, ['--print', '--sysroot', "$root/node"], qr{<mac>52:54:00:00:00:01</mac>.*</xcatrequest>\n\z}s, qr/\A\z/, 0],
    ['osload-agent', undef, ['--print-disks', '--sysroot', "$root/node"], qr/\Acandidate: sda \(209715200 bytes\)\n\z/, qr/\A\z/, 0],
    ['nodereboot', undef, ['all', '-f', '--pause', 0], qr/\A(?:n[123]: rebooted by the site's boot command\n){3}\z/, qr/^nodereboot: 3 rebooted: n\[1-3\]; 0 failed$/m, 0],
    ['nodereboot', undef, ['all', '--dry-run'], qr/\An1: would reboot/, qr/\A\z/, 0],
    ['nodereboot-priv', undef, ['--dry-run', 'n1'], qr/\An1: would reboot/, qr/\A\z/, 0],
    ['rflash', undef, ['all', '-c'], qr/\A(?:n[123]: (?:BMC|HOST) .*\n){6}\z/, qr/\A\z/, 0],
    ['snmove', undef, ['n1', '--plan', '-d', 'sn2', '-D', 'sn2', '--no-dest-check'], qr/^n1: row: noderes.servicenode: sn1,sn2 -> sn2,sn1$/m, qr/nothing was changed/, 0],
    ['osload', undef, ['image', 'add', 'img', "$root/image.raw", '--format', 'raw'], qr/\Aimg: 2\.0 MiB of 2\.0 MiB in .*, from raw, [0-9a-f]{64}\n\z/, qr/\A\z/, 0],
    ['osload', undef, ['image', 'verify', 'img'], qr/\Aimg: whole\n\z/, qr/\A\z/, 0],
    ['osload', undef, ['-i', 'img', 'all', '--dry-run'], qr/\A(?:n[123]: would load img\b.*\n){3}\z/, qr/\A\z/, 0],
    ['osload', \&disk_differs, ['-i', 'img', 'l1'], qr/\Al1: .*loaded.*\n\z/, qr/^osload: 1 loaded: l1; 0 failed$/m, 0],
    ['nodereboot-priv', undef, ['--osload', '--dry-run', 'n1', '-i', 'img'], qr/\An1: would load img/, qr/\A\z/, 0],
    ['oneserver', undef, ['status', 'imaged'], qr/\Aimaged: stopped\n\z/, qr/\A\z/, 7],
);

for my $does (@DOES) {
    my ($name, $before, $words, $out, $err, $code, $input) = @$does;
    my @command = (program($name), @$words);
    @command = ('nsenter', '--target', $inside, '--mount', '--', @command) if $name eq 'nodereboot-priv';
    for my $state ('', sort keys %Call::STATE) {
        my $is_well = $before && $before->();
        my @got = Call::finish(Call::start($state, $input // '/dev/null', @command));
        # What goes to a closed stream is nowhere, and least of all in a file of ours.
        my $no_out = $state =~ /output|all three/ || $input && $state =~ /input/;
        my $no_err = $state =~ /error|all three/;
        my $fine = $got[0] =~ ($no_out ? qr/\A\z/ : $out) && $got[1] =~ ($no_err ? qr/\A\z/ : $err) && $got[2] eq $code && $got[3] eq '' && (!$is_well || $is_well->());
        ok($fine, "$name @$words: " . ($state || 'as usual')) or diag explain \@got;
    }
}

# A supervisor and its server.
mkfifo("$root/up", 0600) or die $!;
my $server = "echo host:1 >&3; exec 3>&-; echo up >'$root/up'; exec sleep 1000";
for my $state ('', sort keys %Call::STATE) {
    my $call = Call::start($state, '/dev/null', program('oneserver'), 'run', 'imaged', '--', 'sh', '-c', $server);
    first_line("$root/up");
    like($site->succeed('oneserver', 'need', 'imaged', '--wait', 60), qr/host:1/, "oneserver run: $state: the server is ready");
    is_deeply([Call::holders($call)], [], 'and has no descriptor of the caller\'s') if $call->{to};
    $site->succeed('oneserver', 'stop', 'imaged');
    my @got = Call::finish($call);
    ok($got[2] eq '0' && $got[3] eq '', 'and it ends in an orderly way') or diag explain \@got;
}

# Pipes: as a whole, line by line, and by a reader that has seen enough.
my $errors = "$root/errors";
for my $does (@DOES) {
    my ($name, $before, $words, $out, $err, $code, $input) = @$does;
    next if $name eq 'nodereboot-priv' || $before;
    my $line = join ' ', (map { Site::quote($_) } program($name), @$words), '<', $input // '/dev/null';
    my $all = `$line 2>$errors`;
    ok($all =~ $out && $? >> 8 == $code && Site::read_file($errors) =~ $err, "$name @$words: backticks") or diag explain [$all, $?];
    open my $pipe, '-|', "exec $line 2>$errors" or die $!;
    my @lines = <$pipe>;
    close $pipe;
    ok(join('', @lines) =~ $out && $? >> 8 == $code && Site::read_file($errors) =~ $err, "$name @$words: a pipe") or diag explain [\@lines, $?];
    open $pipe, '-|', "exec $line 2>$errors" or die $!;
    my $first = <$pipe>;
    close $pipe;
    ok($? >> 8 == $code && !($? & 127) && Site::read_file($errors) =~ $err, "$name @$words: a pipe that is closed early") or diag explain [$?, Site::read_file($errors)];
}

# More than a pipe holds, in and out.
$site->table('nodelist', 'node,groups', map { ["n$_", 'all'] } 1 .. 30_000);
open my $pipe, '-|', 'exec ' . program('xtab') . " nodes all 2>$errors" or die $!;
is(scalar <$pipe>, "n1\n", 'the first of 30000 lines');
close $pipe;
is("$? " . Site::read_file($errors), '0 ', 'the reader is gone: a quiet end');
open $pipe, '|-', 'exec ' . program('xtab') . " nodes - >$root/counted" or die $!;
print {$pipe} map { "n$_\n" } 1 .. 30_000;
close $pipe;
my @counted = split /\n/, Site::read_file("$root/counted");
is($?, 0, 'names by a pipe');
is(scalar @counted, 30_000, 'all of them');

done_testing();
