/* A queue: jobs by priority, one given back, one rejected, one whose result comes back. */
#include <axonic.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(int code) {
    if (code != AXONIC_OK) {
        fprintf(stderr, "%s: %s\n", axonic_error_name(code), axonic_last_error_message());
        exit(1);
    }
}

static axonic_payload raw(const char *text) {
    axonic_payload payload = AXONIC_PAYLOAD_INIT;
    payload.data = text;
    payload.data_size = strlen(text);
    return payload;
}

static int is(const axonic_delivery *job, const char *text) {
    return job->message.size == strlen(text) && memcmp(job->message.data, text, strlen(text)) == 0;
}

static void work(axonic_queue_consumer *consumer) {
    axonic_delivery job;
    check(axonic_queue_consumer_get(consumer, NULL, AXONIC_SECOND, &job));
    printf("%.*s: priority %u, attempt %u", (int)job.message.size, (const char *)job.message.data, job.priority,
           job.attempt);
    if (is(&job, "sweep")) {
        check(axonic_delivery_reject(&job, "no broom"));
        printf(", rejected\n");
    } else if (is(&job, "paint") && job.attempt == 1) {
        check(axonic_delivery_nack(&job, 0));
        printf(", given back\n");
    } else {
        check(axonic_delivery_ack(&job, NULL));
        printf("\n");
    }
}

static void ask(axonic_queue_producer *producer, axonic_queue_consumer *consumer) {
    axonic_put_options asked = AXONIC_PUT_OPTIONS_INIT;
    asked.result = 1;
    axonic_payload question = raw("6 x 7"), answer = raw("42");
    axonic_receipt receipt;
    check(axonic_queue_producer_send(producer, &question, &asked, AXONIC_SECOND, &receipt));
    axonic_delivery job;
    check(axonic_queue_consumer_get(consumer, NULL, AXONIC_SECOND, &job));
    check(axonic_delivery_ack(&job, &answer));
    axonic_message result;
    check(axonic_ticket_result(receipt.ticket, producer, AXONIC_SECOND, &result));
    printf("6 x 7 is %.*s\n", (int)result.size, (const char *)result.data);
    axonic_ticket_close(receipt.ticket);
}

int main(void) {
    axonic_domain *domain = NULL;
    check(axonic_domain_open(getenv("AXONIC_DOMAIN") != NULL ? NULL : "example-queue", NULL, &domain));

    axonic_queue_producer *producer = NULL;
    axonic_queue_consumer *consumer = NULL;
    check(axonic_queue_producer_open(domain, "jobs", NULL, &producer));
    check(axonic_queue_consumer_open(domain, "jobs", NULL, &consumer));
    const char *jobs[] = {"sweep", "wash", "paint"};
    const uint32_t priorities[] = {0, 7, 3};
    for (int i = 0; i < 3; i++) {
        axonic_payload payload = raw(jobs[i]);
        axonic_put_options options = AXONIC_PUT_OPTIONS_INIT;
        options.priority = priorities[i];
        check(axonic_queue_producer_send(producer, &payload, &options, AXONIC_SECOND, NULL));
    }
    for (int i = 0; i < 4; i++) {
        work(consumer);
    }
    ask(producer, consumer);

    const axonic_peeked *dead = NULL;
    size_t count = 0;
    check(axonic_queue_consumer_dead_letters(consumer, 10, &dead, &count));
    for (size_t i = 0; i < count; i++) {
        printf("dead letter: %.*s, %s\n", (int)dead[i].message.size, (const char *)dead[i].message.data,
               dead[i].reason_text);
    }
    uint64_t purged = 0;
    check(axonic_queue_consumer_purge_dead_letters(consumer, &purged));
    axonic_queue_consumer_close(consumer);
    axonic_queue_producer_close(producer);
    return axonic_domain_close(domain);
}
