# http.pl: the door of HTTP, with Basic and with Bearer.

use strict;
use warnings;
use MIME::Base64 qw(encode_base64 decode_base64url);

our ($T, $STORE, $ACCOUNTS, $OPEN, $IMAGE, $INDEX, $json);
our (%table, @columns, %name, %visibility, %content, %secret, %bearer, %early);
my $NOTHING = 'sha256:' . '0' x 64;
my $NO_UPLOAD = '00000000-0000-4000-8000-000000000000';

# ---- The requests of the protocol ----

my $NEW = '{"manifests":[],"mediaType":"' . $INDEX . '","schemaVersion":2}';
my $NEW_DIGEST = digest_of($NEW);
my $BYTE_DIGEST = digest_of('x');

# How what a request did is undone.
our %undo = (
	upload => sub {
		my ($c, $answer) = @_;
		my ($path) = ($answer->{headers}{location} // '') =~ m{/v2/([^?]*)};
		fix(DELETE => $path) if defined $path;
	},
	renew => sub { $_[0]{upload} = begin_upload($_[0]{repo}) },
	again => sub { fix(DELETE => "$_[0]{repo}/blobs/uploads/$_[0]{upload}"); $_[0]{upload} = begin_upload($_[0]{repo}) },
	finished => sub { fix(DELETE => "$_[0]{repo}/blobs/$BYTE_DIGEST"); $_[0]{upload} = begin_upload($_[0]{repo}) },
	byte => sub { fix(DELETE => "$_[0]{repo}/blobs/$BYTE_DIGEST") },
	new => sub { fix(DELETE => "$_[0]{repo}/manifests/$NEW_DIGEST") },
	spare => sub { put_manifest($_[0]{repo}, 'spare', $_[0]{spare_text}) },
	untagged => sub { put_manifest($_[0]{repo}, $_[0]{untagged}, $_[0]{untagged_text}) },
	loose => sub { put_blob($_[0]{repo}, $_[0]{loose_bytes}) },
);

# [action, method, path below the repository, answer when it is done, error code, body, type, undo].
# Where the answer isn't 2xx the request asks for what isn't there; who may pull or push is told so.
my @REQUESTS = (
	[pull => GET => 'manifests/1', 200],
	[pull => HEAD => 'manifests/1', 200],
	[pull => GET => 'manifests/{image}', 200],
	[pull => HEAD => 'manifests/{image}', 200],
	[pull => GET => 'manifests/none', 404, 'MANIFEST_UNKNOWN'],
	[pull => GET => "manifests/$NOTHING", 404, 'MANIFEST_UNKNOWN'],
	[pull => GET => 'blobs/{layer}', 200],
	[pull => HEAD => 'blobs/{layer}', 200],
	[pull => GET => 'blobs/{config}', 200],
	[pull => GET => 'blobs/{base}', 200],
	[pull => HEAD => 'blobs/{base}', 200],
	[pull => GET => 'blobs/{image}', 200],
	[pull => GET => "blobs/$NOTHING", 404, 'BLOB_UNKNOWN'],
	[pull => GET => 'blobs/{elsewhere}', 404, 'BLOB_UNKNOWN'],
	[pull => HEAD => 'blobs/{elsewhere}', 404],
	[pull => GET => 'manifests/{strange}', 404, 'MANIFEST_UNKNOWN'],
	[pull => GET => 'tags/list', 200],
	[pull => GET => 'tags/list?n=1', 200],
	[pull => GET => 'referrers/{image}', 200],
	[push => POST => 'blobs/uploads/', 202, undef, '', undef, 'upload'],
	[push => POST => "blobs/uploads/?digest=$BYTE_DIGEST", 201, undef, 'x', 'application/octet-stream', 'byte'],
	[push => POST => "blobs/uploads/?mount=$NOTHING", 202, undef, '', undef, 'upload'],
	[push => POST => "blobs/uploads/?mount=$NOTHING&from=shop/open", 202, undef, '', undef, 'upload'],
	[push => POST => 'blobs/uploads/?mount={loose}&from={repo}', 201, undef, ''],
	[push => PUT => 'manifests/new', 201, undef, $NEW, $INDEX, 'new'],
	[push => PUT => "manifests/$NEW_DIGEST", 201, undef, $NEW, $INDEX, 'new'],
	[push => PUT => 'manifests/spare', 201, undef, $NEW, $INDEX, 'new spare'],
	[push => GET => 'blobs/uploads/{upload}', 204],
	[push => DELETE => 'blobs/uploads/{upload}', 204, undef, undef, undef, 'renew'],
	[push => PATCH => 'blobs/uploads/{upload}', 202, undef, 'x', 'application/octet-stream', 'again'],
	[push => PUT => "blobs/uploads/{upload}?digest=$BYTE_DIGEST", 201, undef, 'x', 'application/octet-stream', 'finished'],
	[push => GET => "blobs/uploads/$NO_UPLOAD", 404, 'BLOB_UPLOAD_UNKNOWN'],
	[push => GET => 'blobs/uploads/{foreign}', 404, 'BLOB_UPLOAD_UNKNOWN'],
	[push => PATCH => 'blobs/uploads/{foreign}', 404, 'BLOB_UPLOAD_UNKNOWN', 'x', 'application/octet-stream'],
	[push => DELETE => 'blobs/uploads/{foreign}', 404, 'BLOB_UPLOAD_UNKNOWN'],
	[push => PUT => 'manifests/stolen', 404, 'MANIFEST_BLOB_UNKNOWN', '{stolen}', $IMAGE],
	[delete => DELETE => 'manifests/spare', 202, undef, undef, undef, 'spare'],
	[delete => DELETE => 'manifests/{untagged}', 202, undef, undef, undef, 'untagged'],
	[delete => DELETE => 'blobs/{loose}', 202, undef, undef, undef, 'loose'],
	[delete => DELETE => 'manifests/none', 404, 'MANIFEST_UNKNOWN'],
	[delete => DELETE => "blobs/$NOTHING", 404, 'BLOB_UNKNOWN'],
);

# What a letter means: status, error code, and whether the challenge says insufficient_scope.
my %HTTP = (
	L => [401, 'UNAUTHORIZED'],
	S => [401, undef],
	0 => [404, 'NAME_UNKNOWN'],
	n => [404, 'NAME_UNKNOWN'],
	x => [403, 'DENIED'],
	c => [403, 'DENIED'],
);

# bad_answer ANSWER STATUS [CODE] METHOD: why it isn't that, or nothing.
sub bad_answer {
	my ($answer, $status, @more) = @_;
	my $method = pop @more;
	my ($code) = @more;

	return "$answer->{status}" . ($method eq 'HEAD' ? '' : ' ' . substr $answer->{content}, 0, 200) .
		", expected $status" . ($code ? " $code" : '') unless $answer->{status} =~ /^($status)$/;
	return undef if $method eq 'HEAD' || !defined $code;
	my $error = (decoded($answer->{content}) // {})->{errors}[0]{code} // 'none';
	return $error =~ /^($code)$/ ? undef : "$answer->{status} $error, expected $code";
}

# The challenge is the route's: it names this repository, and what the route wants of it.
sub bad_challenge {
	my ($answer, $letter, $repo, $action) = @_;
	my $challenge = $answer->{headers}{'www-authenticate'};

	return '401 without a challenge' unless defined $challenge;
	my ($bearer) = $challenge =~ /(Bearer .*)/i or return "no Bearer challenge: $challenge";
	my ($scope) = $bearer =~ /scope="([^"]*)"/;
	return "no scope: $bearer" unless defined $scope;
	return "not the route's challenge: $bearer"
		unless grep { /^repository:\Q$repo\E:(.*,)?$action(,|$)/ } split / /, $scope;
	my $insufficient = $bearer =~ /error="insufficient_scope"/ ? 1 : 0;
	return "insufficient_scope, without a token's scopes: $bearer" if $letter eq 'L' && $insufficient;
	return "not insufficient_scope: $bearer" if $letter eq 'S' && !$insufficient;
	return undef;
}

