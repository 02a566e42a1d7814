/* Frames, pure; and the host's side of them against tokens that are right, slow, and wrong. */
#include "tests/support/unit_frame.h"
#include "usb/backend.h"
#include "usb/frame.h"

#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const uint8_t getrandom[12] = {0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x7B, 0, 8};

/* --- pure ------------------------------------------------------------------------------- */

static void test_heads_read_back_as_they_were_written(void **state)
{
    static const struct frame_head heads[] = {
        {FRAME_HELLO, 0, 0},
        {FRAME_CAPS, 1, FRAME_CAPS_LEN},
        {FRAME_COMMAND, 0x01020304, 10},
        {FRAME_COMMAND, 0xFFFFFFFF, FRAME_PAYLOAD},
        {FRAME_RESPONSE, 7, FRAME_PAYLOAD},
        {FRAME_CANCEL, 8, 0},
        {FRAME_PRESENCE, 9, FRAME_PRESENCE_LEN},
        {FRAME_ERROR, 10, 2},
        {FRAME_ERROR, 10, 2 + FRAME_ERROR_TEXT},
    };
    uint8_t raw[FRAME_HEAD];
    struct frame_head h;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        frame_head(raw, heads[i].type, heads[i].sequence, heads[i].length);
        assert_int_equal(frame_parse(raw, &h, NULL), 0);
        assert_int_equal(h.type, heads[i].type);
        assert_int_equal(h.sequence, heads[i].sequence);
        assert_int_equal(h.length, heads[i].length);
    }
    /* Little-endian, as on the wire. */
    frame_head(raw, FRAME_COMMAND, 0x01020304, 0x0A0B);
    assert_memory_equal(raw, "FZTK\x01\x03\x00\x00\x04\x03\x02\x01\x0B\x0A\x00\x00", FRAME_HEAD);
}

static void test_what_is_no_head_is_refused(void **state)
{
    static const struct {
        size_t at;
        uint8_t value;
        enum err_code code;
    } wrong[] = {
        {0, 'f', E_FORMAT},  {3, 0, E_FORMAT},  {4, 0, E_VERSION},    {4, 2, E_VERSION},
        {5, 0, E_FORMAT},    {5, 8, E_FORMAT},  {5, 255, E_FORMAT},   {6, 1, E_FORMAT},
        {7, 0x80, E_FORMAT}, {12, 9, E_FORMAT}, {13, 0x11, E_FORMAT}, {15, 0xFF, E_FORMAT},
    };
    uint8_t raw[FRAME_HEAD];
    struct frame_head h;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct err e = {0};

        frame_head(raw, FRAME_COMMAND, 1, 10);
        raw[wrong[i].at] = wrong[i].value;
        assert_int_equal(frame_parse(raw, &h, &e), -1);
        assert_int_equal(e.code, wrong[i].code);
    }
    frame_head(raw, FRAME_HELLO, 1, 1);
    assert_int_equal(frame_parse(raw, &h, NULL), -1);
    frame_head(raw, FRAME_RESPONSE, 1, FRAME_PAYLOAD + 1);
    assert_int_equal(frame_parse(raw, &h, NULL), -1);
}

static void test_a_token_cannot_write_to_our_terminal(void **state)
{
    uint8_t raw[2 + FRAME_ERROR_TEXT];
    char text[FRAME_ERROR_TEXT + 1], longest[FRAME_ERROR_TEXT + 50];
    enum frame_error code;
    size_t n = frame_error_put(raw, FRAME_E_TPM, "a\033[2Jb\n\xC3\xA4");

    (void)state;
    assert_int_equal(frame_error_get(bytes_of(raw, n), &code, text, NULL), 0);
    assert_int_equal(code, FRAME_E_TPM);
    assert_string_equal(text, "a?[2Jb???");
    memset(longest, 'x', sizeof(longest));
    longest[sizeof(longest) - 1] = 0;
    n = frame_error_put(raw, FRAME_E_BUSY, longest);
    assert_int_equal(n, sizeof(raw));
    assert_int_equal(frame_error_get(bytes_of(raw, n), &code, text, NULL), 0);
    assert_int_equal(strlen(text), FRAME_ERROR_TEXT);
    assert_int_equal(frame_error_get(bytes_of(raw, 1), &code, text, NULL), -1);
}

