#!/bin/bash
#
# auth.t: who asks over HTTP, and what is answered: Basic, Docker's token authentication (distribution, docs/spec/auth/), its
# challenges, its signed tokens and their keys.

. "${0%/*}/lib.sh"
. "${0%/*}/http.sh"

need curl jq openssl perl

# user_of NAME PASSWORD: curl's configuration with them, in $T/login.NAME.
user_of() {
	printf 'user = "%s:%s"\n' "$1" "$2" >"$T/login.$1"
}

# as [NAME]: who asks from now on; nobody in particular without.
as() {
	LOGIN=${1:+$T/login.$1}
}

# with_token TOKEN METHOD PATH [CURL OPTION...]: http, by that token.
with_token() {
	local token=$1

	shift
	LOGIN='' http "$@" -H "Authorization: Bearer $token"
}

# get_token [CURL OPTION...]: a token for whoever asks, in TOKEN; the answer stays.
get_token() {
	http GET /token -G --data-urlencode "service=$SERVICE" "$@"
	TOKEN=$(jq -r '.token // empty' "$T/body")
}

# scope SCOPE: an option of curl's.
scope() {
	printf -- '--data-urlencode\nscope=%s\n' "$1"
}

# claims TOKEN: its payload.
claims() {
	cut -d. -f2 <<<"$1" | tr _- /+ | base64 -di 2>/dev/null
}

base64url() {
	base64 -w0 | tr +/ -_ | tr -d =
}

# signed HEADER PAYLOAD [KEY]: a token, RS256 by that key.
signed() {
	local text

	text=$(printf %s "$1" | base64url).$(printf %s "$2" | base64url)
	printf '%s.%s' "$text" "$(printf %s "$text" | openssl dgst -sha256 -sign "${3:-$T/keys.pem}" -binary | base64url)"
}

challenge() {
	header www-authenticate
}

administrator
user_of admin "$(cat "$T/password")"
openssl genrsa -out "$T/keys.pem" 2048 2>/dev/null
start_regfs --admin-password-file "$T/password" --token-key "$T/keys.pem"
export REGFS_STORE=$STORE
SERVICE=$ADDR
REALM="Bearer realm=\"http://$ADDR/token\",service=\"$ADDR\""
for name in alice bob carol; do
	echo "the password of $name" >"$T/password.$name"
	regfs user add --password-file "$T/password.$name" $name || bail "no user $name"
	user_of $name "the password of $name"
done

# An image in a private repository and in a public one.
L=$T/layout
make_image "$L" 1 'hello' >/dev/null || bail 'no image'
as admin
for repo in shop/private shop/public; do
	push_layout "$L" 1 $repo >/dev/null || bail "no push to $repo"
done
check 'a repository is made public' regfs repo set shop/public visibility=public
check 'alice may push' regfs grant alice pull,push 'shop/private'
check 'bob may pull' regfs grant bob pull shop/private
check 'carol may push elsewhere' regfs grant carol pull,push 'carol/**'
BLOB=$(jq -r '.layers[1].digest' "$(blob_path "$L" "$(layout_digest "$L" 1)")")

# ---- /v2/ ----

as
refuses 401 UNAUTHORIZED '/v2/ for nobody in particular' GET /v2/
is "$(challenge)" "$REALM" 'it says where to log in'
answers 401 'HEAD, too' HEAD /v2/
is "$(challenge)" "$REALM" 'with the same challenge'
as alice
answers 200 '/v2/ with a password' GET /v2/
answers 200 'and once more' GET /v2/
for wrong in 'alice:wrong' 'nobody:wrong' ':' 'alice:' '@group:x' "alice:$(printf '%0513d' 0)"; do
	LOGIN='' refuses 401 UNAUTHORIZED "/v2/ as ${wrong:0:20}" GET /v2/ -u "$wrong"
	is "$(jq -r '.errors[0].message' "$T/body")" \
		"the user's name, or the password or token, is wrong, or not valid any more" 'in the same words'
	is "$(challenge)" "$REALM" 'with the same challenge'
done
as
for bad in Basic 'Basic ' 'Basic ====' 'Basic YWxpY2U=' 'Basic YQA6Yg==' 'Digest x' 'Bearer' 'Bearer ' 'Bearer a b' 'Bearer "x"' Negotiate; do
	refuses 401 UNAUTHORIZED "Authorization: $bad" GET /v2/ -H "Authorization: $bad"
done
refuses 400 UNSUPPORTED 'two Authorization headers' GET /v2/ -H 'Authorization: Basic YTpi' -H 'Authorization: Basic YTpi'
refuses 401 UNAUTHORIZED 'one of 20 KB' GET /v2/ -H "Authorization: Bearer $(printf '%020000d' 0)"
answers 200 'the front page is everyone'"'"'s' GET /
answers 204 'OPTIONS, too' OPTIONS /v2/

# ---- The challenge is built from the route ----

while read -r method path scope; do
	for repo in shop/private shop/none; do
		answers 401 "$method ${path/NAME/$repo}" "$method" "${path/NAME/$repo}"
		is "$(challenge)" "$REALM,scope=\"${scope//NAME/$repo}\"" 'its challenge'
	done
