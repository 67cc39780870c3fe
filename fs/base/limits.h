/*
 * limits.h: the most of everything that comes from outside.
 *
 * Each input of regfs has its maximum here and nowhere else; each is tested at
 * the limit and one beyond it. Sizes are bytes unless the name says otherwise.
 */
#ifndef REGFS_LIMITS_H
#define REGFS_LIMITS_H

#define LIMIT_MANIFEST (4 * 1024 * 1024)     /* spec.md, "Pushing Manifests": at least 4 MiB */
#define LIMIT_MANIFEST_MEMORY (32 * 1024 * 1024) /* bytes of manifests that are arriving, all together */
#define LIMIT_CONFIG (4 * 1024 * 1024)	     /* a config blob that we look into; larger ones are stored only */
#define LIMIT_JSON_DEPTH 64		     /* nesting of a JSON document */
#define LIMIT_JSON_VALUES (64 * 1024)	     /* values in one JSON document: at most 17 MiB in the parser */
#define LIMIT_NAME 255			     /* a repository's name, all components and slashes */
#define LIMIT_VALUE 255			     /* what is written to a small file in the mount */
#define LIMIT_RETENTION 4096		     /* retention rules of a repository, as text */
#define LIMIT_RETENTION_RULES 64	     /* how many they are */
#define LIMIT_TAG 128			     /* spec.md, "Pulling manifests": [a-zA-Z0-9_][a-zA-Z0-9._-]{0,127} */
#define LIMIT_PUSH_TAGS 64		     /* tags that one PUT of a manifest may set */
#define LIMIT_MEDIA_TYPE 255		     /* RFC 6838, 4.2: 127 "/" 127 */
#define LIMIT_PLATFORM 128		     /* os-architecture-variant, as shown */
#define LIMIT_MANIFEST_REFS 4096	     /* layers of an image, manifests of an index */
#define LIMIT_PAGE 10000		     /* entries of one page of a list over HTTP */
#define LIMIT_REFERRERS_PAGE (4 * 1024 * 1024) /* bytes of one page of referrers, which has one at least */
#define LIMIT_WARNING 512		     /* a Warning header; an answer has at most three */
#define LIMIT_CORS_ORIGINS 64		     /* origins that the option names */
#define LIMIT_ADDRESS_RANGES 64	     /* ranges of addresses that an option names */
#define LIMIT_PUBLIC_URL 300		     /* scheme, host and port */
#define LIMIT_FORWARDED_FIELDS 16	     /* Forwarded, X-Forwarded-For: each, the last ones */
#define LIMIT_FORWARDED_HOPS 32		     /* proxies between a client and us */
#define LIMIT_PEM (1024 * 1024)		     /* a file of certificates, or a key */
#define LIMIT_URI 8192			     /* a request's target */
#define LIMIT_QUERY (LIMIT_PUSH_TAGS + 8)     /* parameters of a request's query */
#define LIMIT_HTTP_BUFFER (64 * 1024)	     /* libmicrohttpd's memory for one connection: all its headers */
#define LIMIT_HTTP_CONNECTIONS 4096
#define LIMIT_HTTP_IDLE_SECONDS 120
#define LIMIT_PEER_SHOWN 2048		     /* a signed token that a connection showed last: at most 8 MiB on all connections */
#define LIMIT_UPLOAD_BUFFER (256 * 1024)     /* one piece of an upload on its way to the disk */
#define LIMIT_UPLOAD_BUFFERS 96		     /* of those for all uploads together (24 MiB) */
#define LIMIT_UPLOAD_BUFFERS_EACH 8	     /* of those for one upload: see httpd/body.c */
#define LIMIT_UPLOAD_SMALL (8 * 1024)	     /* a body that needs no writer: at most 32 MiB on all connections */
#define LIMIT_UPLOAD_HASHES 4096	     /* running digests kept between requests */
#define LIMIT_BLOB ((int64_t)1 << 40)	     /* one blob: 1 TiB */
#define LIMIT_STORE_RESERVE (1024 * 1024)    /* bytes of the disk that uploads leave, for changes that make room */
#define LIMIT_WORKERS 32		     /* threads for work that may block */
#define LIMIT_COMMITTERS 128		     /* threads that wait for the disk: see httpd/httpd.c */
#define LIMIT_CONFIG_FILE (64 * 1024)	     /* regfs.conf */
#define LIMIT_PENDING_LINKS 1024	     /* `ln -sfn` in progress, for a mount */
#define LIMIT_SPAN (16 * 1024 * 1024)	     /* uncompressed bytes between two places to begin decoding */
#define LIMIT_LAYER_UNPACKED ((int64_t)1 << 42) /* a layer's uncompressed bytes: 4 TiB */
#define LIMIT_LAYER_RATIO 1100		     /* uncompressed to compressed: deflate's own limit is 1032, zstd's isn't */
#define LIMIT_LAYER_RATIO_FROM ((int64_t)1 << 30) /* uncompressed bytes from which on the ratio counts */
#define LIMIT_ZSTD_WINDOW_LOG 27	     /* 128 MiB: what zstd --ultra --long needs */
#define LIMIT_TAR_HEADERS (1024 * 1024)	     /* a tar entry's extended headers, all together */
#define LIMIT_TAR_EXTENTS (64 * 1024)	     /* runs of one sparse file in a tar */
#define LIMIT_TAR_XATTRS 512		     /* extended attributes of one entry */
#define LIMIT_XATTR_NAME 255		     /* as Linux has it */
#define LIMIT_XATTR_VALUE (64 * 1024)	     /* as Linux has it */
#define LIMIT_TREE_PATH 4096		     /* a path inside a layer, and a link's target */
#define LIMIT_TREE_NAME 255		     /* one component of it */
#define LIMIT_TREE_DEPTH 1024		     /* components of it */
#define LIMIT_TREE_ENTRIES (2 * 1024 * 1024) /* files of a layer, and of an image: 500 MiB while its index is made */
#define LIMIT_TREE_TEXTS (256 * 1024 * 1024) /* names and link targets of a layer, together */
#define LIMIT_TREE_XATTRS (64 * 1024 * 1024) /* extended attributes of a layer, equal ones once */
#define LIMIT_TREE_STEPS 400000000	     /* names looked up on the way of a layer's or an image's paths, and each 4 bytes of
					      * attributes: some 20 s */