static void test_what_holds_a_tpm_message_says_its_length(void **state)
{
    uint8_t raw[12];

    (void)state;
    memcpy(raw, getrandom, sizeof(raw));
    assert_true(frame_holds_tpm(bytes_of(raw, 12)));
    assert_false(frame_holds_tpm(bytes_of(raw, 11)));
    raw[5] = 9;
    assert_false(frame_holds_tpm(bytes_of(raw, 9)));
}

/* --- a token that answers in its own way ---------------------------------------------------- */

enum way {
    SOUND,     /* a response of world.size bytes */
    LATE,      /* the same after a while */
    OLD_FIRST, /* after answers to somebody else */
    OLD_ONLY,  /* others' answers for ever */
    PRESENCE,  /* asks for somebody first */
    ENDLESS,   /* and again and again */
    MUTE,      /* nothing */
    HALF,      /* stops in the middle */
    LONG,      /* more bytes than it says */
    TINY,      /* less than a head */
    NO_MAGIC,
    VERSION,
    NO_TPM,     /* a payload that says another length */
    WRONG_TYPE, /* CAPS for a command */
    BUSY,
    TPM_GONE,
    GREETS_NOT, /* answers HELLO with a response */
    GONE,       /* unplugged */
};

struct world {
    struct unit_frame usb;
    void *host;
    int token; /* its end of the socket */
    enum way way;
    size_t size;
    pthread_t thread;
    unsigned resets, cancels;
    size_t heard; /* bytes of the last command */
};

static void say(struct world *w, enum frame_type type, uint32_t sequence, const void *payload,
                size_t n)
{
    uint8_t frame[FRAME_MAX];

    frame_head(frame, type, sequence, n);
    if (n > 0)
        memcpy(frame + FRAME_HEAD, payload, n);
    if (w->way == NO_MAGIC)
        frame[0] = 'X';
    if (w->way == VERSION)
        frame[4] = 9;
    if (w->way == HALF)
        n = w->usb.device.interface.in_max - FRAME_HEAD;
    if (w->way == TINY)
        n = 0;
    (void)send(w->token, frame, w->way == TINY ? 7 : FRAME_HEAD + n, MSG_NOSIGNAL);
}

static void respond(struct world *w, uint32_t sequence)
{
    uint8_t p[FRAME_PAYLOAD] = {0x80, 0x01, 0, 0, (uint8_t)(w->size >> 8), (uint8_t)w->size};

    for (size_t i = 10; i < w->size; i++)
        p[i] = (uint8_t)(i * 7);
    if (w->way == NO_TPM)
        p[5]++;
    say(w, FRAME_RESPONSE, sequence, p, w->size);
}

static void say_error(struct world *w, uint32_t sequence, enum frame_error code, const char *text)
{
    uint8_t p[2 + FRAME_ERROR_TEXT];

    say(w, FRAME_ERROR, sequence, p, frame_error_put(p, code, text));
}

