#!/usr/bin/perl
# The process that holds the node's connection is killed before each of its calls that changes something:
# a report that was acknowledged reaches the table, and one that was not leaves nothing half.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Site;

use constant CALLS => 'openat,write,fsync,rename,unlink,mkdir';

$ENV{PERL_HASH_SEED} = 0;
my $site = Site->new(2);
my $run  = "$site->{root}/var/run/getadapter";
$ENV{PERL_HASH_SEED} = 0;
File::Path::make_path($run);
POSIX::mkfifo("$run/77777", 0600) or die $!;
sysopen my $waiter, "$run/77777", POSIX::O_RDWR() | POSIX::O_NONBLOCK() or die $!;

sub post {
    my (@options) = @_;
    return `strace -qq @options $^X '$FindBin::Bin/post-reports' '$site->{root}/plugins' n1 1 2>/dev/null`;
}

my $log = "$site->{root}/strace";
is(post("-o '$log' -e trace=@{[CALLS]}"), "acknowledged\n", 'undisturbed');
my @calls = grep { /\A\w+\(/ } split /\n/, Site::read_file($log);
my ($first) = grep { $calls[$_] =~ /reports/ } 0 .. $#calls;
ok(defined $first, 'the calls are found');
# fsync of the file, then its name, then fsync of the directory, then the bell, then the answer.
my $order = join ' ', map { /\A(fsync|rename)\(/ ? $1 : /\Aopenat.*77777/ ? 'bell' : /acknowledged/ ? 'answer' : () } @calls;
is($order, 'fsync rename fsync bell answer', 'safe first, then the bell and the answer');

my ($acknowledged, $stored, $runs) = (0, 0, 0);
for my $at ($first + 1 .. @calls) {
    $site->table('nics', 'node,nicsadapter', ['n1', 'eno9!mac=00:00:00:00:00:09']);
    unlink glob($site->spool . '/0*'), glob($site->spool . '/applied/*');
    my $said = post("-o /dev/null -e inject=@{[CALLS]}:signal=SIGKILL:when=$at");
    $runs++;
    # The rest is the programs': what waits is stored, what is half goes.
    my $there = () = $site->waiting;
    $site->succeed('callbackd', '--apply');
    my $value = $site->value('n1', 'nics.nicsadapter');
    my $row   = $there ? 'eno1!mac=34:40:b5:be:6a:80' : 'eno9!mac=00:00:00:00:00:09';
    is($value, $row, "killed before call $at ($calls[$at - 1]): the row");
    ok($there, "killed before call $at: what was acknowledged is there") if $said;
    $acknowledged++ if $said;
    $stored++       if $there;
    # The next run of anybody that finds a report takes away what died.
    $said = post('-o /dev/null -e trace=none');
    is($said, "acknowledged\n", 'the node comes again and is heard');
    $site->succeed('callbackd', '--apply');
    is($site->value('n1', 'nics.nicsadapter'), 'eno1!mac=34:40:b5:be:6a:80', 'and stored');
    opendir my $dir, $site->spool or die $!;
    is_deeply([grep { /\.new\z/ } readdir $dir], [], 'nothing half is left');
}
ok($runs > 8 && $stored < $runs && $acknowledged < $stored, "$runs kills: $stored stored, $acknowledged acknowledged");

done_testing();