done <<END
GET /v2/NAME/manifests/1 repository:NAME:pull
HEAD /v2/NAME/manifests/1 repository:NAME:pull
PUT /v2/NAME/manifests/1 repository:NAME:pull,push
DELETE /v2/NAME/manifests/1 repository:NAME:delete
GET /v2/NAME/blobs/$BLOB repository:NAME:pull
HEAD /v2/NAME/blobs/$BLOB repository:NAME:pull
DELETE /v2/NAME/blobs/$BLOB repository:NAME:delete
POST /v2/NAME/blobs/uploads/ repository:NAME:pull,push
POST /v2/NAME/blobs/uploads/?mount=$BLOB&from=shop/other repository:NAME:pull,push repository:shop/other:pull
GET /v2/NAME/tags/list repository:NAME:pull
GET /v2/NAME/referrers/$BLOB repository:NAME:pull
END
answers 401 'a name that is none' GET '/v2/A%22B/tags/list'
is "$(challenge)" "$REALM" 'stands in no challenge'

# ---- The table ----

as
refuses 401 UNAUTHORIZED 'nobody, hidden' GET /v2/shop/private/manifests/1
sed 's|shop/private|REPO|g; s/^Date:.*//' "$T/headers" "$T/body" >"$T/hidden"
refuses 401 UNAUTHORIZED 'nobody, absent' GET /v2/shop/pr1vate/manifests/1
sed 's|shop/pr1vate|REPO|g; s/^Date:.*//' "$T/headers" "$T/body" >"$T/absent"
check 'alike, to the byte' cmp "$T/hidden" "$T/absent"
answers 200 'nobody, public' GET /v2/shop/public/manifests/1
answers 200 'and its blob' GET "/v2/shop/public/blobs/$BLOB"
refuses 401 UNAUTHORIZED 'nobody, a push to what is public' POST /v2/shop/public/blobs/uploads/ -d ''

as carol
refuses 404 NAME_UNKNOWN 'known, hidden' GET /v2/shop/private/manifests/1
sed 's|shop/private|REPO|g; s/^Date:.*//' "$T/headers" "$T/body" >"$T/hidden"
refuses 404 NAME_UNKNOWN 'known, absent' GET /v2/shop/pr1vate/manifests/1
sed 's|shop/pr1vate|REPO|g; s/^Date:.*//' "$T/headers" "$T/body" >"$T/absent"
check 'alike, to the byte' cmp "$T/hidden" "$T/absent"
for path in "blobs/$BLOB" tags/list; do
	refuses 404 NAME_UNKNOWN "known, hidden: ${path:0:20}" GET "/v2/shop/private/$path"
done
refuses 404 NAME_UNKNOWN 'known, hidden: a push' POST /v2/shop/private/blobs/uploads/ -d ''
refuses 403 DENIED 'may see, may not push' POST /v2/shop/public/blobs/uploads/ -d ''
is "$(challenge)" '' 'no challenge: who it is is known'
# The specification wants an empty list for an image that isn't there.
http GET "/v2/shop/private/referrers/$BLOB"
mv "$T/body" "$T/hidden"
http GET "/v2/shop/pr1vate/referrers/$BLOB"
same "$T/hidden" 'known, hidden and absent: referrers'
as bob
answers 200 'may pull' GET /v2/shop/private/manifests/1
refuses 403 DENIED 'may pull, may not push' PUT /v2/shop/private/manifests/2 -H "$OCI_MANIFEST" -d '{}'
refuses 403 DENIED 'may pull, may not delete' DELETE /v2/shop/private/manifests/1
as carol
answers 202 'mount from what is hidden' POST "/v2/carol/x/blobs/uploads/?mount=$BLOB&from=shop/private" -d ''
answers 202 'as from what is absent' POST "/v2/carol/x/blobs/uploads/?mount=$BLOB&from=shop/pr1vate" -d ''
answers 201 'mount from what is public' POST "/v2/carol/x/blobs/uploads/?mount=$BLOB&from=shop/public" -d ''
http GET /v2/_catalog
is "$(jq -c .repositories "$T/body")" '["shop/public"]' 'the catalog leaves out what is hidden'

get_token $(scope 'repository:carol/x:pull,push')
with_token "$TOKEN" GET /v2/shop/private/manifests/1
is "$CODE" 401 'a token without the scope'
is "$(challenge)" "$REALM,scope=\"repository:shop/private:pull\",error=\"insufficient_scope\"" 'insufficient_scope'
with_token "$TOKEN" GET /v2/shop/none/manifests/1
is "$CODE $(challenge)" "401 $REALM,scope=\"repository:shop/none:pull\",error=\"insufficient_scope\"" 'of what is absent, alike'
with_token "$TOKEN" GET /v2/shop/public/manifests/1
is "$CODE" 401 'of what is public, too'
with_token "$TOKEN" GET /v2/
is "$CODE" 200 'it is good for /v2/'

# ---- GET /token ----

as alice
get_token $(scope 'repository:shop/private:pull,push,delete') $(scope 'repository:shop/public:pull+repository:carol/x:pull') \
	$(scope 'registry:catalog:*') -d client_id=test -d account=alice
