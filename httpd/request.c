/*
 * request.c: requests: counted, suspended, waiting, run by a job.
 */
#include "fs/base/base.h"
#include "httpd/request.h"

#include <poll.h>

#include "fs/auth/verified.h"
#include "fs/base/waiting.h"
#include "httpd/body.h"
#include "httpd/credentials.h"
#include "httpd/login.h"
#include "httpd/watch.h"

bool request_suspend(struct request *r)
{
	struct httpd *h = r->httpd;

	if (h->closing)
		return false;
	r->suspended = true;
	r->next = h->suspended;
	r->link = &h->suspended;
	if (r->next)
		r->next->link = &r->next;
	h->suspended = r;
	MHD_suspend_connection(r->connection);
	return true;
}

void request_resume(struct request *r)
{
	if (!r->suspended)
		return;
	r->suspended = false;
	*r->link = r->next;
	if (r->next)
		r->next->link = r->link;
	MHD_resume_connection(r->connection);
}

void request_hold(struct request *r)
{
	atomic_fetch_add(&r->references, 1);
}

void request_release(struct request *r)
{
	if (atomic_fetch_sub(&r->references, 1) != 1)
		return;
	if (r->response && !r->borrowed)
		MHD_destroy_response(r->response);
	if (r->body)
		body_free(r->body);
	if (r->gather)
		gather_free(r->httpd, r->gather);
	if (r->image)
		tree_image_release(r->image);
	if (r->form)
		token_form_free(r->form);
	verified_put(r->who);
	credentials_free(r->shown);
	free(r);
}

/* With the lock if it answers true: the answer was made. */
static bool finish(struct request *r)
{
	struct httpd *h = r->httpd;

	for (;;) {
		bool parked;

		r->waits = false;
		r->operation->finish(r);
		pthread_mutex_lock(&h->lock);
		if (!r->waits)
			return true;
		parked = watch_add(h->watch, r);
		pthread_mutex_unlock(&h->lock);
		/* It is another thread's from now on. */
		if (parked)
			return false;
	}
}

void request_run(struct request *r)
{
	struct httpd *h = r->httpd;

	if (!finish(r))
		return;
	r->finished = true;
	if (r->operation->kind == LOGINS)
		login_done(h, r->shown);
	request_resume(r);
	pthread_mutex_unlock(&h->lock);
	request_release(r);
}

/* Whether the client has closed the connection, which nobody else looks at while its request is suspended. */
static bool is_gone(void *arg)
{
	struct pollfd fd = { .fd = (int)(intptr_t)arg, .events = POLLRDHUP };

	return poll(&fd, 1, 0) > 0;
}

static void run_finish(struct work_job *job)
{
	struct request *r = container_of(job, struct request, job);
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CONNECTION_FD);

	if (info)
		waiting_for(is_gone, (void *)(intptr_t)info->connect_fd);
	request_run(r);
	waiting_for(NULL, NULL);
}

void request_submit(struct request *r)
{
	struct httpd *h = r->httpd;

	request_hold(r);
	r->job.fn = run_finish;
	work_submit(r->pool ? r->pool : r->operation->kind == COMMITS ? h->commits : h->jobs, &r->job);
}

void waiters_init(struct waiters *w)
{
	w->first = NULL;
	w->last = &w->first;
}

void waiters_add(struct waiters *w, struct request *r)
{
	r->next_waiter = NULL;
	*w->last = r;
	w->last = &r->next_waiter;
}

struct request *waiters_take(struct waiters *w)
{
	struct request *r = w->first;

	if (!r)
		return NULL;
	w->first = r->next_waiter;
	if (!w->first)
		w->last = &w->first;
	return r;
}
