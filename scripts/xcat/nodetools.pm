# Part of xcat-nodetools, under the Apache License 2.0 or the MIT licence.
#
# A plugin for xCAT's daemon: hands a client's command to our program of that name, the nodes on its
# standard input, and its lines back as they come. xcat-nodetools-plugins(7) says how it is put into xcatd.
package xCAT_plugin::nodetools;

use strict;
use warnings;

use IO::Handle;
use IO::Select;
use POSIX ();

my %PROGRAM = (
    (map { ($_ => "/usr/sbin/$_") } qw(callbackd getadapter nodereboot osload)),
    (map { ($_ => "/usr/libexec/xcat-nodetools/$_") } qw(rflash snmove)),
);

# Options that others than root may give. Not here is what names a file, a descriptor or further nodes,
# what says which management controllers to believe, and what concerns other people's runs: the program
# runs as root. The letters come first.
my @ALL = qw(verbose help version strict dry-run json max-nodes fanout);
my %FREE = (
    getadapter => ['Vhvfu', @ALL, qw(force live reboot-running timeout diff)],
    nodereboot => ['VhvdswWfkbcpF', @ALL, qw(silent wait wait-time power kill configure prepare force
        boot direct-bootp batch pause per-chassis canary max-fail limit)],
    osload => ['VhvFPRcdDimoprwz', @ALL, qw(disk max-fail overwrite timeout wait-time)],
    rflash => ['Vhvlcuad', @ALL, qw(list check upload activate delete sshkey no-host-reboot preflight
        skip-current outliers canary batch pause max-fail rate pull sha256 timeout background)],
    snmove => ['VhvsSdDiPln', @ALL, qw(source sourcen dest destn ignorenodes postscripts liteonly
        noretarget plan verify no-dest-check strict-pool)],
);

# nodereboot and osload are ours alone. snmove is xCAT's, unless the site key names this plugin. Firmware
# is sent by xCAT's plugin of a node's mgt; redfish has none for it.
sub handled_commands {
    return {
        nodereboot => 'nodetools',
        osload     => 'nodetools',
        rflash     => 'nodehm:mgt=^redfish$',
        snmove     => 'site:nodetoolssnmove',
    };
}