is "$CODE $(header cache-control)" '200 no-store' 'GET /token'
is "$(jq -r '.token == .access_token and .expires_in == 300 and (.issued_at | test("^20..-..-..T..:..:..Z$")) and .token_type == "Bearer"
	and (has("refresh_token") | not)' "$T/body")" true 'what the answer has'
is "$(claims "$TOKEN" | jq -r .scope)" \
	'repository:shop/private:pull,push repository:shop/public:pull registry:catalog:*' 'what was granted, of several scopes'
is "$(claims "$TOKEN" | jq -r '"\(.iss) \(.aud) \(.sub) \(.exp - .iat)"')" "regfs $ADDR alice 300" 'its claims'
is "$(cut -d. -f1 <<<"$TOKEN" | tr _- /+ | base64 -di 2>/dev/null | jq -r '.alg, .typ, (.kid | length)' | xargs)" 'RS256 JWT 43' 'its header'
with_token "$TOKEN" GET /v2/shop/private/manifests/1
is "$CODE" 200 'it pulls'
with_token "$TOKEN" POST /v2/shop/private/blobs/uploads/ -d ''
is "$CODE" 202 'it pushes'
with_token "$TOKEN" DELETE /v2/shop/private/manifests/1
is "$CODE" 401 'it does not delete'
like "$(challenge)" 'insufficient_scope' 'since that was not granted'
http GET "/token?service=$SERVICE&scope=repository:shop/private:pull+repository:shop/public:pull&scope=repository%3Ashop%2Fprivate%3Apush"
is "$(jq -r .scope "$T/body")" 'repository:shop/private:pull repository:shop/public:pull repository:shop/private:push' \
	'scopes apart by a plus sign, and escaped'
for none in 'repository:shop/*:pull' 'repository:**:pull' 'repository:SHOP:pull' 'repository:shop//private:pull' 'repository:shop/private:fly' \
	'repository:shop/private:reader' 'repository::pull' repository pull ':::' 'plugin:shop/private:pull' 'registry:*:*' 'registry:catalog:pull' \
	'repository:carol/x:pull' "repository:$(printf '%0256d' 0):pull"; do
	get_token $(scope "$none")
	is "$CODE $(jq -r .scope "$T/body")" '200 ' "nothing for ${none:0:40}"
done
get_token $(scope 'repository(plugin):shop/private:pull')
is "$(jq -r .scope "$T/body")" repository:shop/private:pull 'the class of a repository does not matter'
get_token $(for i in {1..70}; do scope repository:shop/private:pull; done)
is "$CODE $(jq -r .scope "$T/body" | wc -w)" '200 64' 'of 70 scopes, the first 64'
as admin
get_token $(scope 'repository:a:*') $(scope 'registry:*:*')
is "$(jq -r .scope "$T/body")" 'repository:a:pull,push,delete,admin registry:*:*' 'an administrator, with all actions'
as
get_token $(scope 'repository:shop/public:pull,push') $(scope 'repository:shop/private:pull')
is "$CODE $(claims "$TOKEN" | jq -r '"\(.sub)|\(.uid)|\(.scope)"')" '200 |0|repository:shop/public:pull' 'for nobody in particular'
with_token "$TOKEN" GET /v2/shop/public/manifests/1
is "$CODE" 200 'it pulls what is public'
with_token "$TOKEN" POST /v2/shop/public/blobs/uploads/ -d ''
is "$CODE" 401 'it does not push'
refuses 401 UNAUTHORIZED 'GET /token with a wrong password' GET "/token?service=$SERVICE" -u alice:wrong
is "$(challenge)" "Basic realm=\"$ADDR\"" 'wants Basic'
refuses 400 UNSUPPORTED 'another service' GET '/token?service=registry.example.org' -u alice:wrong --config "$T/login.alice"
answers 405 'DELETE /token' DELETE /token
as alice
get_token -d offline_token=true
REFRESH=$(jq -r .refresh_token "$T/body")
is "$(claims "$REFRESH" | jq -r '"\(.aud) \(.sub) \(.exp - .iat) \(has("scope"))"')" "$ADDR/token alice 2592000 false" 'offline_token'
with_token "$REFRESH" GET /v2/
is "$CODE" 401 'a refresh token opens no other door'
with_token "$TOKEN" GET "/token?service=$SERVICE"
is "$CODE" 401 'a token gets no other'

# ---- POST /token ----

# post FIELD...: a form.
post() {
	local field fields=()

	for field; do
		fields+=(--data-urlencode "$field")
	done
	LOGIN='' http POST /token "${fields[@]}"
}

post grant_type=password username=alice 'password=the password of alice' "service=$SERVICE" client_id=test \
	'scope=repository:shop/private:pull,push repository:shop/none:pull'
