# Part of xcat-nodetools, under the Apache License 2.0 or the MIT licence.
#
# A plugin for xCAT's daemon: takes a node's report of its network adapters. xcatd calls route_request in
# the process that holds the node's connection. There the report becomes a file on disk and whoever waits
# for the node is woken: no process is made, no table is written. xcat-nodetools-plugins(7) says how it is
# put into xcatd, getadapter-report(5) what it writes.
package xCAT_plugin::nodetools_getadapter;

use strict;
use warnings;

use Fcntl qw(:DEFAULT :mode);
use File::Basename qw(dirname);
use File::Path qw(make_path);
use IO::Handle;
use JSON::PP;
use Time::HiRes qw(gettimeofday);

require(dirname(__FILE__) . '/nodetools.pm');

# What xcatd understands as the hook's answer.
use constant { REFUSED => 0, FORK => 1, DONE => 2 };

# What a node says of an adapter; the rest of a nic element is not kept.
my @FIELDS = qw(interface predictablename pcilocation mac vendor model linkstate
    driver speed firmware permanentmac guid mtu numanode pciid);

# As many adapters as are looked at, and one, so that the remark comes that there were more. A value is
# kept a little beyond the longest that fits anywhere, for the same reason.
use constant { ADAPTERS => 257, LONGEST_VALUE => 600 };

# The limits of every poster: a record's bytes, reports that wait, those of one node.
use constant { LONGEST => 2 << 20, MOST => 20_000, MOST_OF_A_NODE => 8 };

# "Look into the spool now": the header of an empty frame.
use constant BELL => '0       ';

# True in the process that was made for a report which the hook has stored.
my $stored = 0;

# Unless the site key names this plugin, xCAT's own one stays in charge.
sub handled_commands {
    return { getadapter => 'site:nodetoolsgetadapter' };
}