static void answer(struct world *w, uint32_t sequence)
{
    uint8_t raw[FRAME_CAPS_LEN] = {0}, long_one[FRAME_HEAD + 2000] = {0};

    switch (w->way) {
    case OLD_FIRST:
        respond(w, sequence - 1);
        say_error(w, sequence - 2, FRAME_E_TPM, "for somebody else");
        respond(w, sequence);
        break;
    case OLD_ONLY:
        for (int i = 0; i < 40; i++)
            respond(w, sequence - 1);
        break;
    case PRESENCE:
    case ENDLESS:
        frame_presence_put(raw, w->way == PRESENCE ? 30000 : 1);
        for (int i = 0; i < (w->way == PRESENCE ? 1 : 40); i++)
            say(w, FRAME_PRESENCE, sequence, raw, FRAME_PRESENCE_LEN);
        respond(w, sequence);
        break;
    case LONG:
        frame_head(long_one, FRAME_RESPONSE, sequence, 100);
        memcpy(long_one + FRAME_HEAD, "\x80\x01\0\0\0\x64", 6);
        (void)send(w->token, long_one, FRAME_HEAD + 101, MSG_NOSIGNAL);
        break;
    case LATE: /* The host asks several times before. */
        (void)poll(NULL, 0, 150);
        respond(w, sequence);
        break;
    case MUTE: break;
    case WRONG_TYPE: say(w, FRAME_CAPS, sequence, raw, sizeof(raw)); break;
    case BUSY: say_error(w, sequence, FRAME_E_BUSY, "one command at a time"); break;
    case TPM_GONE: say_error(w, sequence, FRAME_E_TPM, "no TPM here"); break;
    case GONE: (void)shutdown(w->token, SHUT_RDWR); break;
    default: respond(w, sequence); break;
    }
}

static void greet(struct world *w, uint32_t sequence)
{
    const struct frame_caps caps = {.payload = FRAME_PAYLOAD};
    const enum way way = w->way;
    uint8_t raw[FRAME_CAPS_LEN];

    if (way == GREETS_NOT) {
        respond(w, sequence);
        return;
    }
    frame_caps_put(raw, &caps);
    w->way = SOUND;
    say(w, FRAME_CAPS, sequence, raw, sizeof(raw));
    w->way = way;
}

static void *token(void *arg)
{
    struct world *w = arg;
    uint8_t frame[FRAME_MAX];
    struct frame_head h;
    size_t got = 0;
    ssize_t n;

    while ((n = recv(w->token, frame + got, sizeof(frame) - got, 0)) > 0) {
        got += (size_t)n;
        if (frame_parse(frame, &h, NULL) != 0)
            break;
        if (got < FRAME_HEAD + h.length)
            continue;
        w->heard = got - FRAME_HEAD;
        got = 0;
        if (h.type == FRAME_HELLO)
            greet(w, h.sequence);
        else if (h.type == FRAME_COMMAND)
            answer(w, h.sequence);
        else if (h.type == FRAME_CANCEL)
            w->cancels++;
    }
    return NULL;
}

static int reset(void *arg, uint8_t type, uint8_t request)
{
    struct world *w = arg;

    w->resets++;
    return type == FRAME_REQUEST_TYPE && request == FRAME_REQUEST_RESET ? 0 : -1;
}

static void begin_world(struct world *w, uint16_t packet, enum way way)
{
    struct err e = {0};
    int pair[2];

    memset(w, 0, sizeof(*w));
    w->way = way;
    w->size = 20;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    w->token = pair[1];
    unit_frame_init(&w->usb, pair[0], packet);
    w->usb.control = reset;
    w->usb.arg = w;
    assert_int_equal(pthread_create(&w->thread, NULL, token, w), 0);
    if (frame_backend.open(&w->host, &w->usb.device, &e) != 0)
        fail_msg("%s", e.msg);
}

static void end_world(struct world *w)
{
    frame_backend.close(w->host);
    (void)shutdown(w->usb.fd, SHUT_RDWR);
    assert_int_equal(pthread_join(w->thread, NULL), 0);
    close(w->usb.fd);
    close(w->token);
    /* Never was a short packet waited for that does not come. */
    if (w->way != HALF)
        assert_int_equal(w->usb.late, 0);
}

static int talk(struct world *w, const uint8_t *command, size_t len, struct err *e)
{
    uint8_t got[FRAME_PAYLOAD];
    size_t n = sizeof(got);

    if (frame_backend.begin(w->host, false, e) != 0 ||
        frame_backend.transmit(w->host, command, len, e) != 0 ||
        frame_backend.receive(w->host, got, &n, -1, e) != 0)
        return -1;
    assert_int_equal(n, w->size);
    for (size_t i = 10; i < n; i++)
        assert_int_equal(got[i], (uint8_t)(i * 7));
    return 0;
}

