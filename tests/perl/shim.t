#!/usr/bin/perl
# A client's command through xcatd: our program does it, line by line, with the nodes on its standard
# input, the policy's user, and its exit code.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use POSIX qw(mkfifo);
use Test::More;

use Site;
use Xcatd;

my $site  = Site->new(3);
my $root  = $site->{root};
my $xcatd = Xcatd->new(
    plugins => "$root/plugins",
    nodes   => [$site->nodes],
    mgt     => { n1 => 'openbmc', n2 => 'openbmc', n3 => 'redfish' },
    site    => { nodetoolsgetadapter => 'nodetools_getadapter', nodetoolssnmove => 'nodetools' },
);
$ENV{XCATD_SECRET} = 'of the daemon';

# A client's command: what it prints, and its exit status.
sub client {
    my ($user, $command, $nodes, @words) = @_;
    return Xcatd::client($xcatd->request({
        command => [$command], (@$nodes ? (node => $nodes) : ()), (@words ? (arg => \@words) : ()),
        _xcat_authname => [$user], _xcat_clienthost => ['login1'],
    }));
}

sub gives {
    my ($asked, $out, $err, $code, $what) = @_;
    my @got = client(@$asked);
    my ($same_out, $same_err) = map { my ($got, $wanted) = @$_; ref $wanted ? $got =~ $wanted : $got eq $wanted }
        [$got[0], $out], [$got[1], $err];
    ok($same_out && $same_err && $got[2] == $code, $what) or diag explain \@got;
    return;
}

# The real programs.
my @two = qw(n1 n2);
gives(['root', 'nodereboot', \@two, '--dry-run'], qr/\An1: would reboot it by ssh.*\nn2: would reboot/, qr/\A[^n]*\z/s, 0, 'nodereboot');
gives(['root', 'getadapter', \@two, '--dry-run'], "n1: would be booted into genesis\nn2: would be booted into genesis\n", '', 0, 'getadapter');
gives(['root', 'snmove', ['n1'], '--plan', '-d', 'sn2', '-D', 'sn2', '--no-dest-check'], qr/^n1: row: noderes.servicenode: sn1,sn2 -> sn2,sn1$/m, qr/^n1: syslog is not/m, 0, 'snmove');
gives(['root', 'snmove', [], '-s', 'sn1', '--plan', '-D', 'sn2', '--no-dest-check'], qr/^n\[1-3\]: moves from sn1 to sn2/m, qr/nothing was changed/, 0, 'snmove without nodes');
gives(['root', 'rflash', ['n3'], '-c'], '', qr/\An3: .*no BMC|\An3: /, 1, 'rflash: a node that failed is exit status 1');
Site::write_file("$root/image.raw", 'x' x 2**20, 0600);
gives(['root', 'osload', [], 'image', 'add', 'img', "$root/image.raw", '--format', 'raw'], qr/\Aimg: 1\.0 MiB of 1\.0 MiB/, '', 0, 'osload image');
gives(['root', 'osload', \@two, '-i', 'img', '--dry-run'], qr/\An1: would load img.*\nn2: would load img.*\n\z/, '', 0, 'osload');
gives(['root', 'osload', ['n1'], '-i', 'none', '--dry-run'], '', qr/none/, 3, 'what cannot be done is exit status 3');
gives(['root', 'osload', \@two, 'image', 'rm', 'img'], '', qr/does not go with them/, 2, 'nodes and images do not mix');
gives(['root', 'nodereboot', [], '-h'], qr/^Usage: nodereboot/m, '', 0, 'help');
gives(['root', 'nodereboot', ['n1'], '--nonsense'], '', qr/\A--nonsense: no such option/, 2, 'wrong usage is exit status 2');

