# Starts programs in the states in which Perl code and init scripts start them.
package Call;

use strict;
use warnings;

use File::Temp qw(tempdir);
use Fcntl qw(F_SETFD);
use POSIX ();

use Site;

my $dir = tempdir(CLEANUP => 1);

# What a caller may have done to itself before it starts a program.
our %STATE = (
    'SIGCHLD ignored'        => sub { $SIG{CHLD} = 'IGNORE' },
    'SIGPIPE ignored'        => sub { $SIG{PIPE} = 'IGNORE' },
    'signals blocked'        => sub {
        POSIX::sigprocmask(POSIX::SIG_BLOCK(), POSIX::SigSet->new(POSIX::SIGCHLD(), POSIX::SIGTERM(), POSIX::SIGALRM()));
    },
    'standard input closed'  => sub { POSIX::close(0) },
    'standard output closed' => sub { POSIX::close(1) },
    'standard error closed'  => sub { POSIX::close(2) },
    'all three closed'       => sub { POSIX::close($_) for 0 .. 2 },
    'no HOME, no PATH'       => sub { delete @ENV{qw(HOME PATH)} },
    'no terminal'            => sub { POSIX::setsid() },
    'inherited descriptors'  => sub { },
);

# Starts a program in a state; a caller that goes on meanwhile. `input` is a file.
sub start {
    my ($state, $input, @command) = @_;
    my %call = (out => "$dir/out", err => "$dir/err");
    if ($state eq 'inherited descriptors') {
        pipe $call{from}, my $to or die $!;
        open my $file, '+>', "$dir/inherited" or die $!;
        print {$file} "untouched\n";
        $file->flush;
        $call{file} = $file;
        $call{to}   = $to;
        # Perl closes what it opened at an exec, unless told otherwise.
        fcntl $_, F_SETFD, 0 for $to, $file;
    }
    $call{pid} = fork // die $!;
    if (!$call{pid}) {
        open STDIN,  '<', $input     or die $!;
        open STDOUT, '>', $call{out} or die $!;
        open STDERR, '>', $call{err} or die $!;
        $STATE{$state}->() if $state;
        exec { $command[0] } @command or POSIX::_exit(126);
    }
    return \%call;
}

# Processes other than the program itself that have what it inherited.
sub holders {
    my ($call) = @_;
    return if !$call->{to};
    my %inherited = map { (readlink "/proc/self/fd/@{[fileno $_]}", 1) } @{$call}{qw(to file)};
    return map { "$_ has @{[readlink $_]}" } grep {
        my ($pid) = m{/proc/(\d+)/};
        $pid != $$ && $pid != $call->{pid} && $inherited{ readlink($_) // '' };
    } glob '/proc/[0-9]*/fd/*';
}

# Waits for its end: standard output, standard error, exit code, and what is wrong with the descriptors
# that it inherited.
sub finish {
    my ($call) = @_;
    waitpid($call->{pid}, 0) == $call->{pid} or die 'waitpid';
    my $code = $? & 127 ? "signal @{[$? & 127]}" : $? >> 8;
    my @wrong = holders($call);
    if ($call->{to}) {
        close $call->{to};
        push @wrong, 'something came through the pipe' if sysread $call->{from}, my $said, 1;
        push @wrong, 'the file was changed' if Site::read_file("$dir/inherited") ne "untouched\n";
    }
    return (Site::read_file($call->{out}), Site::read_file($call->{err}), $code, "@wrong");
}

1;