static void test_all_sizes_and_packets_take_three_transfers(void **state)
{
    static const uint16_t packets[] = {16, 64, 512, 1024};
    static const size_t sizes[] = {10,  47,   48,   49,   64,   112,  496,  497,
                                   512, 1008, 1009, 2032, 3056, 4079, 4080, 4096};
    uint8_t command[FRAME_PAYLOAD] = {0x80, 0x01};
    struct world w;
    struct err e = {0};

    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(packets); k++) {
        begin_world(&w, packets[k], SOUND);
        assert_int_equal(talk(&w, getrandom, 12, &e), 0);
        for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
            const size_t len = sizes[ARRAY_LEN(sizes) - 1 - i];
            const unsigned long before = w.usb.device.transfers;

            command[4] = (uint8_t)(len >> 8);
            command[5] = (uint8_t)len;
            w.size = sizes[i];
            if (talk(&w, command, len, &e) != 0)
                fail_msg("packets of %u, %zu bytes: %s", packets[k], sizes[i], e.msg);
            assert_int_equal(w.heard, len);
            assert_in_range(w.usb.device.transfers - before, 2, 3);
        }
        end_world(&w);
    }
}

static void test_presence_takes_one_transfer_more(void **state)
{
    struct world w;
    struct err e = {0};
    unsigned long before;

    (void)state;
    begin_world(&w, 64, PRESENCE);
    w.size = 500;
    assert_int_equal(talk(&w, getrandom, 12, &e), 0);
    before = w.usb.device.transfers;
    assert_int_equal(talk(&w, getrandom, 12, &e), 0);
    assert_int_equal(w.usb.device.transfers - before, 4);
    end_world(&w);
}

static void test_answers_to_others_are_passed_over(void **state)
{
    struct world w;
    struct err e = {0};

    (void)state;
    begin_world(&w, 64, OLD_FIRST);
    assert_int_equal(talk(&w, getrandom, 12, &e), 0);
    assert_int_equal(talk(&w, getrandom, 12, &e), 0);
    end_world(&w);
}

static void test_an_answer_can_be_asked_for_in_pieces_of_time(void **state)
{
    uint8_t got[FRAME_PAYLOAD];
    size_t n = sizeof(got);
    unsigned again = 0;
    struct world w;
    struct err e = {0};
    int rc;

    (void)state;
    begin_world(&w, 64, LATE);
    assert_int_equal(frame_backend.begin(w.host, false, &e), 0);
    assert_int_equal(frame_backend.transmit(w.host, getrandom, 12, &e), 0);
    while ((rc = frame_backend.receive(w.host, got, &n, again % 2 == 0 ? 0 : 10, &e)) == USB_AGAIN)
        again++;
    assert_int_equal(rc, 0);
    assert_int_equal(n, 20);
    assert_in_range(again, 2, 200);
    assert_int_equal(frame_backend.cancel(w.host, &e), 0);
    end_world(&w);
    assert_int_equal(w.cancels, 1);
}

static void test_after_an_unclean_end_both_sides_begin_anew(void **state)
{
    struct world w;
    struct err e = {0};

    (void)state;
    begin_world(&w, 64, SOUND);
    assert_int_equal(talk(&w, getrandom, 12, &e), 0);
    /* Somebody's answer that was not fetched, and half of one. */
    assert_int_equal(frame_backend.transmit(w.host, getrandom, 12, &e), 0);
    assert_int_equal(frame_backend.begin(w.host, true, &e), 0);
    assert_int_equal(w.resets, 1);
    assert_int_equal(talk(&w, getrandom, 12, &e), 0);
    end_world(&w);
}