# Whom it is for. nodereboot judges by the policy of the user that xcatd names.
my ($daemon) = getpwuid 1;
gives([$daemon, 'nodereboot', ['n1'], '--dry-run'], '', qr/not (?:permitted|allowed)|policy|permission/i, 3, 'nodereboot refuses whom its policy refuses');
gives([$daemon, 'osload', ['n1'], '-i', 'img', '--dry-run'], '', qr/not (?:permitted|allowed)|policy|permission/i, 3, 'nor does osload do it');
$site->table('policy', 'priority,name,commands,noderange,rule', map { [$_->[0], $daemon, $_->[1], 'n1', 'allow'] } [3, 'nodereboot'], [4, 'osload']);
gives([$daemon, 'nodereboot', ['n1'], '--dry-run'], qr/\An1: would reboot/, qr/\A[^n]*\z/s, 0, 'and does what its policy allows');
gives([$daemon, 'nodereboot', \@two, '--dry-run'], '', qr/n2/, 3, 'for these nodes only');
gives([$daemon, 'osload', ['n1'], '-V', '-i', 'img', '--max-fail', '1', '--dry-run'], qr/\An1: would load img/, '', 0, 'osload, too');
gives([$daemon, 'osload', \@two, '-i', 'img', '--dry-run'], '', qr/n2/, 3, 'for these nodes only');
gives(['nobody-here', 'nodereboot', ['n1'], '--dry-run'], '', qr/4294967295/, 3, 'a user without an account here is nobody');
gives([undef, 'nodereboot', ['n1'], '--dry-run'], '', qr/4294967295/, 3, 'nor is one without a name');

# What only root may say: files, descriptors, further nodes.
for my $word ('--failed-to', '--failed-to=/etc/x', '--status-fd', '-e', '-Ve', '--ca', '--old-tls', '--insecure', '-', '--') {
    gives([$daemon, 'nodereboot', ['n1'], $word, 'x'], '', "Error: nodereboot: $word: only root may say so here\n", 2, "$word of a user");
}
gives([$daemon, 'rflash', ['n3'], '--report', '/etc/passwd'], '', qr/only root/, 2, 'rflash --report of a user');
gives([$daemon, 'osload', [], '-l'], '', "Error: osload: -l: only root may say so here\n", 2, 'osload -l of a user');
gives([$daemon, 'osload', [], '--json', 'image', 'list'], '', "Error: osload: image: only root may say so here\n", 2, 'images are the administrator\'s');
is_deeply([grep { -s } glob "$root/x"], [], 'nothing is written');

