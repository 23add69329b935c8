#!/usr/bin/perl
# A node's report through xcatd's hook: what is written, who is woken, what the real programs make of it.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;

use Site;
use Xcatd;

my $site = Site->new(4);
my $xcatd = Xcatd->new(
    plugins => "$site->{root}/plugins",
    nodes   => [$site->nodes],
    site    => { nodetoolsgetadapter => 'nodetools_getadapter' },
);
my %nic = (
    interface => 'eno1', predictablename => 'eno1/enp1s0', pcilocation => '/pci0000:00/0000:0c:00.0',
    mac => '34:40:b5:be:6a:80', vendor => 'Emulex & Söhne', model => undef, linkstate => 'UP more',
);
my $column = 'eno1!mac=34:40:b5:be:6a:80 linkstate=UP pci=/pci0000:00/0000:0c:00.0 candidatename=eno1/enp1s0';
my $done = [{ serverdone => [undef] }];
# As xcatd's parser has it: every text is characters.
utf8::decode($nic{vendor});

# Somebody waits, and is woken: with a stock script's report and with one of ours.
for my $ours (0, 1) {
    my ($node, $other) = $ours ? qw(n3 n4) : qw(n1 n2);
    my $pid = open my $getadapter, '-|', Site::program('getadapter'), "$node,$other", '--timeout', 300
        or die "getadapter: $!";
    my ($nonce, @booted) = $site->boots;
    is_deeply(\@booted, [$node, $other], 'getadapter boots both');
    my @proof = $ours ? (nonce => [$nonce]) : ();
    my @response = $xcatd->request({ %{ Site::report($node, \%nic, { interface => 'a,b' }) }, @proof });
    is_deeply(\@response, $done, 'the node is told that it is done');
    # No pause in between: the line comes because of the bell or the look a second later.
    my $record = <$getadapter>;
    is($record, "$node:[0]->eno1!mac=34:40:b5:be:6a:80|pci=/pci0000:00/0000:0c:00.0|candidatename=eno1/enp1s0"
            . "|vendor=Emulex & S\xc3\xb6hne|model=|linkstate=UP\n", 'the record is printed');
    is_deeply([$xcatd->request({ %{ Site::report($other) }, @proof })], $done, 'a node without adapters has answered, too');
    my @rest = <$getadapter>;
    is_deeply(\@rest, [], 'nothing more is printed');
    close $getadapter;
    is($? >> 8, 0, 'both have answered');
    is($site->value($node, 'nics.nicsadapter'), $column, 'the row is what a request over the wire makes');
    is_deeply([$site->waiting], [], 'nothing waits');
}

# The bell alone wakes: a FIFO like a waiter's.
{
    my $run = "$site->{root}/var/run/getadapter";
    POSIX::mkfifo("$run/77777", 0600) or die $!;
    POSIX::mkfifo("$run/77778", 0660) or die $!;
    POSIX::mkfifo("$run/77779", 0600) or die $!;
    my @bells = map { sysopen my $end, "$run/$_", POSIX::O_RDWR() | POSIX::O_NONBLOCK() or die $!; $end } 77777, 77778;
    is_deeply([$xcatd->request(Site::report('n2', \%nic))], $done, 'stored');
    is(sysread($bells[0], my $rung, 100), 8, 'a waiter of ours is rung');
    is($rung, '0       ', 'with an empty frame');
    is(sysread($bells[1], $rung, 100), undef, 'one of the Perl era is not');
    my ($name) = $site->waiting;
    like($name, qr/\A[0-9]{20}\.$$\.n2\z/, 'the name of the file');
    my $text = Site::read_file($site->spool . "/$name");
    like($text, qr/\A[ -~]+\z/, 'plain ASCII');
    my $record = decode_json($text);
    is($record->{received}, 0 + substr($name, 0, 20), 'the time is that of the name');
    is_deeply([sort keys %$record], [qw(format nic node received)], 'and no more');
    is($record->{format}, 2, 'format 2');
    is($record->{nic}[0]{model}, '', 'an empty element is an empty text');
    is((stat $site->spool . "/$name")[2] & 07777, 0600, 'nobody else may read it');
    unlink map { "$run/$_" } 77777 .. 77779;
}

# Nobody waits: a process stores this report and the one before.
is_deeply([$xcatd->request(Site::report('n3', { %nic, interface => 'eno7' }))], $done, 'stored');
is_deeply([$site->waiting], [], 'nothing waits');
is($site->value('n2', 'nics.nicsadapter'), $column, 'the report that waited');
like($site->value('n3', 'nics.nicsadapter'), qr/\Aeno7!/, 'the report itself');

# What is no report of a node.
for my $case (
    [{ _xcat_clienthost => ['stranger'] }, qr/stranger: .*is no node/],
    [{ _xcat_clienthost => [undef] },      qr/no node's/],
    [{ _xcat_clienthost => ["../\e[2J"] }, qr/\Agetadapter: \.\.\/\\u\{1b\}\[2J: .*no node's/],
    [{ _xcat_clienthost => undef },        qr/the peer has no name/],
    [{ nonce => ['../..'] },               qr/its nonce is none/],
    [{ action => ['delete'] },             qr/no such action/],
) {
    my ($change, $why) = @$case;
    @xCAT::MsgUtils::messages = ();
    is_deeply([$xcatd->request({ %{ Site::report('n1', \%nic) }, %$change })], $done, 'refused: no error, as xcatd has it');
    is(scalar @xCAT::MsgUtils::messages, 1, 'one line for the log');
    like($xCAT::MsgUtils::messages[0], $why, 'which says why');
}
is_deeply([$site->waiting], [], 'nothing of it is stored');

# What cannot be stored now is an error: the node comes again.
my $spool = $site->spool;
Site::write_file("$spool/0000000000000000000$_.1.n1", '{}', 0600) for 1 .. 8;
like(($xcatd->request(Site::report('n1', \%nic)))[0]{error}[0], qr/busy, try later: 8 reports wait/, 'busy');
unlink glob "$spool/0*";
chmod 0777, $spool;
like(($xcatd->request(Site::report('n1', \%nic)))[0]{error}[0], qr/no directory of user/, 'a spool that others may write into');
chmod 0700, $spool;

# As much as a request can hold.
my %long = map { ($_ => 'x' x 5000) } qw(interface predictablename pcilocation mac vendor model);
is_deeply([$xcatd->request(Site::report('n4', \%nic, (\%long) x 400))], $done, 'a long one is stored');
is($site->value('n4', 'nics.nicsadapter'), $column, 'what fits is in the row');

# Elements where texts are expected, attributes where elements are.
my $odd = Site::report('n1', \%nic);
push @{ $odd->{nic} }, undef, 'text', { interface => 'eno2', mac => [{ x => ['y'] }] }, { interface => ['eno3'], foo => [1] };
is_deeply([$xcatd->request($odd)], $done, 'an odd one is stored');
is($site->value('n1', 'nics.nicsadapter'), $column, 'what fits is in the row, ports without any fact are not');

done_testing();
