#!/bin/bash
# readme.t: the README's commands do what it says, and the manual leaves nothing out.
#
# A block fenced as `sh` runs as it stands, in a copy of the tree, one after another, but for the
# address, the store and the mount, which are the test's. A second word names the daemon
# that it needs: one of the test's own.
. "$(dirname "$0")/lib.sh"

# ---- The manual knows every command, option and file ----

for page in "$ROOT"/man/*.[1-8]; do
	is "$(mandoc -T lint -W warning "$page" 2>/dev/null)" '' "${page##*/}: lint"
done

# text PAGE: as a reader sees it, on one line.
text() {
	mandoc -T utf8 "$ROOT/man/$1" | col -b | tr -s ' \t\n' ' '
}
need perl
manual=$(text regfs.1)
configuration=$(text regfs.conf.5)
tree=$(text regfs.5)

# options COMMAND...: of its help, as -n,--dry-run.
options() {
	"$REGFS" "$@" --help | sed -n 's/^  \(\(-.\), \)\{0,1\}\(--[a-z-]*\).*/\2,\3/p' | sed 's/^,//'
}

commands=()
while read -r word second _; do
	[[ $("$REGFS" "$word" --help | head -n 1) != *" VERB "* ]] || word+=" $second"
	commands+=("$word")
done < <("$REGFS" --help | grep '^  [a-z]')