is "$CODE $(jq -r '"\(.scope) \(has("refresh_token"))"' "$T/body")" '200 repository:shop/private:pull,push false' 'POST /token by a password'
with_token "$(jq -r .access_token "$T/body")" GET /v2/shop/private/manifests/1
is "$CODE" 200 'its token pulls'
post grant_type=password username=alice 'password=the password of alice' "service=$SERVICE" access_type=offline
REFRESH=$(jq -r .refresh_token "$T/body")
post grant_type=refresh_token "refresh_token=$REFRESH" "service=$SERVICE" 'scope=repository:shop/private:pull'
is "$CODE $(jq -r .scope "$T/body")" '200 repository:shop/private:pull' 'by a refresh token'
post grant_type=refresh_token "refresh_token=$(jq -r .access_token "$T/body")" "service=$SERVICE"
is "$CODE" 401 'another token is no refresh token'
post grant_type=refresh_token "refresh_token=${REFRESH}x"
is "$CODE" 401 'nor is one that was changed'
post grant_type=password username=alice password=wrong
is "$CODE $(challenge)" "401 Basic realm=\"$ADDR\"" 'a wrong password'
for fields in grant_type=password grant_type=refresh_token 'grant_type=password username=alice' grant_type=code x= ''; do
	# shellcheck disable=SC2086
	post $fields
	is "$CODE" 400 "400 for a form of: $fields"
done
refuses 400 UNSUPPORTED 'no form' POST /token -H 'Content-Type: application/json' -d '{}'
refuses 400 UNSUPPORTED 'a bad escape' POST /token -d 'grant_type=%zz'
refuses 400 UNSUPPORTED 'a NUL' POST /token -d 'grant_type=%00'
printf '%08192d' 0 >"$T/form"
refuses 400 UNSUPPORTED 'a form of the most bytes' POST /token -d "@$T/form"
says grant_type 'it was read'
printf '%08193d' 0 >"$T/form"
refuses 400 UNSUPPORTED 'one byte more' POST /token -d "@$T/form"
says 8192 'says how many are possible'
refuses 400 UNSUPPORTED 'the same without a length' POST /token -d "@$T/form" -H "$CHUNKED"
says 8192 'says so, too'
post grant_type=password username=alice 'password=the password of alice' "service=other.example.org"
is "$CODE" 400 'another service'

# ---- Tokens that were not made here, or not for this ----

