/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs in a host, for who sits at a terminal or behind a pipe. A terminal of the caller is not
 * handed over: the program gets one of its own, whose other end is copied to and from the caller's,
 * so that keys such as ^C reach it. Commands and drills; blocks.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "lab/lab.h"
#include "lab/packet.h"

extern char **environ;

static json_t *make_request(const char *host, const char *const *argv, bool terminal)
{
	json_t *args = json_array(), *env = json_object();
	char cwd[4096];

	for (unsigned i = 0; argv[i]; i++)
		json_array_append_new(args, json_string(argv[i]));
	for (unsigned i = 0; environ[i]; i++) {
		const char *eq = strchr(environ[i], '=');

		/* What is no UTF-8 cannot be said in JSON and is left out. */
		if (eq && eq != environ[i]) {
			json_t *value = json_string(eq + 1);
			char *key = strndup(environ[i], (size_t)(eq - environ[i]));

			if (value && key)
				json_object_set(env, key, value);
			json_decref(value);
			free(key);
		}
	}
	return json_pack("{s:s, s:s, s:o, s:o, s:s, s:b}", "do", "exec", "host", host, "argv", args,
	                 "env", env, "cwd", getcwd(cwd, sizeof(cwd)) ? cwd : "/", "terminal",
	                 terminal);
}

static int status_of(json_t *answer, int err, char *why, size_t why_size)
{
	int status = (int)json_integer_value(json_object_get(answer, "status"));

	if (err == OK && !json_is_integer(json_object_get(answer, "status"))) {
		snprintf(why, why_size, "%s",
		         json_string_value(json_object_get(answer, "error"))
		             ? json_string_value(json_object_get(answer, "error"))
		             : "the lab's answer is not understood");
		err = ERR_REFUSED;
	}
	json_decref(answer);
	return err == OK ? status : -1;
}

/* --- at a terminal -------------------------------------------------------------------------- */

struct terminal {
	int lab;    /* the connection */
	int master; /* of the program's terminal */
	int signals;
	const int *fds; /* the caller's */
	struct termios before;
};

static void copy_size(const struct terminal *t)
{
	struct winsize w;

	if (ioctl(t->fds[1], TIOCGWINSZ, &w) == 0)
		ioctl(t->master, TIOCSWINSZ, &w);
}

static bool write_all(int fd, const char *p, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

/* False: nothing more comes from there. */
static bool copy(int from, int to)
{
	char bytes[8192];
	ssize_t n = read(from, bytes, sizeof(bytes));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	return n > 0 && write_all(to, bytes, (size_t)n);
}

static int terminal_run(struct terminal *t, char *why, size_t why_size)
{
	struct pollfd p[4] = { { .fd = t->lab, .events = POLLIN },
		               { .fd = t->master, .events = POLLIN },
		               { .fd = t->fds[0], .events = POLLIN },
		               { .fd = t->signals, .events = POLLIN } };
	struct signalfd_siginfo s;
	json_t *answer = NULL;
	int n = 0;

	for (;;) {
		if (poll(p, 4, -1) < 0 && errno != EINTR)
			break;
		if (p[1].revents != 0 && !copy(t->master, t->fds[1]))
			p[1].fd = -1; /* EIO: no program has it open any more */
		if (p[2].revents != 0 && !copy(t->fds[0], t->master))
			p[2].fd = -1;
		if (p[3].revents != 0 && read(t->signals, &s, sizeof(s)) > 0)
			copy_size(t);
		/* What the program wrote last is shown before its end is told. */
		if (p[0].revents != 0 && (p[1].revents & POLLIN) == 0)
			break;
	}
	return status_of(answer, lab_packet_receive(t->lab, &answer, NULL, &n), why, why_size);
}

static int open_terminal(struct terminal *t, char *why, size_t why_size)
{
	struct termios raw = t->before;
	const char *name;
	sigset_t set;
	int slave = -1;

	t->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (t->master >= 0 && grantpt(t->master) == 0 && unlockpt(t->master) == 0 &&
	    (name = ptsname(t->master)) != NULL)
		slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0) {
		snprintf(why, why_size, "cannot make a terminal: %s", strerror(errno));
		return -1;
	}
	tcsetattr(slave, TCSANOW, &t->before);
	copy_size(t);
	cfmakeraw(&raw);
	tcsetattr(t->fds[0], TCSANOW, &raw);
	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	sigprocmask(SIG_BLOCK, &set, NULL);
	t->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return slave;
}

static int exec_terminal(const char *dir, const json_t *q, const int fds[3], char *why,
                         size_t why_size)
{
	struct terminal t = { .fds = fds, .signals = -1 };
	int slave, slaves[3], status = -1;

	t.lab = lab_packet_connect(dir);
	if (t.lab < 0) {
		snprintf(why, why_size, "no lab answers in %s", dir);
		return -1;
	}
	tcgetattr(fds[0], &t.before);
	slave = open_terminal(&t, why, why_size);
	if (slave >= 0) {
		slaves[0] = slaves[1] = slaves[2] = slave;
		if (lab_packet_send(t.lab, q, slaves) == OK) {
			close(slave);
			status = terminal_run(&t, why, why_size);
		} else {
			snprintf(why, why_size, "the lab in %s does not take the request", dir);
			close(slave);
		}
		tcsetattr(fds[0], TCSANOW, &t.before);
	}
	close(t.lab);
	if (t.master >= 0)
		close(t.master);
	if (t.signals >= 0)
		close(t.signals);
	return status;
}

int lab_exec(const char *dir, const char *host, const char *const *argv, const int fds[3],
             char *why, size_t why_size)
{
	bool terminal = isatty(fds[0]) && isatty(fds[1]);
	json_t *q = make_request(host, argv, terminal), *answer = NULL;
	int status;

	snprintf(why, why_size, "the lab in %s has ended", dir);
	if (!q) {
		snprintf(why, why_size, "an argument is not UTF-8, or out of memory");
		return -1;
	}
	if (terminal)
		status = exec_terminal(dir, q, fds, why, why_size);
	else {
		int err = lab_ask(dir, q, fds, &answer, why, why_size);

		status = status_of(answer, err, why, why_size);
	}
	json_decref(q);
	return status;
}