# A repository that a push has made is removed again.
sub undo {
	my ($c, $answer, $absent, @how) = @_;

	for (@how) {
		$undo{$_}->($c, $answer) unless $absent && $_ ne 'upload';
	}
	regfs('repo', 'rm', $c->{repo}, '--store', $STORE) if $absent;
}

# What a letter means for a request: status and error code. Of a repository that isn't there nobody has an
# upload; a mount asks for pull of where the blob comes from; a list of referrers is never 404.
sub expected {
	my ($request, $letter, $absent, $may_pull) = @_;
	my (undef, $method, $path, $status, $code) = @$request;

	return (404, 'BLOB_UPLOAD_UNKNOWN|NAME_UNKNOWN')
		if $letter =~ /^[+c]/ && $absent && $path =~ /^blobs\/uploads\/[^?]/;
	return (202) if $letter eq '+' && $path =~ /from=\{repo\}/ && !$may_pull;
	return (200) if $letter =~ /^[0n]/ && $path =~ /^referrers/;
	return ($status, $code) if $letter eq '+' || $letter eq 'c' && $status !~ /^2/;
	return @{$HTTP{substr $letter, 0, 1}};
}

# One request; LETTERS is for each action the letter, or two that would both do.
sub try_request {
	my ($who, $address, $headers, $column, $request, $letters) = @_;
	my ($action, $method, $path, $status, $code, $body, $type, $undo) = @$request;
	my $c = $content{$column};
	my $target = "/v2/$c->{repo}/" . fill_in($path, $c);
	my %options = (headers => {%$headers, $type ? ('content-type' => $type) : ()});
	my $absent = $visibility{$column} eq 'absent';
	my $letter = $letters->{$action};

	$options{content} = $body eq '{stolen}' ? $c->{stolen} : $body if defined $body;
	my $answer = request($who, $address, $method, $target, %options);
	my $why = bad_answer($answer, expected($request, $letter, $absent, $letters->{pull} eq '+'), $method);
	$why //= bad_challenge($answer, $letter, $c->{repo}, $action) if $answer->{status} == 401;
	$why //= "it has some" if $letter =~ /^[0n]/ && $answer->{status} == 200 && $answer->{content} !~ /"manifests":\[\]/;
	fault("$method $target: $why") if $why;
	undo($c, $answer, $absent, split / /, $undo // '') if $answer->{status} =~ /^2/;
}

# A mount of each other repository's own blob, with from and without: done where that may be pulled.
sub try_mounts {
	my ($who, $address, $headers, $to, $letter) = @_;

	for my $from (grep { $_ ne $to && $visibility{$_} ne 'absent' } @columns) {
		my $may = $letter->($from, 'pull') eq '+';
		for my $source ("&from=$name{$from}", '') {
			my $query = "mount=$content{$from}{layer}$source";
			my $answer = request($who, $address, POST => "/v2/$name{$to}/blobs/uploads/?$query",
				headers => $headers, content => '');
			my $why = bad_answer($answer, $may ? 201 : 202, undef, 'POST');
			fault("mount into $name{$to}, $query: $why") if $why;
			fix(DELETE => "$name{$to}/blobs/$content{$from}{layer}") if $answer->{status} == 201;
			$undo{upload}->(undef, $answer) if $answer->{status} == 202;
		}
	}
}

# ---- HTTP: who asks ----

sub basic {
	my ($name, $password) = @_;

	return {authorization => 'Basic ' . encode_base64("$name:$password", '')};
}

sub password {
	open my $in, '<', "$T/password" or die "$T/password: $!\n";
	chomp(my $line = <$in>);
	return $line;
}

# Headers that say who it is: a token's secret for users, too, but for those without one.
sub headers_of {
	my ($who) = @_;

	return {} if $who =~ /^(anonymous|anyone)$/;
	return $bearer{$who} if $who =~ /:/;
	return basic($1, 'wrong') if $who =~ /^(.*)!$/;
	return basic($who, $secret{"$who/secret"}) if $who =~ /^\+/;
	return basic($1, $secret{"$1/$2"}) if $who =~ /^(.*)\.(.*)$/;
	return basic($who, $secret{"$who/all"});
}

sub address_of {
	return $_[0] eq 'anyone' ? $OPEN : $ACCOUNTS;
}

sub speaks_http {
	return $_[0] ne 'administrator';
}

# walk_http PHASE DOOR WHO WORDS HEADERS LETTER: LETTER says what a cell's letter is at this door.
sub walk_http {
	my ($phase, $door, $who, $words, $headers, $letter) = @_;
	my $few = is_turned_away($words);

	for my $column ($few ? qw(open closed gone) : @columns) {
		my %letters = map { $_ => $letter->($column, $_) } qw(pull push delete);
		my %seen;
		for my $request (@REQUESTS) {
			next if $few && $seen{$request->[0]}++;
			try_request($who, address_of($who), $headers, $column, $request, \%letters);
		}
		try_mounts($who, address_of($who), $headers, $column, $letter)
			if $visibility{$column} ne 'absent' && $letters{push} eq '+';
		done("$phase, $door: $who, $name{$column}: $words->{$column}");
	}
}

sub walk_basic {
	my ($phase, $who, $words) = @_;

	return if !speaks_http($who) || $who =~ /!/;
	walk_http($phase, $who eq 'anyone' ? 'open' : $who =~ /:/ ? 'bearer' : 'basic', $who, $words, headers_of($who),
		sub { letter($words->{$_[0]}, $_[1]) =~ tr/a/+/r });
}

# ---- Lists ----

# The catalog in pages of one repository.
sub pages {
	my ($who, $headers) = @_;
	my ($path, @found) = '/v2/_catalog?n=1';

	while (defined $path && @found < 20) {
		my $answer = request($who, address_of($who), GET => $path, headers => $headers);
		my $page = (decoded($answer->{content}) // {})->{repositories} // [];
		push @found, @$page == 1 ? @$page : scalar(@$page) . " in $path";
		($path) = ($answer->{headers}{link} // '') =~ /<([^>]*)>/;
	}
	return @found;
}

sub walk_catalog {
	my ($phase, $door, $who, $list, $headers) = @_;
	my $answer = request($who, address_of($who), GET => '/v2/_catalog', headers => $headers);
	my ($first) = @$list;

	if ($first =~ /^[LS]$/) {
		is($answer->{status}, 401, 'status');
		my $challenge = $answer->{headers}{'www-authenticate'} // '';
		fault("challenge: $challenge") unless $challenge =~ /Bearer .*scope="registry:catalog:\*"/;
		is($challenge =~ /insufficient_scope/ ? 'S' : 'L', $first, 'challenge');
	} else {
		is(join(' ', @{(decoded($answer->{content}) // {})->{repositories} // ['none:', $answer->{content}]}),
			join(' ', sort map { $name{$_} } @$list), 'catalog');
		is(join(' ', pages($who, $headers)), join(' ', sort map { $name{$_} } @$list), 'catalog, one by one');
	}
	done("$phase, $door: $who, the catalog: @$list");
}

sub walk_catalogs {
	my ($phase, $who, $list) = @_;

	return unless speaks_http($who);
	walk_catalog($phase, 'basic', $who, $list, headers_of($who));
	walk_catalog($phase, 'bearer', $who, $list, $bearer{$who}) if $bearer{$who} && $who !~ /:/ && $list->[0] ne 'S';
}

# ---- Bearer tokens ----

# The realm and the service, as the server says them.
sub realm {
	my $answer = request('anonymous', $ACCOUNTS, GET => '/v2/');
	my $challenge = $answer->{headers}{'www-authenticate'} // '';
	my ($realm) = $challenge =~ /Bearer .*realm="([^"]*)"/i;
	my ($service) = $challenge =~ /service="([^"]*)"/;

	return ($realm, $service // '');
}

# fetch_bearer WHO HEADERS REALM SERVICE SCOPE...: the status, a token for that, its claims.
sub fetch_bearer {
	my ($who, $headers, $realm, $service, @scopes) = @_;
	my $query = join '&', "service=$service", map { 'scope=' . s/([:,\/*])/sprintf '%%%02X', ord $1/ger } @scopes;
	my ($address, $path) = $realm =~ m{^http://([^/]*)(/[^?]*)$} or return (0, undef, undef);
	my $answer = request($who, $address, GET => "$path?$query", headers => $headers);
	my $token = decoded($answer->{content}) // {};

	$token = $token->{token} // $token->{access_token};
	return ($answer->{status}, undef, undef) unless defined $token;
	my $claims = decoded(decode_base64url((split /\./, $token)[1]));
	return ($answer->{status}, $token, $claims);
}

# It carries no more than was asked for and granted.
sub walk_claims {
	my ($who, $words, $claims) = @_;
	my %carried = map { /^(.*):(.*)$/ ? ($1 => join ',', sort split /,/, $2) : () } split / /, $claims->{scope} // '';

	for my $column (@columns) {
		my @may = grep { letter($words->{$column}, $_) =~ /[+nca]/ } qw(delete pull push);
		is($carried{"repository:$name{$column}"} // '', join(',', @may), "claims for $name{$column}");
	}
	done("token: $who carries what it may");
}

# A token for all that is asked for here.
sub get_bearer {
	my ($who, $words, $realm, $service) = @_;
	my @scopes = ((map { "repository:$name{$_}:pull,push,delete" } @columns), 'registry:catalog:*');
	my ($status, $token, $claims) = fetch_bearer($who, headers_of($who), $realm, $service, @scopes);

	if (is_turned_away($words) && $who ne 'anonymous') {
		is($status, 401, 'the status of the token server');
		return done("token: $who gets none");
	}
	is($status, 200, 'the status of the token server');
	$bearer{$who} = {authorization => "Bearer $token"} if defined $token;
	walk_claims($who, $words, $claims);
}

sub get_bearers {
	my ($who, $word) = @_;
	my ($realm, $service) = realm();

	fault('GET /v2/ names no token server') unless defined $realm;
	done('the token server');
	return unless defined $realm;
	get_bearer($_, $word->{$_}, $realm, $service) for grep { speaks_http($_) && !/:|^anyone$/ } @$who;
	for (@{$table{bearers}}) {
		my ($name, @scopes) = @$_;
		my $headers = headers_of($name =~ s/:.*//r);
		my ($status, $token) = fetch_bearer($name, $headers, $realm, $service, @scopes);
		is($status, 200, "$name: the status of the token server");
		$bearer{$name} = {authorization => 'Bearer ' . ($token // '')};
	}
	done('token: for less and for more');
}

# What the token carries was decided early, what its subject may is decided now.
sub walk_bearer {
	my ($phase, $who, $words) = @_;
	my $away = is_turned_away($words);

	return if !$bearer{$who} || $who =~ /:/;
	walk_http($phase, 'bearer', $who, $words, $bearer{$who}, sub {
		my ($column, $action) = @_;
		my $now = letter($words->{$column}, $action);
		return $now =~ tr|a|+|r if letter($early{$who}{$column}, $action) =~ /[+nca]/;
		return $away || $who eq 'anonymous' ? 'LS' : 'S';
	});
}

# A password costs the server some ten milliseconds, and a few wrong ones slow it down: two requests of each.
sub walk_password {
	my ($phase, $who, $words) = @_;

	return if $who =~ /[+.:~]|^(anonymous|anyone|administrator)$/;
	my $headers = $who =~ /!/ ? headers_of($who) : basic($who, password());
	for my $column (qw(open closed)) {
		try_request($who, $ACCOUNTS, $headers, $column, $REQUESTS[0], {pull => letter($words->{$column}, 'pull')});
	}
	done("$phase, password: $who, $name{open}: $words->{open}, $name{closed}: $words->{closed}");
}

# GET /v2/ is how a client finds out whether it must log in, and is.
sub walk_base {
	my ($phase, $who, $words) = @_;

	return unless speaks_http($who);
	my $answer = request($who, address_of($who), GET => '/v2/', headers => headers_of($who));
	my $challenge = $answer->{headers}{'www-authenticate'} // '';

	is($answer->{status}, is_turned_away($words) || $who eq 'anonymous' ? 401 : 200, 'status');
	fault("challenge: $challenge") if $answer->{status} == 401 && $challenge !~ /Bearer realm="[^"]+"/i;
	done("$phase, basic: $who, /v2/");
}

# ---- Hidden and absent alike ----

sub bare {
	my ($answer, $repo) = @_;
	my %headers = %{$answer->{headers}};

	delete @headers{qw(date)};
	return $json->encode([$answer->{status}, \%headers, $answer->{content}]) =~ s/\Q$repo\E/REPO/gr;
}

# Nothing in an answer tells what is hidden from what isn't there: the two names have one length.
sub walk_alike {
	my ($who) = @_;
	my $headers = {%{headers_of($who)}, 'if-none-match' => "\"$content{closed}{layer}\", \"$content{closed}{image}\"",
		range => 'bytes=0-0'};

	for my $request (@REQUESTS) {
		my ($action, $method, $path, $status, $code, $body, $type) = @$request;
		my %options = (headers => {%$headers, $type ? ('content-type' => $type) : ()});
		$options{content} = $body if defined $body;
		my @answers = map {
			my $target = "/v2/$name{$_}/" . fill_in($path, {%{$content{closed}}, repo => $name{$_}});
			bare(request($who, $ACCOUNTS, $method, $target, %options), $name{$_});
		} qw(closed gone);
		is($answers[0], $answers[1], "$method $path");
	}
	done("alike: $who can't tell $name{closed} from $name{gone}");
}

1;
