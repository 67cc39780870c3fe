# http.sh: what the tests of the HTTP protocol share, on top of lib.sh; bash.

# answers STATUS DESCRIPTION METHOD PATH [CURL OPTION...]: STATUS is a regular expression.
answers() {
	local want=$1 description=$2

	shift 2
	http "$@"
	if [[ $CODE =~ ^($want)$ ]]; then
		pass "$description"
	else
		fail "$description" "$1 $2"$'\n'"     got: $CODE"$'\n'"expected: $want"$'\n'"$(
			tr -d '\r\0' <"$T/headers" | head -n 12)"$'\n'"$(
			head -c 1000 "$T/body" | tr -d '\0')"
		return 1
	fi
}

# Why the last answer isn't an error as the specification has it, or nothing.
bad_error_shape() {
	local code=$1

	[[ $(header content-type) == application/json* ]] || echo "Content-Type: $(header content-type)"
	jq -e --arg code "^($code)\$" '
		(keys == ["errors"]) and (.errors | type == "array" and length > 0)
		and (.errors | all(.code | test("^[A-Z_]+$")))
		and (.errors | all(.message | type == "string" and length > 0))
		and (.errors[0].code | test($code))' "$T/body" >/dev/null 2>&1 ||
		echo "not an error $code: $(head -c 1000 "$T/body" | tr -d '\0')"
}

# refuses STATUS CODE DESCRIPTION METHOD PATH [CURL OPTION...]: with an error in the
# specification's JSON. STATUS and CODE are regular expressions.
refuses() {
	local want=$1 code=$2 description=$3 why

	shift 3
	http "$@"
	why=$([[ $CODE =~ ^($want)$ ]] || echo "status $CODE, not $want")
	[ "$1" = HEAD ] || why+=$(bad_error_shape "$code")
	if [ -z "$why" ]; then
		pass "$description"
	else
		fail "$description" "$1 ${2:0:300}"$'\n'"$why"
		return 1
	fi
}

# says VALUE DESCRIPTION: the message of the last error names the value.
says() {
	local message

	message=$(jq -r '.errors[0].message' "$T/body" 2>/dev/null)
	if [[ $message == *"$1"* ]]; then
		pass "$2"
	else
		fail "$2" "message: $message"$'\n'"lacks:   $1"
	fi
}

# same FILE DESCRIPTION: the last answer's body is the file's bytes.
same() {
	if cmp -s "$1" "$T/body"; then
		pass "$2"
	else
		fail "$2" "$(cmp "$1" "$T/body" 2>&1; stat -c '%n %s' "$1" "$T/body")"
	fi
}

# The path that the last answer's Location names, without a host.
location() {
	local value

	value=$(header location)
	value=${value#http://"$ADDR"}
	printf '%s\n' "$value"
}

# with_digest LOCATION DIGEST
with_digest() {
	case $1 in
	*\?*) printf '%s&digest=%s\n' "$1" "$2" ;;
	*) printf '%s?digest=%s\n' "$1" "$2" ;;
	esac
}

# begin REPO: a new upload; its path in UPLOAD.
begin() {
	http POST "/v2/$1/blobs/uploads/" -H 'Content-Length: 0'
	UPLOAD=$(location)
	[ "$CODE" = 202 ] && [ -n "$UPLOAD" ]
}

# random_file NAME SIZE: new bytes in $T/NAME; its digest in DIGEST.
random_file() {
	head -c "$2" /dev/urandom >"$T/$1"
	DIGEST=$(digest_of "$T/$1")
}

# slice FILE OFFSET LENGTH: those bytes.
slice() {
	tail -c +$(($2 + 1)) "$1" | head -c "$3"
}

# oci_manifest FILE CONFIG LAYER...: an image manifest of files in $T.
oci_manifest() {
	local out=$1 config=$2 layers=() file

	shift 2
	for file; do
		layers+=("$(jq -cn --arg d "$(digest_of "$T/$file")" --argjson s "$(stat -c %s "$T/$file")" \
			'{mediaType: "application/vnd.oci.image.layer.v1.tar", digest: $d, size: $s}')")
	done
	printf '%s\n' "${layers[@]}" | jq -s --arg d "$(digest_of "$T/$config")" \
		--argjson s "$(stat -c %s "$T/$config")" '{schemaVersion: 2,
			mediaType: "application/vnd.oci.image.manifest.v1+json",
			config: {mediaType: "application/vnd.oci.image.config.v1+json", digest: $d, size: $s},
			layers: .}' >"$T/$out"
}

# small_image REPO N [CONFIG]: an image of its own in $T/image-N, with its blobs in the repository.
small_image() {
	random_file "layer-$2" 100
	printf '%s' "${3:-{\"n\":$2\}}" >"$T/config-$2"
	oci_manifest "image-$2" "config-$2" "layer-$2"
	push_blob "$1" "$T/config-$2" >/dev/null && push_blob "$1" "$T/layer-$2" >/dev/null
}

OCI_MANIFEST='Content-Type: application/vnd.oci.image.manifest.v1+json'
OCI_INDEX='Content-Type: application/vnd.oci.image.index.v1+json'
BYTES='Content-Type: application/octet-stream'
CHUNKED='Transfer-Encoding: chunked'
NO_SUCH=sha256:$(printf '%064d' 0)
