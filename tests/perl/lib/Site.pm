# A private site for one test: tables and directories of its own, the built programs, our plugins as they
# are installed. NODETOOLS_BIN names the directory of the programs.
package Site;

use strict;
use warnings;

use File::Path qw(make_path);
use File::Temp qw(tempdir);
use FindBin;
use IO::Socket::INET;
use JSON::PP;
use POSIX qw(mkfifo);

my $bin = $ENV{NODETOOLS_BIN} // die "NODETOOLS_BIN: is not set: cargo test -p scenarios --test perl sets it\n";
my $project = "$FindBin::Bin/../..";

# Nodes n1..nCOUNT in group all, at 127.1.0.I, all of mgt openbmc but nCOUNT, which is of redfish; service
# nodes sn1 (theirs) and sn2. Their BMCs are at 127.BMCS.0.I; whoever simulates some names BMCS, for the
# scripts run at once: at 67 there are none. Boots are announced in a FIFO.
sub new {
    my ($class, $count, $bmcs) = (@_, 67);
    my $root = tempdir(CLEANUP => 1);
    my $self = bless { root => $root, count => $count }, $class;
    make_path("$root/tables", "$root/plugins");
    # Nothing of this machine's, and nothing of the test's caller.
    my $path = $ENV{PATH};
    %ENV = (PATH => $path, NODETOOLS_ROOT => $root, NODETOOLS_BIN => $bin,
        XCATCFG => "SQLite:$root/tables", XCATROOT => "$root/opt/xcat");
    $self->succeed('xtab', 'init');
    my $free = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die "a port: $!";
    my $port = $free->sockport;
    close $free;
    mkfifo("$root/boots", 0700) or die "boots: $!";
    write_file("$root/boot", "#!/bin/sh\n{ cat; echo \"nonce \$NODETOOLS_NONCE\"; } > '$root/boots'\n", 0755);
    my @nodes = $self->nodes;
    $self->table('site', 'key,value', ['master', '127.0.0.1'], ['nodetoolsport', $port], ['bootcmd', "$root/boot"]);
    $self->table('nodelist', 'node,groups', (map { [$_, 'all'] } @nodes), map { ["sn$_", 'service'] } 1, 2);
    $self->table('hosts', 'node,ip', (map { ["n$_", "127.1.0.$_"] } 1 .. $count), map { ["sn$_", "127.2.0.$_"] } 1, 2);
    $self->table('nodehm', 'node,mgt', map { [$_, $_ eq $nodes[-1] ? 'redfish' : 'openbmc'] } @nodes);
    $self->table('openbmc', 'node,bmc,username,password', map { ["n$_", "127.$bmcs.0.$_", 'root', 'secret'] } 1 .. $count);
    $self->table('servicenode', 'node', ['sn1'], ['sn2']);
    $self->table('networks', 'netname,net,mask', ['all', '127.0.0.0', '255.0.0.0']);
    $self->table('noderes', 'node,servicenode,xcatmaster', map { [$_, 'sn1,sn2', 'sn1'] } @nodes);
    make_path("$root/bin");
    symlink $_, "$root/bin/" . s{.*/}{}r or die "$_: $!\n" for grep { -f && -x } glob "$bin/*";
    for my $name (qw(nodetools nodetools_getadapter)) {
        my $text = read_file("$project/scripts/xcat/$name.pm");
        # As scripts/install-files puts the directories in.
        $text =~ s{/usr/sbin/|/usr/libexec/xcat-nodetools/}{$root/bin/}g;
        write_file("$root/plugins/$name.pm", $text, 0644);
    }
    return $self;
}

sub nodes { return map { "n$_" } 1 .. $_[0]{count} }

# Fills a table.
sub table {
    my ($self, $name, $columns, @rows) = @_;
    my $file = "$self->{root}/$name.csv";
    write_file($file, join('', "#$columns\n", map { join(',', map { qq("$_") } @$_) . "\n" } @rows), 0600);
    $self->succeed('xtab', 'restore', $file);
    return;
}

# What a table holds of a node in one column.
sub value {
    my ($self, $node, $attribute) = @_;
    return decode_json($self->succeed('xtab', 'get', $node, $attribute, '--json'))->{$attribute};
}

# Standard output of a program of ours that must end well.
sub succeed {
    my ($self, $name, @words) = @_;
    my $text = join ' ', map { quote($_) } "$bin/$name", @words;
    my $out = `$text </dev/null`;
    die "$name @words: ended with $?\n" if $?;
    return $out;
}

# The spool, and the reports that wait in it.
sub spool { return "$_[0]{root}/var/lib/xcat-nodetools/reports" }

sub waiting {
    my ($self) = @_;
    opendir my $dir, $self->spool or return;
    return sort grep { /\A[0-9]/ } readdir $dir;
}

# Waits until a program boots nodes; returns them and the nonce.
sub boots {
    my ($self) = @_;
    my @lines = split /\n/, read_file("$self->{root}/boots");
    my ($nonce) = (pop @lines) =~ /\Anonce (\S+)\z/ or die "boots: no nonce\n";
    return ($nonce, @lines);
}

# A request as xcatd has it after parsing: every element a list.
sub report {
    my ($node, @nics) = @_;
    return {
        command => ['getadapter'], action => ['update'], _xcat_clienthost => [$node],
        nic => [map { my $nic = $_; +{ map { ($_ => [$nic->{$_}]) } keys %$nic } } @nics],
    };
}

# Puts a script in the place of a program, for the plugins.
sub fake {
    my ($self, $name, $script) = @_;
    unlink "$self->{root}/bin/$name";
    write_file("$self->{root}/bin/$name", $script, 0755);
    return;
}

# A directory with our plugins and these: name, and what it handles.
sub beside {
    my ($self, %others) = @_;
    my $dir = "$self->{root}/beside";
    make_path($dir);
    symlink $_, "$dir/" . s{.*/}{}r or die "$_: $!\n" for glob "$self->{root}/plugins/*.pm";
    for my $name (keys %others) {
        my $handled = join ', ', map { "$_ => '$others{$name}{$_}'" } keys %{ $others{$name} };
        write_file("$dir/$name.pm", <<"END", 0644);
package xCAT_plugin::$name;
sub handled_commands { return { $handled } }
sub process_request { \$_[1]->({ data => ['xCAT did it'] }) }
1;
END
    }
    return $dir;
}

sub program { return "$bin/$_[0]" }

sub quote { return "'" . ($_[0] =~ s/'/'\\''/gr) . "'" }

sub read_file {
    my ($name) = @_;
    open my $file, '<', $name or die "$name: $!\n";
    local $/;
    return scalar <$file>;
}

sub write_file {
    my ($name, $text, $mode) = @_;
    open my $file, '>', $name or die "$name: $!\n";
    print {$file} $text or die "$name: $!\n";
    close $file or die "$name: $!\n";
    chmod $mode, $name or die "$name: $!\n";
    return;
}

1;
