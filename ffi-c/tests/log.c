/* What is told to the program's logger, when, and that it may use the library meanwhile. */
#define _GNU_SOURCE
#include "check.h"

#include <pthread.h>
#include <signal.h>

typedef struct {
    axonic_domain *domain; /* used by the logger itself, if there */
    int heard;
    int deaths;
    char last[256];
} ears;

static void hear(int32_t level, const char *text, void *context) {
    ears *own = context;
    CHECK(level == AXONIC_LOG_DEBUG || level == AXONIC_LOG_INFO || level == AXONIC_LOG_WARN);
    own->heard++;
    own->deaths += level == AXONIC_LOG_INFO && strstr(text, " died") != NULL;
    snprintf(own->last, sizeof own->last, "%s", text);
    if (own->domain != NULL) {
        /* Makes more to tell, and a failure of its own; neither is seen outside. */
        axonic_publisher *publisher = NULL;
        OK(axonic_publisher_open(own->domain, "log", NULL, &publisher));
        OK(axonic_publisher_publish(publisher, text, strlen(text)));
        OK(axonic_publisher_close(publisher));
        ANSWERS(AXONIC_ERROR_INVALID_NAME, axonic_publisher_open(own->domain, "no..name", NULL, &publisher));
    }
}

static void nobody_listens(void) {
    axonic_domain *domain = NULL;
    OK(axonic_domain_open("quiet", NULL, &domain));
    OK(axonic_domain_close(domain));
}

static void the_logger_hears_and_may_call(void) {
    ears own = {0};
    axonic_domain *domain = NULL;
    axonic_subscriber *subscriber = NULL;
    OK(axonic_set_logger(hear, &own));
    OK(axonic_domain_open("loud", NULL, &domain));
    CHECK(own.heard == 1 && strstr(own.last, "domain 'loud': joined as participant 0.") != NULL);
    own.domain = domain;
    OK(axonic_subscriber_open(domain, "t", NULL, &subscriber));
    CHECK(own.heard == 2 && strstr(own.last, "subscriber 't': opened") != NULL);
    /* The message of the call that fails is its own, not that of a call the logger made. */
    axonic_region *region = NULL;
    const axonic_region_options sized = {sizeof sized, 10, AXONIC_CREATE_OPEN_OR_CREATE, 0};
    OK(axonic_region_open(domain, "r", &sized, &region));
    CHECK(own.heard == 3 && strstr(own.last, "region 'r': made it, 10 bytes") != NULL);
    OK(axonic_region_close(region));
    OK(axonic_domain_unlink(domain, AXONIC_NOUN_REGION, "r"));
    CHECK(own.heard == 4);
    OK(axonic_subscriber_close(subscriber));
    own.domain = NULL;
    OK(axonic_domain_close(domain));
    CHECK(strstr(own.last, " left") != NULL);
    OK(axonic_set_logger(NULL, NULL));
    const int heard = own.heard;
    nobody_listens();
    CHECK(own.heard == heard);
}

static void a_failure_keeps_its_message(void) {
    ears own = {0};
    axonic_domain *domain = NULL;
    axonic_ring_consumer *consumer = NULL;
    OK(axonic_domain_open("failing", NULL, &domain));
    OK(axonic_ring_consumer_open(domain, "r", NULL, &consumer));
    axonic_ring_producer *producer = NULL;
    OK(axonic_ring_producer_open(domain, "r", NULL, &producer));
    OK(axonic_ring_producer_close(producer));
    own.domain = domain;
    OK(axonic_set_logger(hear, &own));
    const void *data = NULL;
    size_t size = 0;
    FAILS(AXONIC_ERROR_DISCONNECTED, "producer ended", axonic_ring_consumer_pop(consumer, 0, &data, &size));
    CHECK(own.heard == 1 && strstr(own.last, "ring 'r': its producer") != NULL);
    OK(axonic_set_logger(NULL, NULL));
    OK(axonic_ring_consumer_close(consumer));
    OK(axonic_domain_close(domain));
}

static void deaths_are_told(void) {
    ears own = {0};
    axonic_domain *domain = NULL;
    axonic_subscriber *subscriber = NULL;
    OK(axonic_domain_open("deaths", NULL, &domain));
    OK(axonic_subscriber_open(domain, "t", NULL, &subscriber));
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        axonic_domain *mine = NULL;
        axonic_publisher *publisher = NULL;
        OK(axonic_domain_open("deaths", NULL, &mine));
        OK(axonic_publisher_open(mine, "t", NULL, &publisher));
        OK(axonic_publisher_publish(publisher, "x", 1));
        pause();
    }
    OK(axonic_set_logger(hear, &own));
    axonic_message message;
    OK(axonic_subscriber_receive(subscriber, 20 * AXONIC_SECOND, &message));
    CHECK(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
    ANSWERS(AXONIC_ERROR_TIMEOUT, axonic_subscriber_receive(subscriber, 50 * AXONIC_MILLISECOND, &message));
    CHECK(own.deaths == 1);
    OK(axonic_set_logger(NULL, NULL));
    OK(axonic_subscriber_close(subscriber));
    OK(axonic_domain_close(domain));
}

static void *open_and_close(void *domain) {
    for (int i = 0; i < 200; i++) {
        axonic_subscriber *subscriber = NULL;
        OK(axonic_subscriber_open(domain, "many", NULL, &subscriber));
        OK(axonic_subscriber_close(subscriber));
    }
    return NULL;
}

static void count(int32_t level, const char *text, void *context) {
    (void)level, (void)text;
    __atomic_add_fetch((int *)context, 1, __ATOMIC_RELAXED);
}

/* Every thread tells what it did itself: nothing is lost, nothing told twice. */
static void threads(void) {
    int heard = 0;
    axonic_domain *domain = NULL;
    OK(axonic_domain_open("threads", NULL, &domain));
    OK(axonic_set_logger(count, &heard));
    pthread_t both[2];
    for (int i = 0; i < 2; i++) {
        CHECK(pthread_create(&both[i], NULL, open_and_close, domain) == 0);
    }
    for (int i = 0; i < 2; i++) {
        CHECK(pthread_join(both[i], NULL) == 0);
    }
    CHECK(heard == 2 * 200 * 2);
    OK(axonic_set_logger(NULL, NULL));
    OK(axonic_domain_close(domain));
}

int main(void) {
    check_start();
    nobody_listens();
    the_logger_hears_and_may_call();
    a_failure_keeps_its_message();
    deaths_are_told();
    threads();
    return 0;
}
