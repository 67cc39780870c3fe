#!/bin/bash
# hooks-programs.t: programs that are run when something happens: who may put them there, what they get, and that they end.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/hooks.sh"

need jq curl python3 setpriv

export REGFS_STORE=$STORE
chmod 711 "$T"
make_image "$T/a" 1.0 one >"$T/made" || bail 'no image'
A=$(layout_digest "$T/a" 1.0)
cp "$T/a/blobs/sha256/${A#sha256:}" "$T/manifest"
D=$STORE/hooks.d
OUT=$T/out
mkdir -p "$OUT" && chmod 1777 "$OUT"

# A file that the server has open without closing it at exec: no program may have it.
exec 9<"$T/made"
start_regfs --open --hook-timeout 2s
push_layout "$T/a" 1.0 shop/web >/dev/null
mkdir -p "$D/programs" "$D/untag"
chmod 755 "$STORE" "$D" "$D/programs" "$D/untag" 2>/dev/null

# program NAME <TEXT: an executable of the owner's, below hooks.d.
program() {
	cat >"$D/$1" && chmod 755 "$D/$1"
}

# ran NAME: makes a hook of it, pushes, and waits until it was tried; the first delivery is in $D1.
ran() {
	"$REGFS" hook add shop/web "$1" --program "$1" >/dev/null || fail "a hook $1"
	push_tag shop/web "t-$1"
	until_log shop/web "$1" 'any(.attempts > 0)'
	D1=$(deliveries shop/web "$1" .delivery | head -n 1)
}

# said NAME: what its first attempt wrote, as it is kept.
said() {
	"$REGFS" hook log shop/web "$1" "$D1" --json | jq -r '.[0].response'
}

state() {
	"$REGFS" hook log shop/web "$1" --json | jq -r '.[-1] | "\(.state) \(.status) \(.why)"'
}

# ends PID WHAT: a process that was killed, which nobody here can wait for.
ends() {
	local left=$(($(date +%s) + 30))

	while grep -q '^State:[[:space:]]*[^ZX]' "/proc/$1/status" 2>/dev/null; do
		if [ "$(date +%s)" -gt $left ]; then
			fail "$2" "$1 still runs"
			return
		fi
		read -r -t 0.05 <> <(:)
	done
	pass "$2"
}

# ---- What it gets ----

program programs/facts <<'END'
#!/bin/sh
echo "$@"; env | sort; echo --; cat; echo; echo --; ls -l /proc/$$/fd; echo --; pwd; id -u; echo to stderr >&2; echo --; cat /dev/stdin >/dev/stdout
END
"$REGFS" hook add shop/web facts --program facts >/dev/null
push_tag shop/web facts
until_log shop/web facts 'all(.state == "done")'
D1=$(deliveries shop/web facts .delivery | head -n 1)
said facts >"$T/facts"
is "$(sed '/^--$/,$d' "$T/facts" | grep -v '^_=\|^SHLVL=\|^OLDPWD=\|^PWD=' | tr '\n' ' ')" " HOME=/ LANG=C PATH=/usr/local/bin:/usr/bin:/bin REGFS_DELIVERY=$D1 \
REGFS_DIGEST=$A REGFS_EVENT=push REGFS_NUMBER=$(deliveries shop/web facts .event) REGFS_REPOSITORY=shop/web REGFS_SEQUENCE=1 REGFS_TAG=facts REGFS_WHO=anyone " \
	'facts stand in the environment, and nothing else does'
is "$(sed '1,/^--$/d; /^--$/,$d' "$T/facts" | jq -r '[.hook, .event.kind, .event.repository, .event.tag, .event.digest] | join(" ")')" \
	"facts push shop/web facts $A" 'the event comes on standard input'
is "$(awk '/^--$/ {n++; next} n == 2' "$T/facts" | sed -n 's/.* \([0-9]*\) ->/\1/p' | grep -vE '^0 /memfd:hook|^[12] pipe:|^3 .*/(hooks.d/programs/facts|proc/.*/fd)|^[34] /proc/|^10 .*/hooks.d/programs/facts')" '' \
	'no descriptor is inherited but those, and its own file'
is "$(awk '/^--$/ {n++; next} n == 3' "$T/facts" | xargs)" "/ $( [ "$(id -u)" = 0 ] && echo 65534 || id -u ) to stderr" \
	'it stands in /, is nobody where the server is root, and both outputs are kept'
is "$(awk '/^--$/ {n++; next} n == 4' "$T/facts")" "$(sed '1,/^--$/d; /^--$/,$d' "$T/facts" | head -n 1)" 'it can open /dev/stdin and /dev/stdout'
"$REGFS" hook rm shop/web facts >/dev/null

# ---- How it ends ----

