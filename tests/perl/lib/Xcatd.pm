# The side of xcatd that plugins see, as far as ours need it: who handles a command, the hook in the
# connection's process, a process for everything else, responses. Made from what is known of xcatd's
# behaviour, not from its code.
package Xcatd;

use strict;
use warnings;

use POSIX qw(:sys_wait_h);
use Storable qw(fd_retrieve store_fd);

# Loads every plugin of a directory. `site` are site keys, `mgt` says who manages a node; nodes are those
# of nodelist.
sub new {
    my ($class, %self) = @_;
    my $self = bless { site => {}, mgt => {}, nodes => [], handlers => {}, %self }, $class;
    @xCAT::Table::nodes = @{ $self->{nodes} };
    for my $file (sort glob "$self->{plugins}/*.pm") {
        my ($name) = $file =~ m{([^/]+)\.pm\z};
        require $file;
        my $commands = "xCAT_plugin::$name"->can('handled_commands')->();
        push @{ $self->{handlers}{$_} }, [$name, $commands->{$_}] for keys %$commands;
    }
    return $self;
}

# Which plugins get a request, each with its nodes.
sub plugins_for {
    my ($self, $command, @nodes) = @_;
    my (%chosen, @global, $site, %handled);
    for my $handler (@{ $self->{handlers}{$command} // [] }) {
        my ($plugin, $spec) = @$handler;
        if ($spec =~ /\Asite:(.*)/) {
            my $named = $self->{site}{$1} or next;
            $site = 1;
            $chosen{$named} = [@nodes];
        } elsif ($spec =~ /\Anodehm:mgt(?:=(.*))?\z/) {
            my $pattern = $1 // $plugin;
            for my $node (grep { ($self->{mgt}{$_} // '') =~ /$pattern/ } @nodes) {
                push @{ $chosen{$plugin} }, $node;
                $handled{$node} = 1;
            }
        } else {
            push @global, $spec;
        }
    }
    my @left = grep { !$handled{$_} } @nodes;
    for my $plugin ($site ? () : @global) {
        $chosen{$plugin} = [@left] if @left || !@nodes;
    }
    return %chosen;
}

# Serves one request in this process, which holds a connection. Returns the responses, the last of which
# says serverdone; an error of the hook's own ends the connection with that error alone.
sub request {
    my ($self, $request) = @_;
    my $command  = $request->{command}[0];
    my %plugins  = $self->plugins_for($command, @{ $request->{node} // [] });
    my @response;
    # xcatd reaps whatever ends.
    local $SIG{CHLD} = sub { 1 while waitpid(-1, WNOHANG) > 0 };
    for my $plugin (sort keys %plugins) {
        my %own = (%$request, @{ $plugins{$plugin} } ? (node => $plugins{$plugin}) : ());
        my $hook = $command eq 'getadapter' && "xCAT_plugin::$plugin"->can('route_request');
        if ($hook) {
            my $answer = eval { $hook->(\%own) };
            return { error => ["A fatal error: $@"] } if $@;
            next if $answer != 1;
        }
        push @response, in_a_process($plugin, \%own);
    }
    return @response, { serverdone => [undef] };
}

sub in_a_process {
    my ($plugin, $request) = @_;
    pipe my $from, my $to or die "pipe: $!";
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        close $from;
        $SIG{CHLD} = 'DEFAULT';
        my $callback = sub { store_fd($_[0], $to); $to->flush };
        eval { "xCAT_plugin::$plugin"->can('process_request')->($request, $callback, sub { }); 1 }
            or $callback->({ error => ["plugin bug: $@"], errorcode => [1] });
        close $to;
        POSIX::_exit(0);
    }
    close $to;
    my @response;
    until (eof $from) { push @response, fd_retrieve($from) }
    return @response;
}

# What the client prints and returns: its standard output, standard error and exit status.
sub client {
    my (@response) = @_;
    my ($out, $err, $code) = ('', '', 0);
    for my $response (@response) {
        my @parts = map { [$_->{name} ? "$_->{name}[0]: " : '', $_] } $response, @{ $response->{node} // [] };
        for my $part (@parts) {
            my ($prefix, $said) = @$part;
            my $error = $said->{NoErrorPrefix} ? '' : 'Error: ';
            $out .= $prefix . (ref $_ ? $_->{contents}[0] : $_) . "\n" for @{ $said->{data} // [] };
            $err .= "$prefix$error$_\n" for @{ $said->{error} // [] };
            $code |= $_ for @{ $said->{errorcode} // [] };
        }
    }
    return ($out, $err, $code);
}

# What xcatd has loaded and plugins use.
package xCAT::Table;
our @nodes;
sub new { my ($class, $name) = @_; return $name eq 'nodelist' ? bless({}, $class) : undef }
sub getAttribs {
    my ($self, $key, @columns) = @_;
    my ($node) = grep { $_ eq $key->{node} } @nodes;
    return defined $node ? { node => $node } : undef;
}
$INC{'xCAT/Table.pm'} = __FILE__;

package xCAT::MsgUtils;
our @messages;
sub message { my ($class, $kind, $text) = @_; push @messages, $text; return }
$INC{'xCAT/MsgUtils.pm'} = __FILE__;

1;