# xcatd has checked its policy for this user and command. It runs as root, so programs that judge for
# themselves (nodereboot, osload) are told by SUDO_UID whom to judge.
sub process_request {
    my ($request, $callback) = @_;
    my ($command, $user) = map { ref $_ ? $_->[0] : $_ } @{$request}{qw(command _xcat_authname)};
    my @words = grep { defined } ref $request->{arg} ? @{ $request->{arg} } : $request->{arg};
    my @nodes = @{ $request->{node} // [] };
    my $uid;
    if (!defined $user || $user ne 'root') {
        # Somebody without an account here is nobody in particular, and certainly not root.
        $uid = (defined $user ? (getpwnam $user)[2] : undef) // 4_294_967_295;
        # Without nodes osload is the administrator's: its commands keep the images.
        my $keeps = $command eq 'osload' && !@nodes;
        if (my ($word) = grep { !is_free($command, $_) || $keeps && !/\A-/ } @words) {
            $callback->({ error => ["$command: $word: only root may say so here"], errorcode => [2] });
            return;
        }
    }
    # Nodes that xcatd was asked for, and that are none: not the whole cluster, not a usage error.
    if ($request->{emptynoderange} && !@nodes) {
        $callback->({ error => ["$command: the noderange names no node"], errorcode => [2] });
        return;
    }
    my %node = map { ($_ => 1) } @nodes;
    my $code = run(
        $command,
        [@nodes ? '-' : (), @words],
        \@nodes, $uid,
        sub {
            my ($line, $is_error) = @_;
            $line =~ s/\A\Q$command\E: // if $is_error;
            $callback->(response($line, $is_error, \%node));
        }
    );
    $callback->({ errorcode => [$code] }) if $code;
    return;
}

# Runs a program of ours as root, or for the user `uid`; calls `line` with each of its lines and whether
# it is of standard error. Returns its exit code, 3 if there is none.
sub run {
    my ($name, $words, $nodes, $uid, $line) = @_;
    my $program = $PROGRAM{$name} // return 3;
    # In a file, not a pipe: neither side can wait for the other.
    open my $input, '+>', undef or die "$name: a temporary file: $!\n";
    print {$input} map { "$_\n" } @{ $nodes // [] };
    ($input->flush && seek $input, 0, 0) or die "$name: a temporary file: $!\n";
    pipe my $output, my $output_end or die "$name: a pipe: $!\n";
    pipe my $errors, my $errors_end or die "$name: a pipe: $!\n";

    # xcatd's handlers would take the program's status, or die of a client that is gone.
    local $SIG{CHLD} = 'DEFAULT';
    my $pid = fork // die "$name: fork: $!\n";
    if ($pid == 0) {
        POSIX::dup2(fileno $input, 0);
        POSIX::dup2(fileno $output_end, 1);
        POSIX::dup2(fileno $errors_end, 2);
        $SIG{$_} = 'DEFAULT' for qw(PIPE INT QUIT TERM HUP ALRM USR1 USR2);
        %ENV = environment($uid);
        exec {$program} $program, @$words or print STDERR "$name: $program: $!\n";
        POSIX::_exit(3);
    }
    close $_ for $input, $output_end, $errors_end;
    # A client that gives up: the program ends in its own orderly way, and says how far it came.
    local $SIG{INT}  = sub { kill TERM => $pid };
    local $SIG{TERM} = $SIG{INT};

    my %rest = (fileno $output, '', fileno $errors, '');
    my $open = IO::Select->new($output, $errors);
    while ($open->count) {
        for my $from ($open->can_read) {
            my $is_error = $from == $errors;
            my $rest     = \$rest{ fileno $from };
            my $got      = sysread $from, $$rest, 65_536, length $$rest;
            next if !defined $got && $!{EINTR};
            $line->($1, $is_error) while $$rest =~ s/\A([^\n]*)\n//;
            next if $got;
            $line->($$rest, $is_error) if length $$rest;
            $open->remove($from);
        }
    }
    1 while waitpid($pid, 0) == -1 && $!{EINTR};
    my $signal = $? & 127;
    $line->("$name: was ended by signal $signal", 1) if $signal;
    return $signal ? 3 : $? >> 8;
}

# What xcatd sends to the client for a line: with a node's name before it that node's.
sub response {
    my ($line, $is_error, $node) = @_;
    my ($name, $text) = $line =~ /\A(\S+): (.*)\z/s;
    my $of_node = defined $name && $node->{$name};
    my %said =
          $is_error ? (error => [$of_node ? $text : $line], NoErrorPrefix => [1])
        : $of_node  ? (data => [{ contents => [$text] }])
        :             (data => [$line]);
    return $of_node ? { node => [{ name => [$name], %said }] } : \%said;
}

# True if anybody may say this word to the command.
sub is_free {
    my ($command, $word) = @_;
    return 1 if $word !~ /\A-/;
    my ($letters, @names) = @{ $FREE{$command} // [''] };
    return 1 if $word =~ /\A-[$letters]+\z/;
    my ($name) = $word =~ /\A--([a-z0-9-]+)(?:=.*)?\z/s;
    return defined $name && grep { $_ eq $name } @names;
}

# A new environment: nothing of the daemon's but where xCAT and the tables are.
sub environment {
    my ($uid) = @_;
    my %new = (PATH => '/usr/sbin:/usr/bin:/sbin:/bin', HOME => '/root', LANG => 'C');
    for my $name (qw(XCATROOT XCATCFG NODETOOLS_ROOT)) {
        $new{$name} = $ENV{$name} if defined $ENV{$name};
    }
    $new{SUDO_UID} = $uid if defined $uid;
    return %new;
}

1;
