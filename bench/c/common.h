/* What every case of the C subject uses: cores, a clock, percentiles, the two measurements and the JSON lines. The
 * method is that of src/measure.rs. */
#ifndef AXONIC_BENCH_COMMON_H
#define AXONIC_BENCH_COMMON_H

#include <axonic.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

enum { SMALL = 64, MIB = 1 << 20 };

/* How much of a case was asked for. */
typedef struct effort {
    size_t exchanges, messages;
} effort;

/* The receiver takes margin + timed + margin messages and times the middle in parts. */
typedef struct stream {
    size_t margin, timed, part;
} stream;

size_t spinning(effort e, size_t size);
size_t sleeping(effort e);
stream stream_of(effort e, size_t size);
size_t all(stream s);

/* Ends the program with the library's words unless `code` is AXONIC_OK. */
void check(int code);
void pin(int core);
double now(void);

/* Memory shared with a child, and a rendezvous in it. */
uint64_t *shared(void);
void meet(uint64_t *word, uint64_t parties);
/* Forks: `other` runs on core 1, `here` on core 0 in this process. */
void pair(void (*other)(void *), void (*here)(void *), void *context);

void exchanges(size_t n, void (*exchange)(void *), void *context, double parts, size_t size);
void answers(size_t n, void (*answer)(void *), void *context);
void receive(stream s, void (*take)(void *), void *context, size_t size);
/* Times batches of calls; the mean of each counts. */
void calls(effort e, const char *metric, void (*call)(void *), void *context);
void tell(size_t size, const char *metric, const char *unit, double *values, size_t count);

axonic_domain *domain(const char *name);
axonic_publisher *publisher(axonic_domain *in, const char *topic, int overflow, int wait);
axonic_subscriber *subscriber(axonic_domain *in, const char *topic, int wait);

#endif