# The hook. Dies if the report is not safe: xcatd then answers with an error, where it would say
# "serverdone" for everything else, and our agent comes again.
sub route_request {
    my ($request) = @_;
    $stored = 0;
    my $action = word($request->{action});
    # What a user asks for: xcatd makes a process for it, which calls process_request.
    return FORK if !defined $action || $action eq 'inspect';
    my ($node, $nonce) = map { word($request->{$_}) } qw(_xcat_clienthost nonce);
    my $why =
          $action ne 'update'                ? 'no such action'
        : !defined $node                     ? 'the peer has no name'
        : $node !~ /\A[A-Za-z0-9][\w.-]{0,199}\z/a ? 'the peer\'s name is no node\'s'
        : ($nonce // '') !~ /\A[[:xdigit:]]{0,64}\z/a ? 'its nonce is none'
        : !is_node($node)                    ? 'is no node'
        :                                      undef;
    return refuse($node, $why) if $why;
    my %report = (format => 2, node => $node, nic => [adapters($request->{nic})]);
    $report{nonce} = $nonce if length($nonce // '');
    $why = store(\%report);
    return refuse($node, $why) if $why;
    $stored = 1;
    # Nobody waits: a process is worth it, or the report would lie there until somebody does.
    return ring() ? DONE : FORK;
}

# In a process of its own: a user's request; or a report that nobody waits for.
sub process_request {
    my ($request, $callback, $do_request) = @_;
    if ((word($request->{action}) // '') ne 'update') {
        return xCAT_plugin::nodetools::process_request($request, $callback, $do_request);
    }
    # An xcatd without the hook begins here.
    return if !$stored && route_request($request) != FORK;
    my $code = xCAT_plugin::nodetools::run('callbackd', ['--apply'], undef, undef, \&note);
    note("callbackd --apply: ended with $code; the next run of any program stores the report") if $code;
    return;
}

# An element's text, '' for an empty one; xcatd's parser makes lists of elements. None of one that has
# others inside, or that is not there. Blanks around it do not count.
sub word {
    my ($value) = @_;
    return undef if !defined $value;
    $value = $value->[0] if ref $value eq 'ARRAY';
    return undef if ref $value;
    return ($value // '') =~ s/\A\s+|\s+\z//gr;
}

# The adapters, as said.
sub adapters {
    my ($nics) = @_;
    my @nics = grep { ref eq 'HASH' } ref $nics eq 'ARRAY' ? @$nics : $nics;
    splice @nics, ADAPTERS if @nics > ADAPTERS;
    return map {
        my $nic = $_;
        my %said = map { ($_ => word($nic->{$_})) } @FIELDS;
        +{ map { ($_ => substr $said{$_}, 0, LONGEST_VALUE) } grep { defined $said{$_} } keys %said };
    } @nics;
}

# A name of xcatd's is what a resolver says of the peer: it must be in the tables, too.
sub is_node {
    my ($node) = @_;
    my $table = xCAT::Table->new('nodelist', -create => 0) or die "getadapter: nodelist cannot be read\n";
    return defined $table->getAttribs({ node => $node }, 'node');
}

# Puts a report on disk: a hidden file, synced, renamed, its directory synced. Returns why it never can
# be; dies if it cannot be now.
sub store {
    my ($report) = @_;
    my $dir = private_dir(private_dir(place('/var/lib/xcat-nodetools')) . '/reports');
    my @waiting = grep { /\A[0-9]/ } names($dir);
    my $of_node = grep { /\A[0-9]+\.[0-9]+\.\Q$report->{node}\E\z/ } @waiting;
    if (@waiting >= MOST || $of_node >= MOST_OF_A_NODE) {
        die 'getadapter: busy, try later: ' . @waiting . " reports wait already\n";
    }
    my $now = sprintf '%d%06d000', gettimeofday();
    my $text = JSON::PP->new->ascii->canonical->encode({ %$report, received => 0 + $now });
    return 'is too long' if length $text > LONGEST;
    my ($hidden, $name) = ("$dir/.$$.0.new", sprintf('%s/%020s.%d.%s', $dir, $now, $$, $report->{node}));
    my $safe = eval {
        must($hidden, unlink($hidden) || $!{ENOENT});
        must($hidden, sysopen my $file, $hidden, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
        must($hidden, print({$file} $text) && $file->flush && $file->sync && close $file);
        must($name, rename $hidden, $name);
        must($dir, sysopen my $directory, $dir, O_RDONLY | O_DIRECTORY);
        must($dir, $directory->sync);
        1;
    };
    return undef if $safe;
    # On a full disk the half-written file is what fills it.
    my $why = $@;
    unlink $hidden;
    die $why;
}

# Rings everybody on this host who waits, and says how many that are. Opening a FIFO without blocking is
# the test of life.
sub ring {
    my $dir = place('/var/run/getadapter');
    my $heard = 0;
    local $SIG{PIPE} = 'IGNORE';
    for my $name (grep { /\A[0-9]+\z/ } -d $dir ? names($dir) : ()) {
        # A FIFO of the Perl era has another mode, and its reader takes an empty frame for an error.
        my $mode = (lstat "$dir/$name")[2];
        next unless defined $mode && S_ISFIFO($mode) && S_IMODE($mode) == 0600;
        sysopen my $fifo, "$dir/$name", O_WRONLY | O_NONBLOCK | O_NOFOLLOW or next;
        my ($kind, $links, $owner) = (stat $fifo)[2, 3, 4];
        next unless S_ISFIFO($kind) && $owner == $> && $links <= 1;
        # One that is full has bells enough.
        syswrite $fifo, BELL;
        $heard++;
    }
    return $heard;
}

# A directory of ours alone, made if it is missing.
sub private_dir {
    my ($dir) = @_;
    make_path(dirname($dir)) if !-d dirname($dir);
    must($dir, mkdir($dir, 0700) || $!{EEXIST});
    my ($mode, $owner) = (lstat $dir)[2, 4];
    return $dir if defined $mode && S_ISDIR($mode) && $owner == $> && !($mode & 022);
    die "getadapter: $dir: is no directory of user $>'s own\n";
}

sub names {
    my ($dir) = @_;
    must($dir, opendir my $list, $dir);
    return readdir $list;
}

# Where our files live: as all our programs have it.
sub place {
    return ($ENV{NODETOOLS_ROOT} // '') . $_[0];
}

sub must {
    my ($subject, $done) = @_;
    $done or die "getadapter: $subject: $!\n";
    return;
}

sub refuse {
    my ($node, $why) = @_;
    note(($node // '?') . ": its report is refused: $why");
    return REFUSED;
}

# One line for syslog, with nothing in it that acts on a terminal.
sub note {
    my ($text) = @_;
    $text =~ s/([^ -~])/sprintf '\\u{%x}', ord $1/ge;
    xCAT::MsgUtils->message('S', "getadapter: $text") if xCAT::MsgUtils->can('message');
    return;
}

1;
