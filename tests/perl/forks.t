#!/usr/bin/perl
# The count of processes per report through the route hook.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use POSIX ();
use Test::More;

use Site;

use constant REPORTS => 100;

my $site = Site->new(2);
my $run  = "$site->{root}/var/run/getadapter";

# Forks and executions under strace, without the first execution.
sub processes {
    my ($count) = @_;
    my $log = "$site->{root}/strace";
    my $said = `strace -f -qq -o '$log' -e trace=fork,vfork,clone,clone3,execve $^X '$FindBin::Bin/post-reports' '$site->{root}/plugins' n1 $count`;
    die "strace: ended with $?\n" if $?;
    my @acknowledged = $said =~ /acknowledged/g;
    is(scalar @acknowledged, $count, "$count reports are acknowledged");
    my @lines = grep { !/resumed>/ } split /\n/, Site::read_file($log);
    return scalar(grep { / execve\(/ } @lines) - 1, scalar grep { /(?:fork|clone3?)\(/ } @lines;
}

# Nobody waits: this is what counting finds.
my ($executed, $forked) = processes(2);
ok($forked >= 4 && $executed == 2, "nobody waits: $forked forks and $executed executions for 2 reports");

File::Path::make_path($run);
POSIX::mkfifo("$run/77777", 0600) or die $!;
sysopen my $waiter, "$run/77777", POSIX::O_RDWR() | POSIX::O_NONBLOCK() or die $!;
($executed, $forked) = processes(REPORTS);
is($forked,   0, 'somebody waits: no fork for ' . REPORTS . ' reports');
is($executed, 0, 'and nothing is executed');
sysread $waiter, my $bells, 10_000;
is(length $bells, 8 * REPORTS, 'each has rung');
is(scalar(my @left = $site->waiting), 1, 'and the last one lies in the spool');

done_testing();