# has OPTIONS OPTION: whether one of the first is the second; either may be as -n,--dry-run.
has() {
	local one

	for one in ${2//,/ }; do
		[[ " ${1//,/ } " != *" $one "* ]] || return 0
	done
	return 1
}

# Of the item: what the command has, but for what all take; and nothing else. Of the synopsis: all, or "...".
common='--store --server --ca --json -n,--dry-run --help'
declare -A item text operands synopsis
while IFS=' ' read -r kind line; do
	declare -n what=$kind
	what[${line%%:*}]+=${line#*:}
done < <("$ROOT/tests/manual" "$ROOT/man/regfs.1")
wrong=
for command in "${commands[@]}"; do
	read -ra words <<<"$command"
	all=$(options "${words[@]}")
	usage=$("$REGFS" "${words[@]}" --help | head -n 1)
	usage=${usage#"usage: regfs $command [options]"}
	[ -n "${item[$command]+there}" ] || wrong+=" $command:"
	[ -n "${synopsis[$command]+there}" ] || wrong+=" $command:synopsis"
	[ "${operands[$command]-}" = "${usage^^}" ] || wrong+=" $command:${usage^^},not:${operands[$command]-}"
	for option in $all; do
		has "$common ${item[$command]-} ${text[$command]-}" "$option" || wrong+=" $command:no:$option"
		has "${synopsis[$command]-} --help" "$option" || has "${synopsis[$command]-}" ... || wrong+=" $command:synopsis:no:$option"
	done
	for option in ${item[$command]-} ${synopsis[$command]-}; do
		has "${all//$'\n'/ } ..." "$option" || wrong+=" $command:has-no:$option"
	done
	! has "$all" --dry-run || has "${item[$command]-}" -n,--dry-run || wrong+=" $command:no:-n"
done
is "$wrong" '' 'regfs.1 has the usage of each command, and no option more or less'
is "$(printf '%s\n' "${!item[@]}" | sort)" "$(printf '%s\n' "${commands[@]}" | sort)" 'and no other command'

missing=
for option in $(options serve); do
	option=${option#*,}
	case $option in
	--config | --help) ;;
	*) [[ $configuration == *" ${option#--} "* ]] || missing+=" $option" ;;
	esac
done
is "$missing" '' 'regfs.conf.5 has every option of serve'

missing=
for name in $(sed -n 's/.*\.name = "\([a-z._-]*\)".*/\1/p; s/.*IMAGE_TEXT([A-Z_]*, "\([a-z-]*\)".*/\1/p' \
	"$ROOT/fs/tree/kind.c" | sort -u); do
	[[ $tree == *"$name"* ]] || missing+=" $name"
done
is "$missing" '' 'regfs.5 has every file'

# ---- The README's commands ----

have_fuse || skip_all 'FUSE is not there'
need jq getfattr podman buildah skopeo
[ "$(id -u)" = 0 ] || { skip 'podman and buildah with a storage of their own need root here'; done_testing; }

export HOME=$T/home REGFS_STORE=$STORE PATH=${REGFS%/*}:$PATH
export REGISTRY_AUTH_FILE=$T/auth.json CONTAINERS_STORAGE_CONF=$T/storage.conf
export CONTAINERS_CONF=$T/containers.conf
export DOCKER_HOST=unix://$T/docker/socket DOCKER_CONFIG=$T/docker/client
export CONTAINERD_ADDRESS=$T/containerd/socket CONTAINERD_NAMESPACE=regfs-test
mkdir -p "$HOME/.config/containers" "$T/clone" "$T/docker" "$T/containerd"
echo '{"default": [{"type": "insecureAcceptAnything"}]}' >"$HOME/.config/containers/policy.json"
echo '{}' >"$REGISTRY_AUTH_FILE"
cat >"$CONTAINERS_STORAGE_CONF" <<-END
	[storage]
	driver = "overlay"
	graphroot = "$T/storage/root"
	runroot = "$T/storage/run"
END
cat >"$CONTAINERS_CONF" <<-END
	[engine]
	events_logger = "file"
	tmp_dir = "$T/storage/tmp"
END
cp "$ROOT/README.md" "$T/clone"
start_regfs --open --mount "$HOME/regfs"

start_docker() {
	command -v dockerd >/dev/null || return 1
	echo '{}' >"$T/docker/daemon.json"
	background "$T/docker/log" dockerd --config-file "$T/docker/daemon.json" \
		--data-root "$T/docker/data" --exec-root "$T/docker/exec" --pidfile "$T/docker/pid" \
		--host "$DOCKER_HOST" --iptables=false --ip6tables=false --ip-forward=false --bridge=none
	wait_line "$T/docker/log" "$PID" 'API listen on'
}

start_containerd() {
	command -v containerd >/dev/null || return 1
	cat >"$T/containerd/config.toml" <<-END
		version = 2
		root = "$T/containerd/root"
		state = "$T/containerd/state"
		disabled_plugins = ["io.containerd.grpc.v1.cri"]
		[grpc]
		  address = "$CONTAINERD_ADDRESS"
		[ttrpc]
		  address = "$CONTAINERD_ADDRESS.ttrpc"
		[plugins."io.containerd.internal.v1.opt"]
		  path = "$T/containerd/opt"
	END
	background "$T/containerd/log" containerd --config "$T/containerd/config.toml"
	wait_line "$T/containerd/log" "$PID" 'containerd successfully booted'
}

# blocks KIND: splits the README's blocks of that kind into $T/blocks/NN-WORD.
blocks() {
	rm -rf "$T/blocks"
	mkdir "$T/blocks"
	sed "s/127\.0\.0\.1:5000/$ADDR/g" "$ROOT/README.md" | awk -v kind="$1" -v dir="$T/blocks" '
		/^```/ && inside { inside = 0; next }
		$1 == "```" kind { inside = 1; file = sprintf("%s/%02d-%s", dir, ++n, $2 ? $2 : "any"); next }
		/^```/ { inside = 1; file = "/dev/null"; next }
		inside { print >file }'
}

started=' any '
blocks sh
isnt "$(ls "$T/blocks" | wc -l)" 0 'the README has blocks to run'
for block in "$T"/blocks/*; do
	daemon=${block##*-}
	first=$(head -n 1 "$block")
	case $started in
	*" $daemon "*) ;;
	*)
		if start_"$daemon"; then
			started+="$daemon "
		else
			skip "$daemon doesn't run here: $first"
			continue
		fi
		;;
	esac
	cd "$T/clone" || bail 'no copy of the tree'
	check "$first ..." bash -e -o pipefail "$block"
done
cd "$ROOT" || bail 'no way back'

is "$(ls "$HOME/regfs/shop/console-web/_tags" | xargs)" '1.3 latest stable' 'the tags that are left'
is "$(tar xf "$HOME/regfs/shop/console-web/_tags/stable/layers/01/blob" -O | tr -d '\0' | head -n 1)" \
	'# regfs' 'and what they hold'

case $started in
*" containerd "*)
	blocks toml
	mkdir -p "$T/certs.d/$ADDR"
	cp "$T"/blocks/01-any "$T/certs.d/$ADDR/hosts.toml"
	check 'hosts.toml' ctr images pull --hosts-dir "$T/certs.d" "$ADDR/shop/console-web:stable"
	;;
*) skip 'hosts.toml needs containerd' ;;
esac

stop_regfs
done_testing