program programs/three <<'END'
#!/bin/sh
echo failed; exit 3
END
ran three
is "$(state three)" 'waiting 3 it ended with 3' 'a program that fails is tried again'
is "$(said three)" failed 'what it said is kept'
program programs/three <<'END'
#!/bin/sh
echo better now
END
until_log shop/web three '.[0].state == "done"'
is "$("$REGFS" hook log shop/web three "$D1" --json | jq -r '.[-1].response')" 'better now' 'until it is done'
"$REGFS" hook rm shop/web three >/dev/null

program programs/signal <<'END'
#!/bin/sh
kill -SEGV $$
END
ran signal
is "$(state signal)" 'waiting 139 it was ended by signal 11' 'a signal is a failure'
"$REGFS" hook rm shop/web signal >/dev/null

program programs/hangs <<END
#!/bin/bash
trap '' TERM HUP
echo \$\$ >"$OUT/hangs"
bash -c "trap '' TERM HUP; echo \\\$\\\$ >>'$OUT/hangs'; while :; do read -t 1000 <> <(:); done" &
wait
END
ran hangs
like "$(state hangs)" 'waiting 137 it was killed: it ran for more than 2000 ms' 'one that hangs is killed'
is "$(wc -l <"$OUT/hangs")" 2 'it had begun another'
for p in $(cat "$OUT/hangs"); do
	ends "$p" 'with all that it began'
done
"$REGFS" hook rm shop/web hangs >/dev/null

program programs/leaves <<END
#!/bin/bash
(echo \$BASHPID >"$OUT/leaves"; exec >"$OUT/null" 2>&1 </dev/null; while :; do read -t 1000 <> <(:); done) &
until [ -s "$OUT/leaves" ]; do :; done
END
ran leaves
is "$(state leaves)" 'done 0 ' 'one that ends leaves'
ends "$(cat "$OUT/leaves")" 'nothing behind'
"$REGFS" hook rm shop/web leaves >/dev/null

program programs/talks <<'END'
#!/bin/sh
head -c 10000000 /dev/zero | tr '\0' x
END
ran talks
is "$(state talks)" 'done 0 ' 'one that says too much is heard to the end'
is "$(said talks | wc -c)" 4097 '4 KiB of that are kept'
"$REGFS" hook rm shop/web talks >/dev/null

program programs/deaf <<'END'
#!/bin/sh
exec 0<&-
exit 0
END
ran deaf
is "$(state deaf)" 'done 0 ' 'one that does not read is no failure'
"$REGFS" hook rm shop/web deaf >/dev/null

program programs/quotes <<'END'
#!/bin/sh
printf '%s' "$REGFS_TAG" | grep -q 'quotes$'
END
"$REGFS" hook add shop/web quotes --program quotes --format docker >/dev/null
push_tag shop/web t-quotes
until_log shop/web quotes 'all(.state == "done")'
like "$("$REGFS" hook log shop/web quotes "$(deliveries shop/web quotes .delivery)" --json | jq -r '.[0].request')" '"events":' 'it gets the format that was asked for'
"$REGFS" hook rm shop/web quotes >/dev/null

# ---- Which are run ----

# refused NAME REASON: it isn't run, and the log says why.
refused() {
	ran "$1"
	like "$(state "$1")" "waiting -1 .*$2" "$3"
	"$REGFS" hook rm shop/web "$1" >/dev/null
}
printf '#!/bin/sh\necho ran >"%s/wrong"\n' "$OUT" | tee "$D/programs/group" "$D/programs/world" "$D/programs/plain" "$D/programs/other" >"$T/program"
chmod 775 "$D/programs/group"
chmod 757 "$D/programs/world"
chmod 644 "$D/programs/plain"
refused group 'somebody else than the registry.s owner may write to it' 'no program that its group may write to'
refused world 'somebody else than the registry.s owner may write to it' 'nor anyone'
refused plain "it isn't executable" 'nor what is no executable'
refused absent "can't open .*absent" 'nor what is not there'
mkdir "$D/programs/directory"
refused directory 'is no file' 'nor a directory'
if [ "$(id -u)" = 0 ]; then
	chmod 755 "$D/programs/other"
	chown 1 "$D/programs/other"
	refused other 'somebody else than the registry.s owner may write to it' 'nor what is somebody else.s'
fi
chmod 777 "$D/programs"
cp "$T/program" "$D/programs/inside" && chmod 755 "$D/programs/inside"
refused inside 'programs is not run|somebody else than the registry.s owner may write to it' 'nor from a directory in which others may put one'
chmod 755 "$D/programs"
check_fails 'none of these ran' test -e "$OUT/wrong"
fails_with 'a program is named as the file' 'a name leads nowhere else' "$REGFS" hook add shop/web x --program ../../bin/sh

# ---- Dropped into hooks.d/<event>/ ----

