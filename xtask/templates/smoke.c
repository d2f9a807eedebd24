/* Used by `cargo xtask test c`: links against an installed Axonic and calls into it. */
#include <axonic.h>
#include <stddef.h>

int main(void) {
    const char *message = axonic_last_error_message();
    return message != NULL && message[0] != '\0';
}
