# command.pl: the command line, at the store, where it is the administrator's, and at a server with one's own rights.

use strict;
use warnings;

our ($T, $STORE, $ACCOUNTS, $json, @ACTIONS, @columns, %name, %visibility, %content, %undo, %refix);

# ---- The commands, which are the administrator's ----

# [words, with {repo} and what is in it; status where it is; status where it is absent].
my @COMMANDS = (
	['repo show {repo}', 0, 1],
	['repo set {repo} visibility={visibility}', 0, 1],
	['tag list {repo}', 0, 1],
	['image list {repo}', 0, 1],
	['image show {repo}:1', 0, 1],
	['image layers {repo}:1', 0, 1],
	['image used-by {repo}:1', 0, 1],
	['ls {repo}:1:/', 0, 1],
	['cat {repo}:1:/message', 0, 1],
	['diff {repo}:1 {repo}:spare', 0, 1],
	['tag add {repo}:1 new', 0, 1],
	['tag rm {repo}:new', 0, 1],
	['image rm -n {repo}@{untagged}', 0, 1],
	['repo rm -n {repo}', 0, 1],
	['grant guest pull {repo}', 0, 0],
	['access --repo {repo}', 0, 0],
	['revoke guest {repo}', 0, 0],
	['extract --tar -n {repo}:1', 0, 1],
);
# What names no repository.
my @PLAIN = ('user list', 'user show nobody', 'user set guest disabled=no', 'group list', 'group show @dev',
	'group set @dev add=guest', 'group set @dev remove=guest', 'robot list', 'robot show +ci',
	'robot set +ci disabled=no', 'token list owner', 'token show owner pull', 'token add guest t', 'token rm guest t',
	'namespace show lab', 'namespace set lab push-creates=no', 'status', 'gc -n', 'check', 'access', 'user rm -n guest');

sub walk_commands {
	my ($phase, @at) = @_;

	for my $column (@at) {
		my $absent = $visibility{$column} eq 'absent';
		my %c = (%{$content{$column}}, visibility => $absent ? 'private' : $visibility{$column});
		for (@COMMANDS) {
			my ($words, $there, $nowhere) = @$_;
			my @words = split ' ', fill_in($words, \%c);
			my ($status, $text) = regfs(@words, '--store', $STORE);
			my $want = $absent ? $nowhere : $there;
			fault("regfs @words: status $status, expected $want: $text") unless $status == $want;
		}
		done("$phase, command: administrator, $name{$column}");
	}
	for (@PLAIN) {
		my ($status, $text) = regfs(split(' '), '--store', $STORE);
		fault("regfs $_: status $status: $text") if $status;
	}
	done("$phase, command: administrator, what names no repository");
	my ($status, $text) = regfs('repo', 'list', '--json', '--store', $STORE);
	is(join(' ', map { $_->{name} } @{$json->decode($text)}),
		join(' ', sort map { $name{$_} } grep { $visibility{$_} ne 'absent' } @columns), 'repo list');
	done("$phase, command: administrator, repo list");
}

# regfs access says the same: who may do what. What is public everybody may pull.
sub walk_access {
	my ($phase, $who, $word) = @_;

	for my $column (@columns) {
		my ($status, $text) = regfs('access', '--repo', $name{$column}, '--json', '--store', $STORE);
		my %may;
		for (grep { $_->{good} } @{decoded($text) // []}) {
			$may{$_->{who}}{$1} = 1 while $_->{actions} =~ /(\w+)/g;
		}
		for my $who (grep { !/[.:!~\/]|^(anyone|administrator|\+scoped)$/ } @$who) {
			my %all = (%{$may{$who} // {}}, is_turned_away($word->{$who}) ? () : %{$may{anonymous} // {}});
			my @want = grep { letter($word->{$who}{$column}, $_) =~ /[+nca]/ } @ACTIONS;
			is(join(',', grep { $all{$_} } @ACTIONS), join(',', @want), $who);
		}
		done("$phase, command: access --repo $name{$column}");
	}
}

# ---- With --server, as somebody ----

# [action, words, how it is put back]. `all` is for administrators; `tag` is push, of an image that may be pulled.
my @CALLS = (
	[pull => 'repo show {repo}'],
	[pull => 'tag list {repo}'],
	[pull => 'image list {repo}'],
	[pull => 'image show {repo}:1'],
	[pull => 'image used-by {repo}:1'],
	[pull => 'ls {repo}:1:/'],
	[pull => 'cat {repo}:1:/message'],
	[tag => 'tag add {repo}:1 new', sub { fix(DELETE => "$_[0]{repo}/manifests/new") }],
	[delete => 'tag rm {repo}:spare', $undo{spare}],
	[delete => 'image rm {repo}@{untagged}', $undo{untagged}],
	[admin => 'repo set {repo} visibility={other}', $refix{visibility}],
	[admin => 'grant guest pull {repo}', $refix{guest}],
	[all => 'user list'],
	[all => 'token list owner'],
	[all => 'grant guest pull **', sub { regfs('revoke', 'guest', '**', '--store', $STORE) }],
	[all => 'robot show +ci'],
);
# Exit status: 1, it isn't there; 3, refused.
my %STATUS = ('+' => 0, a => 0, L => 3, S => 3, 0 => 1, n => 1, x => 3, c => 3);

# Where a client's logins are, with this who's only.
sub docker_config {
	my ($who) = @_;
	my $dir = "$T/docker/$who";
	my ($basic) = (headers_of($who)->{authorization} // '') =~ /^Basic (.*)$/;

	mkdir $_ for "$T/docker", $dir;
	open my $out, '>', "$dir/config.json" or die "$dir: $!\n";
	print $out $json->encode({auths => $basic ? {$ACCOUNTS => {auth => $basic}} : {}});
	return $dir;
}

sub walk_server {
	my ($phase, $who, $words) = @_;
	my $all = letter($words->{gone}, 'admin') eq '+' && letter($words->{void}, 'admin') eq '+' ? '+' :
		$words->{gone} =~ /^([LS])/ ? $1 : 'x';

	local $ENV{DOCKER_CONFIG} = docker_config($who);
	for my $column (qw(closed gone)) {
		my $absent = $visibility{$column} eq 'absent';
		my %letter = (map({ $_ => letter($words->{$column}, $_) } @ACTIONS), all => $all);
		$letter{tag} = $letter{$letter{pull} eq '+' ? 'push' : 'pull'};
		my %c = (%{$content{$column}}, other => $visibility{$column} eq 'public' ? 'private' : 'public');
		for (@CALLS) {
			my ($action, $words_of, $undo) = @$_;
			next if $action eq 'all' && $absent;
			my @words = map { fill_in($_, \%c) } split ' ', $words_of;
			my ($status, $text) = regfs(@words, '--server', "http://$ACCOUNTS");
			my $letter = $letter{$action};
			$letter =~ tr/+/n/ if $absent && $words_of !~ /^grant/;
			is($status, $STATUS{$letter}, "regfs @words: $text");
			$undo->($content{$column}, $visibility{$column}) if !$status && $undo;
		}
		done("$phase, server: $who, $name{$column}: $words->{$column}");
	}
}

sub walk_servers {
	my ($phase, $who, $word) = @_;
	my (undef, $help) = regfs('tag', 'list', '--help');

	return done("$phase, server: # SKIP commands have no --server") unless $help =~ /--server/;
	walk_server($phase, $_, $word->{$_}) for @$who;
}

1;