static void test_each_way_to_be_wrong_is_an_error_that_says_so(void **state)
{
    static const struct {
        enum way way;
        enum err_code code;
        const char *says;
    } wrong[] = {
        {OLD_ONLY, E_TPM, "answers others only"},
        {ENDLESS, E_TPM, "touched for ever"},
        {HALF, E_IO, "middle of a frame"},
        {LONG, E_TPM, "more than it says"},
        {TINY, E_TPM, "half a frame"},
        {NO_MAGIC, E_FORMAT, "no frame"},
        {VERSION, E_VERSION, "update fusetsu"},
        {NO_TPM, E_TPM, "a response that is none"},
        {WRONG_TYPE, E_TPM, "something else"},
        {BUSY, E_BUSY, "one command at a time"},
        {TPM_GONE, E_IO, "no TPM here"},
        {GREETS_NOT, E_TPM, "greets with something else"},
        {GONE, E_REMOVED, "unplugged"},
    };
    struct world w;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct err e = {0};

        begin_world(&w, 64, wrong[i].way);
        w.size = wrong[i].way == HALF ? 300 : 20;
        assert_int_equal(talk(&w, getrandom, 12, &e), -1);
        if (e.code != wrong[i].code || strstr(e.msg, wrong[i].says) == NULL)
            fail_msg("way %d: %s: %s", (int)wrong[i].way, err_name(e.code), e.msg);
        end_world(&w);
    }
}

static void test_what_is_no_command_is_not_sent(void **state)
{
    uint8_t command[12];
    struct world w;
    struct err e = {0};
    unsigned long before;

    (void)state;
    begin_world(&w, 64, SOUND);
    assert_int_equal(talk(&w, getrandom, 12, &e), 0);
    before = w.usb.device.transfers;
    memcpy(command, getrandom, sizeof(command));
    command[5] = 13;
    assert_int_equal(frame_backend.transmit(w.host, command, 12, &e), -1);
    assert_int_equal(e.code, E_ARG);
    assert_int_equal(w.usb.device.transfers, before);
    end_world(&w);
}

static void test_packets_too_small_for_a_head_are_refused(void **state)
{
    struct unit_frame usb;
    void *host = NULL;
    struct err e = {0};

    (void)state;
    unit_frame_init(&usb, -1, 8);
    assert_int_equal(frame_backend.open(&host, &usb.device, &e), -1);
    assert_int_equal(e.code, E_UNSUPPORTED);
}

static void test_only_our_interface_is_matched(void **state)
{
    struct usb_descriptor d = {
        .vendor = 0x1209,
        .product = 1,
        .interfaces = 2,
        .interface = {{.number = 0, .class = 0xFF, .in = 0x81, .out = 1, .in_max = 64},
                      {.number = 1,
                       .class = FRAME_CLASS,
                       .subclass = FRAME_SUBCLASS,
                       .protocol = FRAME_PROTOCOL,
                       .in = 0x82,
                       .out = 2,
                       .in_max = 64}},
    };

    (void)state;
    assert_ptr_equal(frame_backend.match(&d), &d.interface[1]);
    d.interface[1].protocol++;
    assert_null(frame_backend.match(&d));
    d.interface[1].protocol--;
    d.interface[1].in = 0;
    assert_null(frame_backend.match(&d));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heads_read_back_as_they_were_written),
        cmocka_unit_test(test_what_is_no_head_is_refused),
        cmocka_unit_test(test_a_token_cannot_write_to_our_terminal),
        cmocka_unit_test(test_what_holds_a_tpm_message_says_its_length),
        cmocka_unit_test(test_all_sizes_and_packets_take_three_transfers),
        cmocka_unit_test(test_presence_takes_one_transfer_more),
        cmocka_unit_test(test_answers_to_others_are_passed_over),
        cmocka_unit_test(test_an_answer_can_be_asked_for_in_pieces_of_time),
        cmocka_unit_test(test_after_an_unclean_end_both_sides_begin_anew),
        cmocka_unit_test(test_each_way_to_be_wrong_is_an_error_that_says_so),
        cmocka_unit_test(test_what_is_no_command_is_not_sent),
        cmocka_unit_test(test_packets_too_small_for_a_head_are_refused),
        cmocka_unit_test(test_only_our_interface_is_matched),
    };

    return cmocka_run_group_tests_name("usb_frame", tests, NULL, NULL);
}