#define LIMIT_MERGE_STEPS 100000000	     /* the same, of an image: a quarter of that for its layers' files, each counted in each layer: some 5 s */
#define LIMIT_DIFF_TEXT (16 * 1024 * 1024)   /* a file whose lines are compared */
#define LIMIT_PRINCIPAL 64		     /* a user's, group's, robot's or token's name */
#define LIMIT_PASSWORD_MIN 8
#define LIMIT_PASSWORD 512		     /* libxcrypt's CRYPT_MAX_PASSPHRASE_SIZE */
#define LIMIT_SCOPES 64			     /* of one token */
#define LIMIT_SCOPES_TEXT (16 * 1024)	     /* the same, as text */
#define LIMIT_GRANTS 1024		     /* of one principal; of one subject, with those of its groups: 4096 */
#define LIMIT_SUBJECT_GRANTS 4096
#define LIMIT_GROUPS 256		     /* that one principal is in */
#define LIMIT_TOKENS 256		     /* of one principal */
#define LIMIT_ORIGIN 255		     /* where a grant is from */
#define LIMIT_POLICY (256 * 1024)	     /* a policy document */
#define LIMIT_TOKEN 8192			     /* a signed token, as text */
#define LIMIT_TOKEN_SCOPES 4096		     /* its scopes, as text */
#define LIMIT_TOKEN_KEYS 16		     /* in a file of keys */
#define LIMIT_TOKEN_FORM 8192		     /* a body of POST /token: at most 32 MiB on all connections */
#define LIMIT_AUTHORIZATION (LIMIT_TOKEN + 16)  /* that header's value */
#define LIMIT_AUTHORITY 255		     /* a host and port that a client names */
#define LIMIT_VERIFIED 4096		     /* tokens and logins that are remembered: some 8 MiB */
#define LIMIT_LOGINS_WAITING 64		     /* passwords that wait to be checked */
#define LIMIT_CALL (1024 * 1024)	     /* what a call over HTTP is asked with */
#define LIMIT_CALL_ANONYMOUS 4096	     /* the same, by who isn't logged in: it takes of LIMIT_MANIFEST_MEMORY */
#define LIMIT_CALL_ANSWER (16 * 1024 * 1024) /* and its answer */
#define LIMIT_CALL_MEMORY (128 * 1024 * 1024) /* answers that are being made or sent, all together */
#define LIMIT_WATCHERS 2048		     /* clients that wait for events, each with a connection */
#define LIMIT_WATCH_SECONDS 30		     /* how long one may wait until it is answered */
#define LIMIT_EVENTS 1000		     /* of one answer */
#define LIMIT_OUTBOUND_CONNECT_SECONDS 30    /* until a connection stands */
#define LIMIT_OUTBOUND_IDLE_SECONDS 600	     /* without a byte of an answer: a large layer may be indexed first */
#define LIMIT_HOOK_URL 2048		     /* where a hook posts to */
#define LIMIT_HOOK_NAME 64		     /* a hook's name, unique for its pattern */
#define LIMIT_HOOK_FILE (64 * 1024)	     /* a hook as a file in the mount */
#define LIMIT_HOOK_SECRET 1024		     /* what a hook signs with */
#define LIMIT_HOOK_HEADERS 16		     /* header fields of its own, each of LIMIT_VALUE bytes */
#define LIMIT_HOOK_CA (64 * 1024)	     /* certificates that a hook believes */
#define LIMIT_HOOK_ANSWER 4096		     /* bytes of a request, of its answer, or a program's output, that are kept */
#define LIMIT_HOOKS 64			     /* of one pattern */
#define LIMIT_DOCKER_CONFIG (1024 * 1024)    /* ~/.docker/config.json, and what a credential helper says */
#define LIMIT_TREE_EXTENTS (2 * 1024 * 1024) /* runs of all sparse files of a layer */

#endif