as alice
get_token $(scope repository:shop/private:pull)
H=$(cut -d. -f1 <<<"$TOKEN" | tr _- /+ | base64 -di 2>/dev/null)
P=$(claims "$TOKEN")
S=${TOKEN##*.}
# refused TOKEN DESCRIPTION
refused() {
	with_token "$1" GET /v2/shop/private/manifests/1
	is "$CODE $(challenge)" "401 $REALM,scope=\"repository:shop/private:pull\",error=\"invalid_token\"" "$2"
}
# changed JQ-FILTER: the token with other claims, signed well.
changed() {
	signed "$H" "$(jq -c "$1" <<<"$P")"
}
with_token "$(changed .)" GET /v2/shop/private/manifests/1
is "$CODE" 200 'one that is signed outside, with the key'
with_token "$(changed '.iat -= 290 | .nbf -= 290 | .exp -= 290')" GET /v2/shop/private/manifests/1
is "$CODE" 200 'one that has seconds left'
refused "$(changed '.iat -= 301 | .nbf -= 301 | .exp -= 301')" 'expired'
refused "$(changed '.iat += 60 | .nbf += 60')" 'not valid yet'
refused "$(changed '.exp += 3000000')" 'good for longer than any'
refused "$(changed '.aud = "registry.example.org"')" 'for another service'
refused "$(changed '.aud = ["'"$ADDR"'"]')" 'a list of services'
refused "$(changed '.iss = "other"')" 'by another'
refused "$(changed '.admin = true')" 'with a claim more'
refused "$(changed 'del(.nbf)')" 'with one less'
refused "$(changed '.uid = "1"')" 'a text for a number'
refused "$(changed '.exp = 1e300')" 'a number beyond'
refused "$(changed '.scope = "nonsense"')" 'a scope that is none'
with_token "$(changed '.scope = ""')" GET /v2/shop/private/manifests/1
like "$CODE $(challenge)" '^401 .*insufficient_scope' 'no scope'
with_token "$(changed 'del(.scope)')" GET /v2/shop/private/manifests/1
like "$CODE $(challenge)" '^401 .*insufficient_scope' 'no scopes at all are none'
refused "$(printf %s "$H" | base64url).$(jq -c '.sub = "admin" | .uid = 1' <<<"$P" | base64url).$S" 'claims that were changed'
refused "${TOKEN%??????????}AAAAAAAAAA" 'a signature that was changed'
refused "${TOKEN%.*}." 'no signature'
refused "$(jq -c '.alg = "none"' <<<"$H" | base64url).$(cut -d. -f2 <<<"$TOKEN")." 'alg none'
refused "$(signed "$(jq -c '.alg = "none"' <<<"$H")" "$P")" 'alg none, signed'
refused "$(signed "$(jq -c '.alg = "ES256"' <<<"$H")" "$P")" "an algorithm that isn't the key's"
openssl rsa -in "$T/keys.pem" -pubout -out "$T/public.pem" 2>/dev/null
text=$(jq -c '.alg = "HS256"' <<<"$H" | base64url).$(printf %s "$P" | base64url)
refused "$text.$(printf %s "$text" | openssl dgst -sha256 -mac HMAC -macopt "key:$(cat "$T/public.pem")" -binary | base64url)" \
	'HS256 with the public key'
openssl genrsa -out "$T/other.pem" 2048 2>/dev/null
refused "$(signed "$H" "$P" "$T/other.pem")" 'signed with another key'
refused "$(signed "$(jq -c '.kid = "x"' <<<"$H")" "$P")" 'another kid'
refused "$(signed "$(jq -c 'del(.kid)' <<<"$H")" "$P")" 'no kid'
refused "$(signed "$(jq -c '.crit = ["exp"]' <<<"$H")" "$P")" 'a header with a member more'
refused "$(signed "$(jq -c '.jwk = {}' <<<"$H")" "$P")" 'a key of its own'
for bad in x . .. ... a.b.c "$TOKEN.x" "$TOKEN=" "=$TOKEN" "${TOKEN%.*}" "$(printf '%08193d' 0)"; do
	refused "$bad" "nothing of the kind: ${bad:0:8}"
done

# ---- One connection ----

# opened: a connection that stays.
opened() {
	exec {connection}<>"/dev/tcp/127.0.0.1/$PORT" || bail 'no connection'
}
# kept TOKEN [DESCRIPTION WANT]: asks for the image there, by HEAD; CODE.
kept() {
	local line

	printf 'HEAD /v2/shop/private/manifests/1 HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n' "$ADDR" "$1" >&"$connection"
	CODE=
	while IFS= read -r -t 30 -u "$connection" line && [ "$line" != $'\r' ]; do
		[ -n "$CODE" ] || CODE=$(cut -d' ' -f2 <<<"$line")
	done
	[ $# -eq 1 ] || is "$CODE" "$3" "$2"
}
opened
kept "$TOKEN" 'a token' 200
kept "$TOKEN" 'the same' 200
for ((i = 0; i < 10; i++)); do
	at=$((${#TOKEN} - 60 + i * 5))
	[ "${TOKEN:at:1}" = A ] && sign=B || sign=A
	kept "${TOKEN::at}$sign${TOKEN:at+1}" "with another sign at $at" 401
done
kept "${TOKEN%?}" 'without its last' 401
kept "$TOKEN" 'and as it was' 200
kept "$(changed '.scope = "repository:shop/other:pull"')" 'one for something else' 401
kept "$TOKEN" 'the first' 200
as carol
ALICE=$TOKEN
get_token $(scope repository:carol/x:pull)
kept "$TOKEN" "carol's" 401
TOKEN=$ALICE
kept "$TOKEN" "alice's again" 200
check 'her grant is revoked' regfs revoke alice shop/private
kept "$TOKEN" 'she sees nothing any more' 404
check 'she is granted it again' regfs grant alice pull,push shop/private
kept "$TOKEN" 'she pulls again' 200
check 'she is disabled' regfs user set alice disabled=yes
kept "$TOKEN" 'and nobody any more' 401
check 'and is good again' regfs user set alice disabled=no
now=$(date +%s)
short=$(changed ".iat = $now - 296 | .nbf = .iat | .exp = $now + 4")
kept "$short" 'one that expires in seconds' 200
while [ "$CODE" = 200 ] && [ "$(date +%s)" -lt $((now + 30)) ]; do
	kept "$short"
done
is "$CODE" 401 'it does, on its connection'
[ "$(date +%s)" -ge $((now + 4)) ]
ok $? 'not before'
exec {connection}>&-

# ---- An account's end, which nothing announces ----

check 'an account for seconds' regfs user add brief --password-file "$T/password.bob" --expires 4s
user_of brief 'the password of bob'
as brief
answers 200 'it is good' GET /v2/
for ((now = $(date +%s); $(date +%s) < now + 30;)); do
	http GET /v2/
	[ "$CODE" = 200 ] || break
done
is "$CODE" 401 'until its time is over'
refuses 401 UNAUTHORIZED 'though its password was taken before, it gets no token' GET "/token?service=$SERVICE&offline_token=true"
refuses 401 UNAUTHORIZED 'and is nobody' POST /v2/_regfs/v1/me --json '{}'

# ---- What is granted is asked again ----

as alice
get_token $(scope repository:shop/private:pull,push)
with_token "$TOKEN" GET /v2/shop/private/manifests/1
is "$CODE" 200 'alice pulls'
check 'her grant is revoked' regfs revoke alice shop/private
with_token "$TOKEN" GET /v2/shop/private/manifests/1
is "$CODE" 404 'the running token sees nothing any more'
as alice
refuses 404 NAME_UNKNOWN 'nor does her password' GET /v2/shop/private/manifests/1
check 'she may push again' regfs grant alice pull,push shop/private
head -c 4000000 /dev/urandom >"$T/blob"
with_token "$TOKEN" POST /v2/shop/private/blobs/uploads/ -d ''
UPLOAD=$(header location)
DIGEST=$(digest_of "$T/blob")
exec {connection}<>"/dev/tcp/127.0.0.1/$PORT" || bail 'no connection'
{
	printf 'PUT %s?digest=%s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n' "$UPLOAD" "$DIGEST" "$ADDR" "$TOKEN"
	printf 'Content-Type: application/octet-stream\r\nContent-Length: 4000000\r\nConnection: close\r\n\r\n'
	head -c 3000000 "$T/blob"
} >&"$connection"
timeout 30 head -c 1 < <(exec tail -c +1 -f --pid="$REGFS_PID" "$STORE/uploads/${UPLOAD##*/}") | wc -c >"$T/began"
is "$(cat "$T/began")" 1 'a blob is being pushed'
check 'her grant is revoked meanwhile' regfs revoke alice shop/private
tail -c +3000001 "$T/blob" >&"$connection"
is "$(timeout 30 cat <&"$connection" | head -n 1 | tr -d '\r')" 'HTTP/1.1 404 Not Found' 'it comes to nothing'
exec {connection}>&-
as admin
refuses 404 BLOB_UNKNOWN 'the blob is not there' GET "/v2/shop/private/blobs/$DIGEST"
check 'she is granted less' regfs grant alice pull shop/private
with_token "$TOKEN" GET /v2/shop/private/manifests/1
is "$CODE" 200 'the token pulls again'
with_token "$TOKEN" POST /v2/shop/private/blobs/uploads/ -d ''
is "$CODE" 403 'and does not push, though its scope says so'
check 'she is granted all' regfs grant alice owner shop/private
with_token "$TOKEN" DELETE /v2/shop/private/manifests/1
is "$CODE" 401 'the token may no more than when it was made'
check 'she is disabled' regfs user set alice disabled=yes
with_token "$TOKEN" GET /v2/
like "$CODE $(challenge)" '^401 .*invalid_token' 'the running token is good for nothing'
with_token "$TOKEN" GET /v2/shop/public/manifests/1
is "$CODE" 401 'not for what is public, either'
as alice
refuses 401 UNAUTHORIZED 'her password, too' GET /v2/
post grant_type=refresh_token "refresh_token=$REFRESH"
is "$CODE" 401 'her refresh token, too'
check 'she is enabled' regfs user set alice disabled=no
post grant_type=refresh_token "refresh_token=$REFRESH"
is "$CODE" 200 'the refresh token is good again'
answers 200 'her password, too' GET /v2/
echo 'another password' >"$T/password.alice"
check 'her password is changed' regfs user passwd --password-file "$T/password.alice" alice
refuses 401 UNAUTHORIZED 'the old one is refused at once' GET /v2/
post grant_type=refresh_token "refresh_token=$REFRESH"
is "$CODE" 401 'and so is what it got'
user_of alice 'another password'
# The first request of a login waits for it before its body is read.
random_file sent 300000
answers 201 'a push is the first request with the new one' POST "/v2/shop/private/blobs/uploads/?digest=$DIGEST" -H "$BYTES" \
	-H 'Expect: 100-continue' --data-binary "@$T/sent"
answers 200 'what was pushed is there' GET "/v2/shop/private/blobs/$DIGEST"
same "$T/sent" 'as it was sent'
for how in 'X-How: with a length' "$CHUNKED"; do
	random_file sent 300000
	regfs grant alice owner shop/private	# what was remembered is asked again
	answers 201 "once more: $how" POST "/v2/shop/private/blobs/uploads/?digest=$DIGEST" -H "$how" -H "$BYTES" -H 'Expect:' \
		--data-binary "@$T/sent"
	refuses 401 UNAUTHORIZED "and with a wrong one: $how" POST "/v2/shop/private/blobs/uploads/?digest=$DIGEST" -H "$how" -H "$BYTES" \
		-u alice:wrong --data-binary "@$T/sent"
done
answers 200 'the new one is good' GET /v2/

# ---- Secrets: personal access tokens, robots ----

secret=$(regfs token add --scopes 'repository:shop/private:pull' alice laptop | grep -o 'rgs_[0-9a-f]*')
like "$secret" '^rgs_[0-9a-f]{64}$' 'a personal access token'
user_of laptop x
sed -i "s/laptop:x/alice:$secret/" "$T/login.laptop"
as laptop
answers 200 'as the password, in Basic' GET /v2/shop/private/manifests/1
answers 401 'for no more than its scopes' POST /v2/shop/private/blobs/uploads/ -d ''
like "$(challenge)" insufficient_scope 'which is said'
with_token "$secret" GET /v2/shop/private/manifests/1
is "$CODE" 200 'as Bearer'
with_token "${secret%?}0" GET /v2/shop/private/manifests/1
[ "${secret: -1}" = 0 ] || like "$CODE $(challenge)" '^401 .*invalid_token' 'another secret'
get_token $(scope repository:shop/private:pull,push) -d offline_token=true
is "$CODE $(jq -r .scope "$T/body")" '200 repository:shop/private:pull' 'its tokens are for no more'
PAT_REFRESH=$(jq -r .refresh_token "$T/body")
post grant_type=password username=alice "password=$secret" 'scope=repository:shop/private:pull,push'
is "$CODE $(jq -r .scope "$T/body")" '200 repository:shop/private:pull' 'by POST, too'
post grant_type=refresh_token "refresh_token=$PAT_REFRESH" 'scope=repository:shop/private:pull,push'
is "$CODE $(jq -r .scope "$T/body")" '200 repository:shop/private:pull' 'and those that it refreshes'
PAT_TOKEN=$TOKEN
as bob
refuses 401 UNAUTHORIZED 'another name with it' GET /v2/ -u "bob:$secret"
check 'it is revoked' regfs token rm alice laptop
as laptop
answers 401 'it is refused at once' GET /v2/
with_token "$secret" GET /v2/shop/private/manifests/1
is "$CODE" 401 'as Bearer, too'
with_token "$PAT_TOKEN" GET /v2/shop/private/manifests/1
is "$CODE" 401 'and so is the token that it got'
post grant_type=refresh_token "refresh_token=$PAT_REFRESH"
is "$CODE" 401 'and the one that gets others'
robot=$(regfs robot add +ci | grep -o 'rgs_[0-9a-f]*')
regfs grant +ci pull shop/private
LOGIN='' answers 200 'a robot' GET /v2/shop/private/manifests/1 -u "+ci:$robot"
LOGIN='' http GET /token -u "+ci:$robot" -G -d "service=$SERVICE" $(scope repository:shop/private:pull)
is "$(jq -r .scope "$T/body")" repository:shop/private:pull "a robot's token"

# ---- Who isn't known takes nobody's place ----

# held METHOD PATH LENGTH TYPE: a request without a login, of which one byte comes; its connection stays open.
held() {
	local fd

	exec {fd}<>"/dev/tcp/${ADDR%:*}/$PORT"
	printf '%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nContent-Type: %s\r\n\r\n{' "$1" "$2" "$3" "$4" >&"$fd"
	fds+=("$fd")
}
fds=()
for ((i = 0; i < 10; i++)); do
	held PUT /v2/shop/private/manifests/held 4194304 application/vnd.oci.image.manifest.v1+json
done
for ((i = 0; i < 40; i++)); do
	held POST /v2/_regfs/v1/repo-list 1048576 application/json
done
for ((i = 0; i < 100; i++)); do
	held POST "/v2/shop/private/blobs/uploads/?digest=sha256:$(printf %064d 0)" 16777216 application/octet-stream
done
as admin
dd if=/dev/urandom of="$T/blob" bs=64k count=16 status=none
check 'beside bodies of strangers that never come a blob is pushed' push_blob shop/private "$T/blob"
check 'and a manifest' push_layout "$L" 1 shop/private
http POST /v2/_regfs/v1/repo-list -H 'Content-Type: application/json' -d '{"n":10}' --max-time 60
is "$CODE" 200 'and a call is answered'
for fd in "${fds[@]}"; do exec {fd}>&-; done
as
answers 401 'a large call of a stranger' POST /v2/_regfs/v1/repo-list -H 'Content-Type: application/json' \
	-d "$(printf '{"n":10,%5000s"last":""}' '')"
answers 200 'a small one' POST /v2/_regfs/v1/repo-list -H 'Content-Type: application/json' -d '{"n":10}'

# ---- Keys ----

as bob
get_token $(scope repository:shop/private:pull) -d offline_token=true
OLD=$TOKEN
OLD_REFRESH=$(jq -r .refresh_token "$T/body")
# hup WANT: reads the keys again; until the log says so.
hup() {
	local lines

	lines=$(wc -l <"$LOG")
	kill -HUP "$REGFS_PID"
	like "$(timeout 60 grep -m1 'keys of tokens' < <(exec tail -n "+$((lines + 1))" -f --pid="$REGFS_PID" "$LOG"))" "$1" "SIGHUP: $1"
}
cp "$T/keys.pem" "$T/first.pem"
{ openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 2>/dev/null; cat "$T/first.pem"; } >"$T/new.pem"
mv "$T/new.pem" "$T/keys.pem"
hup 'read again'
get_token $(scope repository:shop/private:pull)
is "$(cut -d. -f1 <<<"$TOKEN" | tr _- /+ | base64 -di 2>/dev/null | jq -r .alg)" ES256 'a new key in front signs'
with_token "$TOKEN" GET /v2/shop/private/manifests/1
is "$CODE" 200 'and verifies'
refused "${TOKEN%??????????}AAAAAAAAAA" 'a signature of it that was changed'
with_token "$OLD" GET /v2/shop/private/manifests/1
is "$CODE" 200 'the old one behind it verifies'
post grant_type=refresh_token "refresh_token=$OLD_REFRESH"
is "$CODE" 200 'refresh tokens, too'
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$T/keys.pem" 2>/dev/null
hup 'read again'
fresh=$(P=$(jq -c .iat+=1 <<<"$(claims "$OLD")"); signed "$H" "$P" "$T/first.pem")
with_token "$fresh" GET /v2/shop/private/manifests/1
is "$CODE" 200 'keys that are gone verify until their tokens have expired'
with_token "$TOKEN" GET /v2/shop/private/manifests/1
is "$CODE" 200 'all of them'
echo nonsense >"$T/keys.pem"
hup 'stay as they were: there is no key in'
with_token "$TOKEN" GET /v2/shop/private/manifests/1
is "$CODE" 200 'and they do'
stop_regfs
exits 2 'a file without a key' regfs serve --listen 127.0.0.1:0 --token-key "$T/keys.pem"
like "$ERR" "token-key|$T/keys.pem" 'it is named'
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out "$T/keys.pem" 2>/dev/null
exits 2 'a curve that is not there' regfs serve --listen 127.0.0.1:0 --token-key "$T/keys.pem"
openssl genrsa -out "$T/keys.pem" 1024 2>/dev/null
exits 2 'an RSA key that is too short' regfs serve --listen 127.0.0.1:0 --token-key "$T/keys.pem"
cp "$T/public.pem" "$T/keys.pem"
exits 2 'a public key alone' regfs serve --listen 127.0.0.1:0 --token-key "$T/keys.pem"
exits 2 'a file that is not there' regfs serve --listen 127.0.0.1:0 --token-key "$T/none.pem"
serve_regfs --store "$STORE" --listen "$ADDR" || bail 'no restart'
as bob
is "$(stat -c %a "$STORE/token-keys.pem")" 600 'the key in the store is the owner'"'"'s alone'
get_token $(scope repository:shop/private:pull)
is "$(cut -d. -f1 <<<"$TOKEN" | tr _- /+ | base64 -di 2>/dev/null | jq -r .alg)" ES256 'it is made at the first start'
with_token "$OLD" GET /v2/shop/private/manifests/1
is "$CODE" 401 'another key than before: its tokens are refused'
stop_regfs
serve_regfs --store "$STORE" --listen "$ADDR" || bail 'no restart'
with_token "$TOKEN" GET /v2/shop/private/manifests/1
is "$CODE" 200 'after a restart tokens are good'

# ---- Proxies and public names ----

as
http GET /v2/ -H 'Host: registry.example.org:8443'
like "$(challenge)" '^Bearer realm="http://registry.example.org:8443/token",' 'the realm is as the client calls us'
http GET /v2/ -H 'Host: "x'
like "$(challenge)" "^Bearer realm=\"http://$ADDR/token\"," 'if that can be a name'
http GET /v2/ -H 'X-Forwarded-Proto: https' -H 'X-Forwarded-Host: evil.example'
like "$(challenge)" "^Bearer realm=\"http://$ADDR/token\"," 'who is not trusted says nothing about it'
stop_regfs
start_regfs --trust-proxy 127.0.0.1
http GET /v2/ -H 'X-Forwarded-Proto: https' -H 'X-Forwarded-Host: registry.example.org'
like "$(challenge)" '^Bearer realm="https://registry.example.org/token",' 'a trusted proxy does'
stop_regfs
start_regfs --public-url https://registry.example.org
http GET /v2/ -H 'X-Forwarded-Proto: http'
is "$(challenge)" 'Bearer realm="https://registry.example.org/token",service="registry.example.org"' '--public-url says it'
with_token "$TOKEN" GET /v2/shop/private/manifests/1
is "$CODE" 401 'a token for another service, of the same key'

stop_regfs
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -days 2 -keyout "$T/key" -out "$T/cert" 2>/dev/null
start_regfs --tls-cert "$T/cert" --tls-key "$T/key"
like "$(curl -sSk -D - -o /dev/null "https://$ADDR/v2/")" "realm=\"https://$ADDR/token\"" 'over TLS it is https'
TOKEN=$(curl -sSk -u 'bob:the password of bob' "https://$ADDR/token?service=$ADDR" | jq -r .token)
is "$(curl -sSk -o /dev/null -o /dev/null -o /dev/null -w '%{http_code} %{num_connects} ' -H "Authorization: Bearer $TOKEN" "https://$ADDR/v2/"{,,})" \
	'200 1 200 0 200 0 ' 'a token, three times on one connection'
stop_regfs
start_regfs --public-url https://registry.example.org

# ---- Passwords delay nobody ----

crowd() {
	local i pids=()

	for i in {1..120}; do
		command curl -s -o /dev/null -w '%{http_code} %header{retry-after}\n' -u "nobody$i:wrong password" "http://$ADDR/v2/" &
		pids+=($!)
	done
	wait "${pids[@]}"
}
crowd >"$T/crowd" 2>&1 &
crowd=$!
for i in {1..20}; do
	http GET /v2/shop/public/manifests/1 -w '%{http_code} %{time_total}'
	printf '%s\n' "$CODE"
done >"$T/meanwhile"
wait "$crowd"
SERVICE=registry.example.org
diag "$(sort "$T/crowd" | uniq -c | xargs)"
is "$(grep -vE '^401 $|^429 [1-9]' "$T/crowd")" '' '120 wrong passwords at once: 401, or 429 with Retry-After'
is "$(awk '$1 != 200' "$T/meanwhile")" '' 'who asks for what is public meanwhile is answered'
diag "the slowest after $(sort -k2 -g "$T/meanwhile" | tail -n 1 | cut -d' ' -f2) s"
get_token
is "$CODE" 200 'afterwards, too'

# ---- Secrets stay secret ----

stop_regfs
for text in 'the password of' 'another password' "$secret" "$robot" 'PRIVATE' "${TOKEN:0:60}" "$(cat "$T/password")"; do
	is "$(grep -cF -- "$text" "$LOG")" 0 "no log has ${text:0:8}..."
done
start_regfs --open
answers 200 '--open: nobody logs in' GET /v2/
refuses 404 UNSUPPORTED '--open: there are no tokens' GET /token
refuses 404 UNSUPPORTED '--open: POST' POST /token -d x=y
answers 200 '--open: credentials are not looked at' GET /v2/ -u x:y
stop_regfs
done_testing
