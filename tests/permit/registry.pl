# registry.pl: what the doors of tests/permit share: cases and their faults, the table of answers, the
# commands, a client of HTTP, and what is in the repositories.

use strict;
use warnings;
use Archive::Tar;
use Digest::SHA qw(sha256_hex);
use IO::Socket::INET;
use JSON::PP;
use Time::HiRes qw(sleep time);

our ($TABLE, $T, $STORE, $OPEN, $REGFS, $IMAGE);
our (%table, @columns, %name, %visibility, %content, %secret);
our @ACTIONS = qw(pull push delete admin);
our $json = JSON::PP->new->canonical;
my (@faults, %from, %connection);
my $expiry = 0;

# ---- Cases ----

sub fault {
	push @faults, join '', @_;
}

# done CASE: its faults, since the last.
sub done {
	my ($case) = @_;

	print @faults ? 'not ok' : 'ok', " - $case\n";
	splice @faults, 8, @faults, '...' if @faults > 9;
	print map { '# ' . substr(s/\n/ /gr, 0, 400) . "\n" } @faults;
	@faults = ();
}

sub is {
	my ($got, $want, $what) = @_;

	fault("$what: got $got, expected $want") unless $got eq $want;
}

# What JSON says, or undef.
sub decoded {
	my ($text) = @_;

	return eval { $json->decode($text) };
}

# ---- The table ----

sub read_table {
	my $section;

	open my $in, '<', $TABLE or die "$TABLE: $!\n";
	while (<$in>) {
		s/#.*//;
		s/\s+$//;
		if (/^\[(.*)\]$/) {
			$section = $table{$1} = [];
		} elsif (/\S/) {
			push @$section, [split];
		}
	}
	for (@{$table{repositories}}) {
		my ($column, $name, $visibility) = @$_;
		push @columns, $column;
		$name{$column} = $name;
		$visibility{$column} = $visibility;
	}
}

# answers SECTION: for each who, its word for each column; in the table's order.
sub answers {
	my ($section) = @_;
	my (@who, %word);

	for (@{$table{$section}}) {
		my ($who, @words) = @$_;
		die "$TABLE: $who has ", scalar @words, " answers\n" unless @words == @columns;
		push @who, $who;
		@{$word{$who}}{@columns} = @words;
	}
	return \@who, \%word;
}

sub letter {
	my ($word, $action) = @_;
	my %place = map { $ACTIONS[$_] => $_ } 0 .. 3;

	return substr $word, $place{$action}, 1;
}

# Credentials that are good for nothing are tried less: a server may slow down who shows many.
sub is_turned_away {
	my ($words) = @_;
	my $all = join '', values %$words;

	return $all =~ /L/ && $all !~ /[^LS]/;
}

# ---- Commands ----

sub regfs {
	my (@words) = @_;

	open my $out, '-|', 'sh', '-c', 'exec "$@" 2>&1', 'sh', $REGFS, @words or die "$REGFS: $!\n";
	my $text = do { local $/; <$out> } // '';
	close $out;
	return ($? >> 8, $text);
}

# What ends by itself has ended. (An expiry is a time: nothing else says it.)
sub wait_expired {
	sleep $expiry - time + 0.001 while time <= $expiry;
}

# From the table: its secrets are kept as WHO/TOKEN.
sub command {
	my @words = map { $_ eq 'PASSWORD' ? "$T/password" : $_ } @_;
	my ($status, $text) = regfs(@words, '--store', $STORE, '--json');

	die "regfs @words: status $status: $text" if $status;
	$expiry = time + 1 if "@words" =~ /expires[ =]1s/;
	for (split /\n/, $text) {
		my $made = decoded($_);
		$secret{"$made->{owner}/$made->{token}"} = $made->{secret}
			if ref $made eq 'HASH' && $made->{secret};
	}
}

# ---- HTTP ----

# The connection to a server, kept between requests. Everybody comes from an address of their own.
sub connection {
	my ($who, $address) = @_;

	$from{$who} //= sprintf '127.0.%d.%d', 1 + keys(%from) / 200, 1 + keys(%from) % 200;
	return $connection{"$who $address"} //= IO::Socket::INET->new(PeerAddr => $address,
		LocalAddr => $from{$who}, Timeout => 60) // die "$address: $@\n";
}

