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

int put_all(axonic_domain *domain, const char *queue, uint64_t first, size_t count, size_t size);
int work(axonic_domain *domain, const char *queue);
int ask(axonic_domain *domain, const char *queue, size_t count);
int answer(axonic_domain *domain, const char *queue, size_t count);
int keep(axonic_domain *domain, const char *queue, size_t count);
int spend(axonic_domain *domain, const char *queue, size_t count);
int count_up(axonic_domain *domain, const char *path, size_t times);
int alternate(axonic_domain *domain, const char *path, uint64_t parity, size_t times);
int meet(axonic_domain *domain, int is_first);

#endif