program untag/note <<END
#!/bin/sh
echo "\$REGFS_EVENT \$REGFS_REPOSITORY \$REGFS_TAG" >>"$OUT/untag"
END
push_tag shop/web seen
until_log '**' untag.note 'true' 5 >/dev/null
"$REGFS" tag rm shop/web:seen >/dev/null
until_log '**' untag.note 'length > 0 and all(.state == "done")'
is "$(cat "$OUT/untag")" 'untag shop/web seen' 'an executable in hooks.d/untag/ is run for what happens from then on'
like "$("$REGFS" hook list '**')" 'untag.note +untag .*program untag/note' 'it is listed as a hook'
# Which is in the directory's place in one step: in between it would be gone.
ln -s untag "$D/away"
swap() {
	python3 -c 'import ctypes, sys; sys.exit(ctypes.CDLL(None).renameat2(-100, sys.argv[1].encode(), -100, sys.argv[2].encode(), 2) != 0)' "$@"
}
swap "$D/away" "$D/untag" || bail 'no renameat2()'
push_tag shop/web unread
check 'a directory that cannot be read' wait_line "$LOG" "$REGFS_PID" "can't read .*/hooks.d/untag"
like "$("$REGFS" hook list '**')" 'untag.note' 'is not taken for an empty one'
swap "$D/away" "$D/untag"
rm "$D/away"
"$REGFS" tag rm shop/web:unread >/dev/null
until_log '**' untag.note 'length == 2 and all(.state == "done")'
: >"$OUT/untag" && echo >>"$OUT/untag"

# Pulls are noted where somebody is told of them: whoever comes is.
pull() {
	curl -sSf -o /dev/null -H "Accept: $(jq -r .mediaType "$T/manifest")" "http://$ADDR/v2/shop/web/manifests/1.0"
}
pull
mkdir -m 755 "$D/pull"
program pull/note <<END
#!/bin/sh
echo "\$REGFS_EVENT" >>"$OUT/pull"
END
push_tag shop/web seen-1
until_log '**' pull.note 'true' 5 >/dev/null
pull
until_log '**' pull.note 'length == 1 and all(.state == "done")'
rm "$D/pull/note"

rm "$D/untag/note"
push_tag shop/web seen
push_tag shop/web seen-2
"$REGFS" tag rm shop/web:seen >/dev/null
for i in 1 2 3 4 5 6 7 8 9 10; do
	"$REGFS" hook list '**' --json | jq -e 'length == 0' >"$T/none" && break
	push_tag shop/web "again-$i"
done
is "$("$REGFS" hook list '**' --json | jq -c .)" '[]' 'until it is removed'
is "$(wc -l <"$OUT/untag")" 1 'then it is told nothing'
stop_regfs
mkdir -p -m 755 "$D/push"
program push/later <<END
#!/bin/sh
echo "\$REGFS_TAG" >>"$OUT/later"
END
start_regfs --open --hook-timeout 2s
push_tag shop/web after
until_log '**' push.later 'length > 0 and all(.state == "done")'
is "$(cat "$OUT/later")" after 'one put there while no server ran is not told of what was before'
rm "$D/push/later"
stop_regfs

# ---- As whom ----

if [ "$(id -u)" = 0 ]; then
	trap '' USR1 TSTP	# as whoever starts it may
	start_regfs --open --hook-user daemon
	trap - USR1 TSTP
	program programs/who <<'END'
#!/bin/sh
id -u; id -g; id -G; grep -E '^(NoNewPrivs|CapEff|SigIgn|SigBlk):' /proc/self/status | tr -d '\t'; exec sh -c 'ps -o sid= -p $$ 2>/dev/null | grep -q . ; cut -d" " -f5,6 /proc/$$/stat'
END
	ran who
	is "$(said who | head -n 3 | xargs)" "$(id -u daemon) $(id -g daemon) $(id -g daemon)" '--hook-user: as that one, in its group only'
	like "$(said who | xargs)" 'SigBlk:0{16} SigIgn:0{16} .*CapEff:0{16} NoNewPrivs:1|NoNewPrivs:1' 'with no privileges, nor a way to some'
	like "$(said who | xargs)" 'CapEff:0000000000000000' 'no capabilities'
	like "$(said who | xargs)" 'SigBlk:0000000000000000' 'no signals blocked'
	like "$(said who | xargs)" 'SigIgn:0000000000000000' 'nor ignored'
	"$REGFS" hook rm shop/web who >/dev/null
	stop_regfs
	fails_with 'hook-user.*nosuchuser|nosuchuser' 'a user that there is not' "$REGFS" serve --open --listen 127.0.0.1:0 --hook-user nosuchuser
	fails_with 'other than root' 'nor root' "$REGFS" serve --open --listen 127.0.0.1:0 --hook-user root
fi

done_testing