# Every option of every program may be used by all, or stands on the page as root's.
my ($listed) = Site::read_file("$FindBin::Bin/../../man/xcat-nodetools-plugins.7") =~ /^Only root may use(.*?)^\.El$/ms;
my %roots = map { ($_->[0] => [map { s/\A-//r } grep { $_ ne ',' } split ' ', $_->[1]]) }
    map { [/(\w+)\n\.Fl (.*)/] } $listed =~ /^\.It (\w+\n\.Fl .*)$/mg;
is_deeply([sort keys %roots], [qw(getadapter nodereboot osload rflash snmove)], 'the page speaks of each program');
for my $program (sort keys %roots) {
    my @lines   = grep { /\A +-/ } split /\n/, $site->succeed($program, '--help');
    my %options = map { ($_ => 1) } map { s/\S\K  .*//r =~ /(?<![\w-])--?([A-Za-z][\w-]*)/g } @lines;
    my @known = grep { xCAT_plugin::nodetools::is_free($program, length == 1 ? "-$_" : "--$_") } sort keys %options;
    my %rest  = map { ($_ => 1) } keys %options;
    delete @rest{@known};
    is_deeply([sort keys %rest], [sort @{ $roots{$program} }], "$program: what only root may say");
    ok(@known > 8, "$program: options are found");
}

# What a program is given.
$site->fake('osload', <<'END');
#!/bin/sh
echo "arguments: $*"
echo "input: $(cat | tr '\n' ' ')"
env | sort | sed 's/^/environment: /'
ls -l /proc/self/fd | sed -n 's/.* \([0-9]*\) ->.*/descriptor: \1/p'
grep Sig /proc/self/status
echo 'osload: n2: went wrong' >&2
echo 'osload: at large' >&2
printf 'n1: no line end'
END
my ($out, $err, $code) = client('root', 'osload', \@two, '-V', 'a b', "'c'");
like($out, qr/^arguments: - -V a b 'c'$/m, 'its arguments, without a shell');
like($out, qr/^input: n1 n2 $/m, 'nodes on its standard input');
like($out, qr/^n1: no line end$/m, 'a last line without an end');
is($err, "n2: went wrong\nat large\n", 'what it complains about');
is($code, 0, 'its exit status');
my %environment = $out =~ /^environment: ([^=]+)=(.*)$/mg;
delete @environment{qw(PWD OLDPWD SHLVL _)};
is_deeply([sort keys %environment], [qw(HOME LANG NODETOOLS_ROOT PATH XCATCFG XCATROOT)], 'nothing of the daemon\'s environment');
# ls itself has the directory open.
is_deeply([$out =~ /^descriptor: (\d)$/mg], [0, 1, 2, 3], 'no descriptor of the daemon\'s');
# Of the 31 that have names: the C library keeps two others for itself.
my ($ignored, $blocked) = map { $out =~ /^$_:\s*[0-9a-f]{8}([0-9a-f]{8})$/m } qw(SigIgn SigBlk);
is(hex($ignored) & 0x7fff_ffff, 0, 'no signal is ignored');
is(hex($blocked) & 0x7fff_ffff, 0, 'or blocked');
like((client($daemon, 'osload', ['n1']))[0], qr/^environment: SUDO_UID=1$/m, 'the user\'s number');

# It ends as it likes.
for my $code (1, 3, 77) {
    $site->fake('osload', "#!/bin/sh\nexit $code\n");
    gives(['root', 'osload', ['n1']], '', '', $code, "exit status $code");
}
$site->fake('osload', "#!/bin/sh\nkill -KILL \$\$\n");
gives(['root', 'osload', ['n1']], '', "was ended by signal 9\n", 3, 'a signal');
unlink "$root/bin/osload";
gives(['root', 'osload', ['n1']], '', qr/osload: No such file/, 3, 'not installed');

# Many nodes, and a program that reads none of them, or says much.
$site->fake('osload', "#!/bin/sh\nexec true\n");
gives(['root', 'osload', [map { "node-with-a-long-name-$_" } 1 .. 20_000]], '', '', 0, 'input that nobody reads');
$site->fake('osload', "#!/bin/sh\nwhile read -r node; do echo \"\$node: ok\"; echo \"\$node: hm\" >&2; done\n");
my @many = map { "node$_" } 1 .. 5_000;
gives(['root', 'osload', \@many], join('', map { "$_: ok\n" } @many), join('', map { "$_: hm\n" } @many), 0, 'every line of 5000 nodes');

# Lines come as they are made; a client that gives up ends the program in its own way.
mkfifo("$root/go", 0600) or die $!;
$site->fake('osload', "#!/bin/sh\nexec 2>/dev/null\ntrap 'echo \"n1: stopped\"; exit 1' TERM\necho 'n1: begun'\nread -r word <'$root/go'\necho \"n1: \$word\"\n");
for my $word ('continues', undef) {
    pipe my $from, my $to or die $!;
    my $pid = fork // die $!;
    if (!$pid) {
        close $from;
        xCAT_plugin::nodetools::process_request(
            { command => ['osload'], node => ['n1'], _xcat_authname => ['root'] },
            sub { my ($said, undef, $code) = Xcatd::client($_[0]); syswrite $to, $said || "code $code\n" });
        POSIX::_exit(0);
    }
    close $to;
    is(scalar <$from>, "n1: begun\n", 'the first line comes while the program runs');
    if ($word) {
        Site::write_file("$root/go", "$word\n", 0600);
    } else {
        kill INT => $pid;
    }
    my @rest = <$from>;
    is_deeply(\@rest, $word ? ["n1: $word\n"] : ["n1: stopped\n", "code 1\n"], $word ? 'then the next' : 'its last words and its code');
    waitpid $pid, 0;
}

done_testing();