# An answer that has come: status, headers, and how long its body is.
sub read_head {
	my ($in) = @_;
	my %headers;

	local $/ = "\r\n";
	my ($status) = (readline($in) // '') =~ /^HTTP\/1\.1 (\d+)/ or return undef;
	while (defined(my $line = readline $in)) {
		chomp $line;
		last if $line eq '';
		my ($name, $value) = $line =~ /^([^:]+): *(.*)$/ or return undef;
		push @{$headers{lc $name}}, $value;
	}
	return {status => $status, headers => {map { $_ => join ', ', @{$headers{$_}} } keys %headers}};
}

# In one write, or the kernel waits with the body for the head's acknowledgement.
sub exchange {
	my ($who, $address, $method, $path, $options) = @_;
	my $socket = connection($who, $address);
	my $body = $options->{content};
	my %headers = (host => $address, %{$options->{headers} // {}});

	$headers{'content-length'} = length $body if defined $body;
	print $socket join "\r\n", "$method $path HTTP/1.1", (map { "$_: $headers{$_}" } sort keys %headers),
		'', $body // '' or return undef;
	my $answer = read_head($socket) // return undef;
	my $length = $method eq 'HEAD' ? 0 : $answer->{headers}{'content-length'} // 0;
	$answer->{content} = '';
	read($socket, $answer->{content}, $length) == $length or return undef;
	delete $connection{"$who $address"} if ($answer->{headers}{connection} // '') =~ /close/i;
	return $answer;
}

sub request {
	my ($who, $address, $method, $path, %options) = @_;
	my $answer = exchange($who, $address, $method, $path, \%options);

	return $answer if $answer;
	delete $connection{"$who $address"};
	fault("$method $path: no answer");
	return {status => 599, headers => {}, content => ''};
}

# fix METHOD PATH: puts something there, or back, through the open door.
sub fix {
	my ($method, $path, %options) = @_;
	my $answer = request('(open)', $OPEN, $method, "/v2/$path", %options);

	die "$method $path: $answer->{status} $answer->{content}\n" unless $answer->{status} =~ /^2/;
	return $answer;
}

sub digest_of {
	return 'sha256:' . sha256_hex($_[0]);
}

sub hex_of {
	return $_[0] =~ s/.*://r;
}

sub put_blob {
	my ($repo, $bytes) = @_;

	fix(POST => "$repo/blobs/uploads/?digest=" . digest_of($bytes), content => $bytes,
		headers => {'content-type' => 'application/octet-stream'});
	return digest_of($bytes);
}

sub put_manifest {
	my ($repo, $reference, $text) = @_;

	fix(PUT => "$repo/manifests/$reference", content => $text,
		headers => {'content-type' => $json->decode($text)->{mediaType}});
	return digest_of($text);
}

sub begin_upload {
	my ($repo) = @_;
	my $answer = fix(POST => "$repo/blobs/uploads/", content => '');

	return $answer->{headers}{location} =~ s/^.*\/uploads\///r =~ s/\?.*//r;
}

# ---- What is in the repositories ----

sub descriptor {
	my ($type, $bytes) = @_;

	return {mediaType => $type, digest => digest_of($bytes), size => length $bytes};
}

sub layer {
	my (%files) = @_;
	my $tar = Archive::Tar->new;

	$tar->add_data($_, $files{$_}, {mtime => 1700000000}) for sort keys %files;
	return $tar->write;
}

# An image of two layers, one of which every repository has; what refers to it; one that is for
# removing by tag, one by digest; a blob that no image needs; uploads.
sub fill {
	my ($column) = @_;
	my $repo = $name{$column};
	my @layers = (layer(base => "base\n"), layer(message => "of $repo\n"));
	my $config = $json->encode({architecture => 'amd64', os => 'linux',
		rootfs => {type => 'layers', diff_ids => [map { digest_of($_) } @layers]}});
	my %c = (repo => $repo, config => digest_of($config), layer => digest_of($layers[1]),
		base => digest_of($layers[0]), loose_bytes => "loose in $repo\n");

	put_blob($repo, $_) for $config, @layers;
	my %image = (schemaVersion => 2, mediaType => $IMAGE,
		config => descriptor('application/vnd.oci.image.config.v1+json', $config),
		layers => [map { descriptor('application/vnd.oci.image.layer.v1.tar', $_) } @layers]);
	my $image = $json->encode(\%image);
	$c{spare_text} = $json->encode({%image, annotations => {is => 'spare'}});
	$c{untagged_text} = $json->encode({%image, annotations => {is => 'untagged'}});
	$c{image_text} = $image;
	$c{image} = put_manifest($repo, 1, $image);
	$c{referrer} = put_manifest($repo, digest_of($_), $_)
		for $json->encode({%image, artifactType => 'application/vnd.example', subject => descriptor($IMAGE, $image)});
	$c{spare} = put_manifest($repo, 'spare', $c{spare_text});
	$c{untagged} = put_manifest($repo, digest_of($c{untagged_text}), $c{untagged_text});
	$c{loose} = put_blob($repo, $c{loose_bytes});
	$c{upload} = begin_upload($repo);
	$c{held_upload} = begin_upload($repo);
	$content{$column} = \%c;
}

sub fill_all {
	for my $column (grep { $visibility{$_} ne 'absent' } @columns) {
		command('repo', 'add', $name{$column}, '--visibility', $visibility{$column});
		fill($column);
	}
	# What isn't there has names all the same.
	for my $column (grep { $visibility{$_} eq 'absent' } @columns) {
		$content{$column} = {%{$content{closed}}, repo => $name{$column}};
	}
	for my $column (@columns) {
		my $other = $content{$column eq 'lone' ? 'inner' : 'lone'};
		@{$content{$column}}{qw(elsewhere strange foreign stolen)} = @$other{qw(layer image held_upload image_text)};
	}
}

# What a repository holds, so that what was refused can be seen not to have been done.
sub held {
	my ($column) = @_;
	my $repo = $name{$column};
	my @found;

	for my $path ('tags/list', 'manifests/1', 'manifests/spare', 'manifests/{untagged}',
		'referrers/{image}', 'blobs/{loose}') {
		my $answer = request('(open)', $OPEN, GET => "/v2/$repo/" . fill_in($path, $content{$column}));
		push @found, "$answer->{status} $answer->{content}";
	}
	return join "\n", @found;
}

sub fill_in {
	my ($path, $content) = @_;

	return $path =~ s/\{(\w+)\}/$content->{$1}/gr;
}

1;
