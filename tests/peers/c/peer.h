/* What the files of the C peer share. */
#ifndef PEER_H
#define PEER_H

#include <axonic.h>

#include <stddef.h>
#include <stdint.h>

#define PATIENCE (20 * AXONIC_SECOND)

/* Ends the program, saying why, unless the code is AXONIC_OK. */
void check(int code);
/* The first byte of a message; each further one is 31 more. */
unsigned char first_byte(size_t message, size_t size);
void fill(unsigned char *bytes, size_t message, size_t size);

/* Message k of a queue, which the caller frees, and the number of one, every byte of which must be as it should be. */
unsigned char *message(uint64_t k, size_t size, size_t *length);
uint64_t number_in(const axonic_message *m);
/* Waits for the result of message k, which must be its reverse, and ends the ticket; the other side of it. */
void check_result(axonic_ticket *ticket, axonic_queue_producer *producer, uint64_t k);
void acknowledge_reversed(axonic_delivery *job);
void must(int holds, const char *what);

int put_all(axonic_domain *domain, const char *queue, uint64_t first, size_t count, size_t size);
int work(axonic_domain *domain, const char *queue);
int ask(axonic_domain *domain, const char *queue, size_t count);
int answer(axonic_domain *domain, const char *queue, size_t count);
int keep(axonic_domain *domain, const char *queue, size_t count);
int hurry(axonic_domain *domain, const char *queue);
int spend(axonic_domain *domain, const char *queue, size_t count);
int bring(axonic_domain *domain, const char *queue);
int fetch(axonic_domain *domain, const char *queue);
int count_up(axonic_domain *domain, const char *path, size_t times);
int share(axonic_domain *domain, const char *path, size_t times);
int alternate(axonic_domain *domain, const char *path, uint64_t parity, size_t times);
int meet(axonic_domain *domain, int is_first);
int listen_at(axonic_domain *domain, const char *file, size_t talks, char **addresses, size_t count);
int serve(axonic_domain *domain, const char *name, char **addresses, size_t count);
int call(axonic_domain *domain, const char *name, char **addresses, size_t count);
int provide(axonic_domain *domain, const char *name);
int consult(axonic_domain *domain, const char *name, uint64_t first, int64_t milliseconds, size_t together);
int connect_at(axonic_domain *domain, const char *file, size_t talks, char **addresses, size_t count);

#endif
