# mount.pl: the door of the mount, one for each who.

use strict;
use warnings;
use Errno;
use Fcntl;
use Time::HiRes qw(stat);

our ($T, $STORE, $REGFS, @columns, %name, %visibility, %content, %mount);

# ---- Mounts ----

my %ERRNO = map { (Errno->can($_)->() => $_) } qw(EPERM ENOENT EACCES EEXIST ENOTDIR EISDIR EINVAL EROFS
	ENOTEMPTY EBUSY ENOTSUP ENOTCONN EIO ESTALE ENODATA ENOSYS EXDEV);

# The errno of what is done there, or ok.
sub try {
	my ($do) = @_;

	return $do->() ? 'ok' : $ERRNO{$! + 0} // "errno " . ($! + 0);
}

sub read_file {
	my ($path) = @_;

	sysopen my $in, $path, O_RDONLY or return 0;
	return defined sysread $in, my $bytes, 65536;
}

sub list_dir {
	my ($path) = @_;

	opendir my $dir, $path or return 0;
	return scalar readdir $dir;
}

sub write_file {
	my ($path, $text) = @_;

	sysopen my $out, $path, O_WRONLY | O_CREAT | O_TRUNC or return 0;
	return 0 unless defined syswrite $out, $text;
	return close $out;
}

# ln -sfn: a link beside it, renamed over it.
sub relink {
	my ($target, $path) = @_;
	my $beside = $path =~ s{[^/]*$}{CuAbCdEf}r;

	return symlink($target, $beside) && rename($beside, $path);
}

our %refix = (
	new => sub { fix(DELETE => "$_[0]{repo}/manifests/new") },
	spare => sub { put_manifest($_[0]{repo}, 'spare', $_[0]{spare_text}) },
	visibility => sub { command('repo', 'set', $_[0]{repo}, "visibility=$_[1]") },
	guest => sub { command('revoke', 'guest', $_[0]{repo}) },
);

# [action, what, how, of the repository's directory and its content and visibility; what undoes it].
my @FILES = (
	[pull => 'stat', sub { lstat $_[0] }],
	[pull => 'ls', sub { list_dir($_[0]) }],
	[pull => 'ls _tags', sub { list_dir("$_[0]/_tags") }],
	[pull => 'ls _tags/1/', sub { list_dir("$_[0]/_tags/1/") }],
	[pull => 'readlink _tags/1', sub { readlink "$_[0]/_tags/1" }],
	[pull => 'cat _tags/1/manifest.json', sub { read_file("$_[0]/_tags/1/manifest.json") }],
	[pull => 'cat _tags/1/rootfs/message', sub { read_file("$_[0]/_tags/1/rootfs/message") }],
	[pull => 'cat by digest', sub { read_file("$_[0]/_images/sha256/" . hex_of($_[1]{image}) . '/config.json') }],
	[pull => 'ls _images', sub { list_dir("$_[0]/_images/sha256") }],
	[pull => 'ls used-by', sub { list_dir("$_[0]/_images/sha256/" . hex_of($_[1]{image}) . '/used-by') }],
	[pull => 'ls referrers', sub { list_dir("$_[0]/_images/sha256/" . hex_of($_[1]{image}) . '/referrers') }],
	[pull => 'cat a layer', sub { read_file("$_[0]/_layers/sha256/" . hex_of($_[1]{layer}) . '/blob') }],
	[pull => 'ls tree', sub { list_dir("$_[0]/_layers/sha256/" . hex_of($_[1]{base}) . '/tree') }],
	[pull => 'cat a blob', sub { read_file("$_[0]/_blobs/sha256/" . hex_of($_[1]{loose})) }],
	[pull => 'ls _blobs', sub { list_dir("$_[0]/_blobs/sha256") }],
	[pull => 'cat _oci/index.json', sub { read_file("$_[0]/_oci/index.json") }],
	[push => 'ls _uploads', sub { list_dir("$_[0]/_uploads") }],
	[push => 'ln -s 1 _tags/new', sub { symlink '1', "$_[0]/_tags/new" }, 'new'],
	[push => 'ln -sfn 1 _tags/spare', sub { relink('1', "$_[0]/_tags/spare") }, 'spare'],
	[delete => 'rm _tags/spare', sub { unlink "$_[0]/_tags/spare" }, 'spare'],
	[admin => 'ls _settings', sub { list_dir("$_[0]/_settings") }],
	[admin => 'cat _settings/visibility', sub { read_file("$_[0]/_settings/visibility") }],
	[admin => 'echo private >_settings/visibility',
		sub { write_file("$_[0]/_settings/visibility", "private\n") }, 'visibility'],
	[admin => 'echo public >_settings/visibility',
		sub { write_file("$_[0]/_settings/visibility", "public\n") }, 'visibility'],
	[admin => 'ls _access', sub { list_dir("$_[0]/_access") }],
	[admin => 'echo pull >_access/guest', sub { write_file("$_[0]/_access/guest", "pull\n") }, 'guest'],
	[admin => 'chmod o-rx', sub { chmod 0550, $_[0] }, 'visibility'],
);

