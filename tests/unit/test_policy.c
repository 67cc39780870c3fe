/*
 * test_policy.c: RAM policy documents, read as grants or refused whole.
 */
#include "fs/base/base.h"
#include "fs/auth/action.h"
#include "fs/auth/policy.h"
#include "fs/base/buf.h"
#include "tests/unit/tap.h"

static int add_grant(void *arg, const char *pattern, unsigned actions)
{
	struct buf *b = arg;
	char text[ACTIONS_TEXT_MAX + 1];

	buf_addf(b, "%s%s:%s", b->len ? " " : "", pattern, actions_format(actions, text));
	return 0;
}

#define DOC(statements) "{\"Version\":\"1\",\"Statement\":[" statements "]}"
#define ALLOW(action, resource) "{\"Effect\":\"Allow\",\"Action\":" action ",\"Resource\":" resource "}"
#define ARN(path) "\"acs:cr:*:*:repository/" path "\""

static const struct {
	const char *text, *grants;
} good[] = {
	{ DOC(ALLOW("\"cr:PullRepository\"", ARN("cri-1/shop/web"))), "shop/web:pull" },
	{ DOC(ALLOW("[\"cr:PullRepository\",\"cr:PushRepository\"]", ARN("cri-1/shop/*"))), "shop/*:pull,push" },
	{ DOC(ALLOW("[\"cr:Get*\",\"cr:List*\",\"cr:Pull*\"]", ARN("*/shop/web"))), "shop/web:pull" },
	{ DOC(ALLOW("\"cr:Delete*\"", "[" ARN("i/a/b") "," ARN("i/c/*") "]")), "a/b:delete c/*:delete" },
	{ DOC(ALLOW("\"cr:*\"", "\"*\"")), "**:pull,push,delete,admin" },
	{ DOC(ALLOW("\"*\"", ARN("i/*"))), "**:pull,push,delete,admin" },
	{ DOC(ALLOW("\"cr:P*\"", ARN("i/*/*"))), "**:pull,push" },
	{ DOC(ALLOW("\"cr:PullRepository\"", "\"acs:cr:cn-hangzhou:1234:repository/i/a/b\"")), "a/b:pull" },
	{ DOC(ALLOW("\"cr:List*\"", "\"*\"") "," ALLOW("\"cr:PullRepository\"", ARN("i/a/b"))), "a/b:pull" },
	{ "{\"Version\":\"1\",\"Statement\":" ALLOW("\"cr:Pull*\"", ARN("i/a/b")) "}", "a/b:pull" },
};

static const char *const bad[] = {
	"", "[]", "{}", "null", "{\"Version\":\"1\"}", DOC(""),
	"{\"Statement\":[" ALLOW("\"cr:Pull*\"", ARN("i/a/b")) "]}",
	"{\"Version\":\"2\",\"Statement\":[" ALLOW("\"cr:Pull*\"", ARN("i/a/b")) "]}",
	"{\"Version\":1,\"Statement\":[" ALLOW("\"cr:Pull*\"", ARN("i/a/b")) "]}",
	"{\"Version\":\"1\",\"Id\":\"x\",\"Statement\":[" ALLOW("\"cr:Pull*\"", ARN("i/a/b")) "]}",
	/* What would take away. */
	DOC("{\"Effect\":\"Deny\",\"Action\":\"cr:Pull*\",\"Resource\":\"*\"}"),
	DOC(ALLOW("\"cr:Pull*\"", ARN("i/a/b")) ",{\"Effect\":\"Deny\",\"Action\":\"cr:Pull*\",\"Resource\":\"*\"}"),
	DOC("{\"Effect\":\"allow\",\"Action\":\"cr:Pull*\",\"Resource\":\"*\"}"),
	DOC("{\"Effect\":\"Allow\",\"Action\":\"cr:Pull*\",\"Resource\":\"*\",\"Condition\":{}}"),
	DOC("{\"Effect\":\"Allow\",\"Action\":\"cr:Pull*\",\"Resource\":\"*\",\"Principal\":\"*\"}"),
	DOC("{\"Effect\":\"Allow\",\"NotAction\":\"cr:Push*\",\"Resource\":\"*\"}"),
	DOC("{\"Effect\":\"Allow\",\"Action\":\"cr:Pull*\",\"NotResource\":\"*\"}"),
	DOC("{\"Effect\":\"Allow\",\"Action\":\"cr:Pull*\"}"), DOC("{\"Effect\":\"Allow\",\"Resource\":\"*\"}"),
	DOC("{\"Action\":\"cr:Pull*\",\"Resource\":\"*\"}"), DOC("\"Allow\""),
	/* What isn't known. */
	DOC(ALLOW("\"cr:FlyRepository\"", "\"*\"")), DOC(ALLOW("\"ecs:Pull*\"", "\"*\"")), DOC(ALLOW("\"cr:*Repository\"", "\"*\"")),
	DOC(ALLOW("\"cr:Pull*x\"", "\"*\"")), DOC(ALLOW("\"cr:Pu**\"", "\"*\"")), DOC(ALLOW("\"cr:CreateRepository\"", "\"*\"")),
	DOC(ALLOW("\"\"", "\"*\"")), DOC(ALLOW("\"cr:\"", "\"*\"")), DOC(ALLOW("7", "\"*\"")), DOC(ALLOW("[]", "\"*\"")),
	DOC(ALLOW("[\"cr:Pull*\",7]", "\"*\"")), DOC(ALLOW("{}", "\"*\"")),
	DOC(ALLOW("\"cr:Pull*\"", "\"acs:oss:*:*:bucket/x\"")), DOC(ALLOW("\"cr:Pull*\"", "\"acs:cr:*:*:instance/i\"")),
	DOC(ALLOW("\"cr:Pull*\"", ARN("i"))), DOC(ALLOW("\"cr:Pull*\"", ARN("i/web-*/x"))), DOC(ALLOW("\"cr:Pull*\"", ARN("i/shop/w*"))),
	DOC(ALLOW("\"cr:Pull*\"", ARN("i/shop/**"))), DOC(ALLOW("\"cr:Pull*\"", ARN("i/Shop/web"))), DOC(ALLOW("\"cr:Pull*\"", "\"\"")),
	DOC(ALLOW("\"cr:Pull*\"", "\"shop/web\"")), DOC(ALLOW("\"cr:Pull*\"", "[]")),
	/* What comes to nothing. */
	DOC(ALLOW("[\"cr:Get*\",\"cr:List*\"]", "\"*\"")),
	/* Two documents in one. */
	"{\"Version\":\"1\",\"Version\":\"1\",\"Statement\":[" ALLOW("\"cr:Pull*\"", "\"*\"") "]}",
};

int main(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		auto_buf struct buf grants = BUF_INIT;
		struct err err = ERR_INIT;

		is_int(policy_read(good[i].text, strlen(good[i].text), add_grant, &grants, &err), 0, "policy %zu is read %s", i,
		       err.text);
		is_str(grants.data, good[i].grants, "what it grants");
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		auto_buf struct buf grants = BUF_INIT;
		struct err err = ERR_INIT;

		is_int(policy_read(bad[i], strlen(bad[i]), add_grant, &grants, &err), -EINVAL, "bad policy %zu is refused", i);
		ok(err.reason == ERR_ARGUMENT && err.text[0], "because: %s", err.text);
		is_str(grants.data, "", "and grants nothing");
	}
	return done_testing();
}
