#!/usr/bin/perl
# Who handles a command where xCAT's own plugins lie beside ours, and what a site key changes.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Site;
use Xcatd;

my $site  = Site->new(3);
my @nodes = $site->nodes;
my $beside = $site->beside(
    getadapter => { getadapter => 'getadapter' },
    snmove     => { snmove     => 'snmove' },
    openbmc    => { rflash     => 'nodehm:mgt' },
);
my %mgt = (n1 => 'openbmc', n2 => 'openbmc', n3 => 'redfish');
my $xcatd = Xcatd->new(plugins => $beside, nodes => \@nodes, mgt => \%mgt);

sub handles {
    my ($command, $wanted, $what) = @_;
    is_deeply({ $xcatd->plugins_for($command, @nodes) }, $wanted, $what);
    return;
}

handles('getadapter', { getadapter => \@nodes }, 'getadapter stays xCAT\'s');
handles('snmove',     { snmove     => \@nodes }, 'snmove stays xCAT\'s');
handles('rflash',     { openbmc => ['n1', 'n2'], nodetools => ['n3'] }, 'rflash is xCAT\'s where it has one');
handles('nodereboot', { nodetools => \@nodes }, 'nodereboot is ours');
handles('osload',     { nodetools => \@nodes }, 'osload is ours');
my $all = $xcatd->{handlers};
is_deeply([sort grep { grep { $_->[0] =~ /nodetools/ } @{ $all->{$_} } } keys %$all],
    [qw(getadapter nodereboot osload rflash snmove)], 'and no other command');

$xcatd->{site} = { nodetoolsgetadapter => 'nodetools_getadapter', nodetoolssnmove => 'nodetools' };
handles('getadapter', { nodetools_getadapter => \@nodes }, 'the key takes getadapter over');
handles('snmove',     { nodetools            => \@nodes }, 'the key takes snmove over');
handles('rflash',     { openbmc => ['n1', 'n2'], nodetools => ['n3'] }, 'nothing changes for rflash');
is_deeply({ $xcatd->plugins_for('getadapter') }, { nodetools_getadapter => [] }, 'for a node\'s report, too');

# Taken over and given back, with requests.
my $ask = { command => ['snmove'], node => ['n1'], arg => ['--plan', '-d', 'sn2', '-D', 'sn2', '--no-dest-check'], _xcat_authname => ['root'] };
my ($out, $err, $code) = Xcatd::client($xcatd->request($ask));
is($code, 0, 'snmove --plan') or diag $err;
like($out, qr/\An1: .*sn2/m, 'ours makes the plan');
$xcatd->{site} = {};
($out, $err, $code) = Xcatd::client($xcatd->request($ask));
is($out, "xCAT did it\n", 'without the key xCAT\'s own plugin is asked');

done_testing();