# What isn't there for one is ENOENT, and what isn't allowed EACCES; settings, grants and uploads
# are there for those who may change them.
sub want_errno {
	my ($word, $action, $what) = @_;

	return 'ENOENT' unless letter($word, 'pull') eq '+';
	return 'ok' if letter($word, $action) eq '+';
	return 'ENOENT|EACCES' if $what =~ /_settings|_access|_uploads/;
	return 'EACCES';
}

sub walk_files {
	my ($phase, $who, $words, $dir) = @_;

	for my $column (@columns) {
		my $c = $content{$column};
		for (@FILES) {
			my ($action, $what, $how, $undo) = @$_;
			my $got = try(sub { $how->("$dir/$name{$column}", $c) });
			my $want = want_errno($words->{$column}, $action, $what);
			fault("$what: $got, expected $want") unless $got =~ /^($want)$/;
			$refix{$undo}->($c, $visibility{$column}) if $got eq 'ok' && $undo;
		}
		walk_directories($words, $column, $dir);
		done("$phase, mount: $who, $name{$column}: $words->{$column}");
	}
}

# chmod publishes nothing; who may make a repository. Nobody removes one in the mount.
sub walk_directories {
	my ($words, $column, $dir) = @_;
	my $path = "$dir/$name{$column}";
	my $word = $words->{$column};
	my $seen = letter($word, 'pull') eq '+';
	my $admin = letter($word, 'admin') eq '+';
	my $absent = $visibility{$column} eq 'absent';
	my ($space) = $name{$column} =~ m{^(.*)/};
	my $parent = grep { letter($words->{$_}, 'pull') eq '+' && "$name{$_}/" =~ m{^\Q$space\E/} } @columns;
	my %want = (
		'chmod o+rx' => $seen ? $admin ? 'EPERM' : 'EPERM|EACCES' : 'ENOENT',
		mkdir => $seen ? 'EEXIST' : !$parent ? 'ENOENT' : $admin && $absent ? 'ok' :
			$admin ? 'EEXIST' : 'EACCES',
		rmdir => $seen || $admin && $absent && $parent ? 'EROFS' : 'ENOENT',
	);
	my @got = (['chmod o+rx', try(sub { chmod 0555, $path })], ['mkdir', try(sub { mkdir $path })],
		['rmdir', try(sub { rmdir $path })]);

	for (@got) {
		my ($what, $got) = @$_;
		# chmod of what is public already changes nothing.
		next if $what eq 'chmod o+rx' && $visibility{$column} eq 'public' && $got eq 'ok';
		fault("$what: $got, expected $want{$what}") unless $got =~ /^($want{$what})$/;
	}
	regfs('repo', 'rm', $name{$column}, '--store', $STORE) if $absent && $got[1][1] eq 'ok';
}

