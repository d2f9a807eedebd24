/* Publish and subscribe: copies through a pattern, then an array written and read in place. */
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

static void publish(axonic_domain *domain, const char *topic, const char *json) {
    axonic_publisher *publisher = NULL;
    axonic_payload payload = AXONIC_PAYLOAD_INIT;
    payload.content = AXONIC_CONTENT_JSON;
    payload.data = json;
    payload.data_size = strlen(json);
    check(axonic_publisher_open(domain, topic, NULL, &publisher));
    check(axonic_publisher_send(publisher, &payload, AXONIC_FOREVER));
    check(axonic_publisher_close(publisher));
}

int main(void) {
    axonic_domain *domain = NULL;
    check(axonic_domain_open(getenv("AXONIC_DOMAIN") != NULL ? NULL : "example-topic", NULL, &domain));

    axonic_subscriber *orders = NULL;
    axonic_message message;
    check(axonic_subscriber_open(domain, "orders.>", NULL, &orders));
    publish(domain, "orders.created", "{\"id\":1}");
    publish(domain, "orders.paid", "{\"id\":2}");
    for (int i = 0; i < 2; i++) {
        check(axonic_subscriber_receive(orders, AXONIC_SECOND, &message));
        printf("received %s: %.*s\n", message.topic, (int)message.size, (const char *)message.data);
    }

    axonic_subscriber *viewer = NULL;
    axonic_publisher *camera = NULL;
    axonic_loan loan;
    check(axonic_subscriber_open(domain, "camera", NULL, &viewer));
    check(axonic_publisher_open(domain, "camera", NULL, &camera));
    check(axonic_publisher_loan(camera, 6 * sizeof(float), AXONIC_SECOND, &loan));
    for (int i = 0; i < 6; i++) {
        ((float *)loan.data)[i] = (float)i;
    }
    const size_t shape[] = {2, 3};
    axonic_payload tensor = AXONIC_PAYLOAD_INIT;
    tensor.content = AXONIC_CONTENT_TENSOR;
    tensor.dtype = AXONIC_DTYPE_F32;
    tensor.shape = shape;
    tensor.ndim = 2;
    check(axonic_publisher_commit(camera, &loan, &tensor, AXONIC_SECOND));

    check(axonic_subscriber_borrow(viewer, AXONIC_SECOND, &message));
    float sum = 0;
    for (size_t i = 0; i < message.size / sizeof(float); i++) {
        sum += ((const float *)message.data)[i];
    }
    printf("borrowed %s: %zux%zu %s, sum %g\n", message.topic, message.shape[0], message.shape[1],
           axonic_dtype_name(message.dtype), sum);
    check(axonic_subscriber_release(&message));

    axonic_subscriber_close(viewer);
    axonic_publisher_close(camera);
    axonic_subscriber_close(orders);
    return axonic_domain_close(domain);
}
