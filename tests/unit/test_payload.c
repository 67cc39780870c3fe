/*
 * test_payload.c: what receivers are told, in each format, byte by byte.
 */
#include "fs/base/base.h"
#include "fs/base/json.h"
#include "fs/hook/payload.h"
#include "tests/unit/tap.h"

#define AT (INT64_C(1764094020) * 1000000000 + 123000000)
#define DIGEST "sha256:0000000000000000000000000000000000000000000000000000000000000000"
#define LINE                                                                                                        \
	"{\"v\":1,\"number\":12,\"at\":\"2025-11-25T18:07:00.123Z\",\"kind\":\"push\",\"repository\":\"shop/eu/web\",\"tag\":\"1.4\"," \
	"\"digest\":\"" DIGEST "\",\"changed\":true,\"who\":\"al\\\"ice\",\"from\":\"192.0.2.1\"}"
#define OWN "{\"v\":1,\"registry\":\"https://r.example\",\"hook\":\"ci\",\"sequence\":7,\"event\":" LINE "}"

static struct event_row row = {
	.number = 12,
	.event = { .kind = "push", .repository = "shop/eu/web", .tag = "1.4", .digest = &row.digest, .changed = true, .who = "al\"ice",
		   .origin = "192.0.2.1", .at = AT },
	.digest = { .algorithm = DIGEST_SHA256 },
};

static struct payload_facts facts(void)
{
	return (struct payload_facts){ .event = &row, .hook = "ci", .public_url = "https://r.example", .sequence = 7,
				       .media_type = "application/vnd.oci.image.manifest.v1+json", .size = 500,
				       .created = AT - INT64_C(60000000000), .public = true };
}

static void test_format(const char *format, const char *type, const char *body)
{
	const struct payload_facts f = facts();
	auto_payload struct payload p = PAYLOAD_INIT;
	auto_json struct json *json = NULL;

	ok(!payload_make(format, &f, &p, NULL), "%s", format);
	is_str(p.type, type, "%s: its type", format);
	is_str(p.body.data, body, "%s: its body", format);
	ok(!json_parse(p.body.data, p.body.len, &json, NULL), "%s: is JSON", format);
}

static void test_headers(void)
{
	static const char *const want[] = { "ce-specversion: 1.0", "ce-id: 12", "ce-source: https://r.example/shop/eu/web", "ce-type: regfs.push",
					    "ce-subject: a%20b%25%22%C3%A9", "ce-time: 2025-11-25T18:07:00Z", "ce-sequence: 7" };
	const struct payload_facts f = facts();
	auto_payload struct payload p = PAYLOAD_INIT;
	const char *tag = row.event.tag, *at;

	row.event.tag = "a b%\"\xc3\xa9";
	ok(!payload_make("cloudevents-binary", &f, &p, NULL), "a subject of all kinds of bytes");
	at = p.headers.data;
	for (size_t i = 0; i < ARRAY_SIZE(want); i++, at += strlen(at) + 1)
		is_str(at < p.headers.data + p.headers.len ? at : "", want[i], "field %zu", i);
	is_int(at - p.headers.data, (int64_t)p.headers.len, "and no more");
	row.event.tag = tag;
}

/* About nothing but a name, on a registry that knows no URL of its own. */
static void test_little(void)
{
	static struct event_row small = { .number = 1, .event = { .kind = "create", .repository = "web", .who = "x", .at = AT } };
	static const char *const formats[] = { "regfs", "cloudevents", "cloudevents-binary", "acr", "docker" };
	const struct payload_facts f = { .event = &small, .hook = "ci", .public_url = "", .media_type = "" };

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		auto_payload struct payload p = PAYLOAD_INIT;
		auto_json struct json *json = NULL;

		ok(!payload_make(formats[i], &f, &p, NULL) && !json_parse(p.body.data, p.body.len, &json, NULL), "%s: of an event with little",
		   formats[i]);
		ok(!strstr(p.body.data, "\"digest\":\"sha") && !strstr(p.body.data, "url"), "%s: nothing that isn't known", formats[i]);
	}
}

int main(void)
{
	struct err err = ERR_INIT;
	auto_payload struct payload p = PAYLOAD_INIT;
	const struct payload_facts f = facts();

	test_format("regfs", "application/json", OWN);
	test_format("cloudevents", "application/cloudevents+json",
		    "{\"specversion\":\"1.0\",\"id\":\"12\",\"source\":\"https://r.example/shop/eu/web\",\"type\":\"regfs.push\",\"subject\":\"1.4\","
		    "\"time\":\"2025-11-25T18:07:00Z\",\"sequence\":\"7\",\"datacontenttype\":\"application/json\",\"data\":" OWN "}");
	test_format("cloudevents-binary", "application/json", OWN);
	test_format("acr", "application/json",
		    "{\"push_data\":{\"digest\":\"" DIGEST "\",\"pushed_at\":\"2025-11-25 18:07:00\",\"tag\":\"1.4\"},"
		    "\"repository\":{\"date_created\":\"2025-11-25 18:06:00\",\"name\":\"web\",\"namespace\":\"shop/eu\",\"region\":\"\","
		    "\"repo_authentication_type\":\"NO_CERTIFIED\",\"repo_full_name\":\"shop/eu/web\",\"repo_origin_type\":\"NO_CERTIFIED\","
		    "\"repo_type\":\"PUBLIC\"}}");
	test_format("docker", "application/vnd.docker.distribution.events.v1+json",
		    "{\"events\":[{\"id\":\"12\",\"timestamp\":\"2025-11-25T18:07:00Z\",\"action\":\"push\",\"target\":{"
		    "\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"size\":500,\"length\":500,\"digest\":\"" DIGEST "\","
		    "\"repository\":\"shop/eu/web\",\"url\":\"https://r.example/v2/shop/eu/web/manifests/" DIGEST "\",\"tag\":\"1.4\"},"
		    "\"request\":{\"id\":\"12\",\"addr\":\"192.0.2.1\",\"host\":\"r.example\",\"method\":\"PUT\",\"useragent\":\"\"},"
		    "\"actor\":{\"name\":\"al\\\"ice\"},\"source\":{\"addr\":\"r.example\"}}]}");
	test_headers();
	test_little();
	is_int(payload_make("xml", &f, &p, &err), -EINVAL, "no format: %s", err.text);
	return done_testing();
}