# repositories DIR: those that are found in a mount, by walking it.
sub repositories {
	my ($root) = @_;
	my (@found, @todo);

	@todo = ('');
	while (defined(my $at = shift @todo)) {
		opendir my $dir, "$root/$at" or next;
		my @names = grep { !/^\./ } readdir $dir;
		push @found, $at if grep { $_ eq '_tags' } @names;
		push @todo, map { $at eq '' ? $_ : "$at/$_" } grep { !/^_/ } @names;
	}
	return sort @found;
}

sub names {
	my ($path) = @_;

	opendir my $dir, $path or return "none: $!";
	return join ' ', sort grep { !/^\./ } readdir $dir;
}

# A layer that every repository has tells nothing of those that aren't seen: not who uses it, nor how
# many, nor that one had it before this was made.
sub walk_shared {
	my ($dir, $c, $all) = @_;
	my $layer = "$dir/_layers/sha256/" . hex_of($c->{base});
	my @stat = stat "$layer/blob";

	my @users = sort map { hex_of($c->{$_}) } qw(image spare untagged referrer);
	is(names("$layer/used-by"), "@users", "$layer/used-by");
	return if $all;
	is($stat[3] // 0, 1, "links of $layer/blob");
	is($stat[9], (stat "$dir/_blobs/sha256/" . hex_of($c->{loose}))[9], "time of $layer/blob, as of any other");
}

# The mount shows what may be pulled, and _registry to administrators.
sub walk_tree {
	my ($phase, $who, $words, $dir) = @_;
	my @want = sort map { $name{$_} } grep { letter($words->{$_}, 'pull') eq '+' } @columns;
	my $all = letter($words->{gone}, 'admin') eq '+' && letter($words->{void}, 'admin') eq '+';

	is(join(' ', repositories($dir)), join(' ', @want), 'find');
	is(try(sub { list_dir("$dir/_registry/used-by/sha256/" . hex_of($content{closed}{base})) }),
		$all ? 'ok' : 'ENOENT', 'ls _registry/used-by');
	is(try(sub { read_file("$dir/_registry/blobs/sha256/" . hex_of($content{lone}{layer})) }),
		$all ? 'ok' : 'ENOENT', 'cat _registry/blobs');
	# A namespace's settings and grants: administrators have them.
	for my $space (qw(shop lab)) {
		my $got = join ' ', map { try($_) } sub { read_file("$dir/$space/_settings/visibility") },
			sub { list_dir("$dir/$space/_access") };
		is($got =~ s/ENOENT|EACCES/none/gr, $all ? 'ok ok' : 'none none', "$space/_settings, $space/_access")
			unless $who eq 'labowner' && $space eq 'lab';
	}
	opendir my $top, $dir or return fault("$dir: $!");
	is((grep { $_ eq '_registry' } readdir $top) ? 'listed' : 'hidden', $all ? 'listed' : 'hidden', '_registry');
	for my $column (grep { letter($words->{$_}, 'pull') eq '+' } @columns) {
		my $mode = (stat "$dir/$name{$column}")[2] // 0;
		is(sprintf('%o', $mode & 05), $visibility{$column} eq 'public' ? '5' : '0', "mode of $name{$column}");
		walk_shared("$dir/$name{$column}", $content{$column}, $all);
	}
	done("$phase, mount: $who, what is there");
}

my $mounts = 0;

# start_mount WHO: a mount as that; a fault and false if regfs ends instead of mounting.
sub start_mount {
	my ($who) = @_;
	my $dir = "$T/mounts/" . ++$mounts;

	pipe my $ready, my $write or die "pipe: $!\n";
	defined(my $pid = fork) or die "fork: $!\n";
	if (!$pid) {
		fcntl $write, F_SETFD, 0;
		open STDIN, '<', '/dev/null';
		open STDOUT, '>>', "$T/mounts.log";
		open STDERR, '>&', \*STDOUT;
		exec $REGFS, 'mount', '--store', $STORE, '--ready-fd', fileno $write,
			$who eq 'administrator' ? () : ('-o', "as=$who"), $dir or exit 127;
	}
	close $write;
	my $line = <$ready>;
	if (defined $line) {
		$mount{$who} = {pid => $pid, dir => $dir};
		return 1;
	}
	waitpid $pid, 0;
	fault("regfs mount -o as=$who: status " . ($? >> 8));
	return 0;
}

# No account, no mount. (One that is disabled has one that shows nothing.)
sub walk_strangers {
	for (@_) {
		my ($status, $text) = regfs('mount', '--store', $STORE, '-o', "as=$_", "$T/mounts/none");
		fault("as=$_: status $status: $text") unless $status =~ /^[123]$/;
	}
	done("mount: who isn't there gets none");
}

sub stop_mounts {
	kill TERM => $_->{pid} for values %mount;
	waitpid $_->{pid}, 0 for values %mount;
}

# A mount that is there goes on, whoever it is for; of an account that is good for nothing it shows nothing.
sub walk_mount {
	my ($phase, $who, $words) = @_;
	my $old = $mount{$who};

	return if $who =~ /[.:!]|^anyone$/ || $who =~ /~/ && !$old;
	$old || start_mount($who) or return done("$phase, mount: as=$who");
	my $dir = ($old // $mount{$who})->{dir};
	walk_tree($phase, $who, $words, $dir);
	walk_files($phase, $who, $words, $dir);
}

# ---- What was open before the changes ----

# [who, a repository that goes away for it]: a file, a directory, and the name of another file.
my @HELD = ([anonymous => 'was'], [nobody => 'was'], [revoked => 'closed'], [ungrouped => 'closed'],
	[turnedoff => 'closed'], [removed => 'closed']);
my @handles;

sub hold_handles {
	for (@HELD) {
		my ($who, $column) = @$_;
		my $dir = ($mount{$who} // next)->{dir} . "/$name{$column}";
		my %h = (who => $who, column => $column, dir => $dir);
		open $h{file}, '<', "$dir/_tags/1/rootfs/message" or fault("$dir: $!");
		open $h{blob}, '<', "$dir/_blobs/sha256/" . hex_of($content{$column}{loose}) or fault("$dir: $!");
		opendir $h{tags}, "$dir/_tags" or fault("$dir: $!");
		opendir $h{rootfs}, "$dir/_tags/1/rootfs" or fault("$dir: $!");
		push @handles, \%h;
	}
	done('handles: open before the changes');
}

# What is open may be read to its end; nothing new opens, by whatever way.
sub walk_handles {
	for my $h (@handles) {
		my ($file, $blob) = @$h{qw(file blob)};
		is(scalar <$file>, "of $name{$h->{column}}\n", 'a file of rootfs that is open');
		is(scalar <$blob>, $content{$h->{column}}{loose_bytes}, 'a blob that is open');
		for (["/proc/self/fd/" . fileno $file, 'the open file, opened again'],
			["$h->{dir}/_tags/1/rootfs/message", 'by its name']) {
			is(try(sub { read_file($_->[0]) }), 'ENOENT', $_->[1]);
		}
		chdir $h->{tags};
		is(try(sub { read_file($_) }), 'ENOENT', "$_ in _tags that is open") for '1/manifest.json', '../_oci/index.json',
			'../_blobs/sha256/' . hex_of($content{$h->{column}}{layer});
		is(try(sub { list_dir('.') }), 'ENOENT', '_tags that is open, opened again');
		is(try(sub { symlink '1', 'new' }), 'ENOENT', 'a tag in _tags that is open');
		chdir $h->{rootfs};
		is(try(sub { read_file($_) }), 'ENOENT', "$_ in rootfs that is open") for 'message', 'base';
		chdir '/';
		done("handles: $h->{who}, $name{$h->{column}}, after the changes");
	}
}

1;
