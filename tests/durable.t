#!/bin/bash
#
# 201 Created means on disk. A trace of the server's system calls shows the order: the
# file's bytes, its name, the directory that holds the name, the database, the answer.

. "${0%/*}/lib.sh"
. "${0%/*}/http.sh"

need curl jq perl strace
start_regfs --open

CALLS=fsync,fdatasync,sync_file_range,syncfs,link,linkat,rename,renameat,renameat2,mkdir,mkdirat
CALLS+=,write,pwrite64,writev,pwritev,send,sendto,sendmsg,sendfile

# traced FILE METHOD PATH [CURL OPTION...]: one request, and what the server called meanwhile.
traced() {
	local out=$1 pid

	shift
	: >"$T/strace.log"
	strace -f -yy -s 48 -e "trace=$CALLS" -o "$out" -p "$REGFS_PID" 2>"$T/strace.log" &
	pid=$!
	processes+=("$pid")
	wait_line "$T/strace.log" "$pid" attached || return 1
	http "$@"
	kill -INT "$pid"
	wait "$pid"
	return 0
}

# in_order FILE REGEX...: calls that match, each begun after the one before had ended
# successfully. A regex is matched with the call as one line: NAME(ARGUMENTS) = RESULT.
# The last one must be the first call in the file that matches it.
in_order() {
	perl - "$@" <<'PERL'
use strict;
use warnings;
my ($file, @want) = @ARGV;
my (@calls, %open);
open my $in, '<', $file or die "$file: $!\n";
while (<$in>) {
	chomp;
	my ($pid, $text) = /^(\d+)\s+(.*)/ or next;
	if ($text =~ /^<\.\.\. (\w+) resumed>(.*)/) {
		my $call = delete $open{$pid} or next;
		$call->{text} .= $2;
		$call->{end} = $.;
	} elsif ($text =~ /^(\w+)\(/) {
		my $call = { begin => $., end => $., text => $text };
		if ($call->{text} =~ s/ *<unfinished \.\.\.>$//) {
			$call->{end} = 1e9;
			$open{$pid} = $call;
		}
		push @calls, $call;
	}
}
my $after = 0;
for my $i (0 .. $#want) {
	my @match = grep { $_->{text} =~ /$want[$i]/ && $_->{text} !~ / = -1 / } @calls;
	@match = @match[0 .. 0] if $i == $#want && @match;
	my ($found) = grep { $_->{begin} > $after } @match;
	if (!$found) {
		print "no call /$want[$i]/ after line $after of the trace:\n";
		print "$_->{begin}-$_->{end} ", substr($_->{text}, 0, 150), "\n" for @calls[0 .. ($#calls < 60 ? $#calls : 60)];
		exit 1;
	}
	print "$found->{begin}-$found->{end} $found->{text}\n";
	$after = $found->{end};
}
PERL
}

strace -o /dev/null true 2>/dev/null || skip_all 'strace cannot trace here'
SYNC='^(fsync|fdatasync)'
WAL="$SYNC"'\(\d+<[^>]*-wal'

# placed FILE DIGEST DESCRIPTION: a new blob's file and name are on disk, in this order, then
# the database, then the answer.
placed() {
	local hex=${2#sha256:}
	local dir="$STORE/blobs/sha256/${hex:0:2}"

	check "$3: file, name, directory, database, 201" in_order "$1" \
		"$SYNC"'\(\d+<[^>]*/(uploads|blobs)/' \
		"^(link|rename).*$hex" \
		"$SYNC"'\(\d+<'"$dir"'>' \
		"$WAL" \
		'^(send|sendto|sendmsg|write|writev)\(.*HTTP/1\.1 201'
	if grep -qE "mkdir.*sha256/${hex:0:2}\"|mkdir.*\"${hex:0:2}\"" "$1"; then
		check "$3: the new directory's own name, too, before the 201" in_order "$1" \
			'^mkdir' "$SYNC"'\(\d+<'"$STORE"'/blobs/sha256>' '^(send|sendto|sendmsg|write|writev)\(.*HTTP/1\.1 201'
	fi
}

random_file one 1000000
check 'a trace of POST with digest' traced "$T/post" POST "/v2/centos/blobs/uploads/?digest=$DIGEST" \
	-H "$BYTES" -H Expect: --data-binary "@$T/one"
is "$CODE" 201 'POST with digest: 201'
placed "$T/post" "$DIGEST" 'POST with digest'

random_file two 1000000
begin centos
http PATCH "$UPLOAD" -H "$BYTES" -H "$CHUNKED" --data-binary "@$T/two"
check 'a trace of the closing PUT' traced "$T/put" PUT "$(with_digest "$(location)" "$DIGEST")" -d ''
is "$CODE" 201 'PATCH, PUT: 201'
placed "$T/put" "$DIGEST" 'PATCH, PUT'

# A blob that another repository pushed: only the database has to change.
check 'a trace of a mount' traced "$T/mount" POST "/v2/jetty/blobs/uploads/?mount=$DIGEST&from=centos" -d ''
is "$CODE" 201 'a mount: 201'
check 'a mount: database, 201' in_order "$T/mount" "$WAL" '^(send|sendto|sendmsg|write|writev)\(.*HTTP/1\.1 201'

printf '{}' >"$T/config"
push_blob centos "$T/config" >/dev/null
oci_manifest image config one
check 'a trace of a manifest' traced "$T/manifest" PUT /v2/centos/manifests/1 -H "$OCI_MANIFEST" \
	--data-binary "@$T/image"
is "$CODE" 201 'a manifest: 201'
if grep -qE "(link|rename).*$(digest_of "$T/image" | cut -d: -f2)" "$T/manifest"; then
	placed "$T/manifest" "$(digest_of "$T/image")" 'a manifest'
else
	check 'a manifest: database, 201' in_order "$T/manifest" "$WAL" \
		'^(send|sendto|sendmsg|write|writev)\(.*HTTP/1\.1 201'
fi
check 'a trace of a tag that moves' traced "$T/move" PUT /v2/centos/manifests/2 -H "$OCI_MANIFEST" \
	--data-binary "@$T/image"
is "$CODE" 201 'a tag: 201'
check 'a tag: database, 201' in_order "$T/move" "$WAL" '^(send|sendto|sendmsg|write|writev)\(.*HTTP/1\.1 201'

check 'a trace of DELETE' traced "$T/delete" DELETE "/v2/centos/manifests/$(digest_of "$T/image")"
is "$CODE" 202 'DELETE: 202'
check 'DELETE: database, 202' in_order "$T/delete" "$WAL" '^(send|sendto|sendmsg|write|writev)\(.*HTTP/1\.1 202'
stop_regfs

done_testing
