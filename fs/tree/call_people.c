/*
 * call_people.c: calls for users, groups and robots, their tokens, and what they may do.
 */
#include "fs/base/base.h"
#include "fs/tree/call_run.h"

GIVES(token, struct tree_token)
GIVES(grant, struct tree_grant)
GIVES(access, struct tree_access)

static int add_group(void *arg, const struct tree_person *person)
{
	struct buf *b = arg;

	buf_addf(b, "%s%s", b->len ? "," : "", person->name);
	return 0;
}

static int give_person(void *arg, const struct tree_person *person)
{
	const struct answer *a = arg;
	auto_buf struct buf groups = BUF_INIT;
	struct call_listed_person row = { .person = *person };
	int r = tree_person_groups(a->tree, a->cred, person->name, add_group, &groups, a->err);

	if (!r && buf_error(&groups))
		r = err_set(a->err, ERR_NO_MEMORY, "out of memory");
	row.groups = groups.data;
	return r == -ENOENT ? 0 : r ? r : give(a, &row);	/* removed meanwhile */
}

RUN(person_list)
{
	struct answer a = ANSWER;

	return tree_person_list(tree, cred, ((const struct call_person *)args)->kind, give_person, &a, err);
}

RUN(person_show)
{
	struct answer a = ANSWER;

	return tree_person_show(tree, cred, ((const struct call_names *)args)->name, give_person, &a, err);
}

RUN(person_add)
{
	const struct call_person *p = args;

	return tree_person_add(tree, cred, p->name, &p->change, err);
}

RUN(person_set)
{
	const struct call_person *p = args;

	return tree_person_set(tree, cred, p->name, &p->change, err);
}

RUN(person_rm)
{
	return tree_person_rm(tree, cred, ((const struct call_names *)args)->name, err);
}

RUN(member_add)
{
	const struct call_names *n = args;

	return tree_member_add(tree, cred, n->name, n->reference, err);
}

RUN(member_rm)
{
	const struct call_names *n = args;

	return tree_member_rm(tree, cred, n->name, n->reference, err);
}

RUN(token_list)
{
	struct answer a = ANSWER;

	return tree_token_list(tree, cred, ((const struct call_names *)args)->name, give_token, &a, err);
}

RUN(token_add)
{
	const struct call_token *t = args;
	struct call_secret row = { .secret = "" };
	int r = tree_token_add(tree, cred, t->owner, t->name, t->scopes, t->expires, row.secret, err);

	row.text = row.secret;
	r = r ? r : fn(arg, &row);
	secret_forget(&row, sizeof(row));
	return r;
}

RUN(token_rm)
{
	const struct call_names *n = args;

	return tree_token_rm(tree, cred, n->name, n->reference, err);
}

/* ---- Grants ---- */

RUN(grant_show)
{
	struct answer a = ANSWER;
	const struct call_names *n = args;

	return tree_grant_show(tree, cred, n->name, n->reference, give_grant, &a, err);
}

RUN(grant_set)
{
	const struct call_names *n = args;

	return tree_grant_set(tree, cred, n->name, n->reference, n->actions, err);
}

RUN(grant_rm)
{
	const struct call_names *n = args;

	return tree_grant_rm(tree, cred, n->name, n->reference, err);
}

RUN(grant_policy)
{
	const struct call_policy *p = args;

	return tree_grant_policy(tree, cred, p->who, p->policy, strlen(p->policy), p->origin, p->dry_run, err);
}

RUN(access)
{
	struct answer a = ANSWER;
	const struct call_names *n = args;

	return tree_access_explain(tree, cred, n->name, n->reference, give_access, &a, err);
}
