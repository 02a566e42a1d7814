/* Goal: the slot of a USB token follows the plug, as the standard has it, without a word to the
 * token and without threads of ours. */
#include "tests/support/unit_module.h"
#include "tests/support/unit_usbstick.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static int begin(void **state)
{
    return unit_module_bare(state) == 0 && C_Initialize(NULL) == CKR_OK ? 0 : -1;
}

static int end(void **state)
{
    unit_usbstick("unplug a");
    unit_usbstick("unplug b");
    unsetenv("FUSETSU_USB");
    return unit_module_end(state);
}

/* How many there are, with a token in them or in all; the last of them in `*id`. */
static CK_ULONG slots(CK_BBOOL present, CK_SLOT_ID *id)
{
    CK_SLOT_ID list[8] = {0};
    CK_ULONG n = 0;

    assert_int_equal(C_GetSlotList(present, NULL, &n), CKR_OK);
    n = 8;
    assert_int_equal(C_GetSlotList(present, list, &n), CKR_OK);
    if (n != 0)
        *id = list[n - 1];
    return n;
}

static CK_SLOT_INFO info_of(CK_SLOT_ID id)
{
    CK_SLOT_INFO info;

    assert_int_equal(C_GetSlotInfo(id, &info), CKR_OK);
    return info;
}

static bool says(const CK_SLOT_INFO *i, const char *what)
{
    return memmem(i->slotDescription, sizeof(i->slotDescription), what, strlen(what)) != NULL;
}

static CK_SLOT_ID event(void)
{
    CK_SLOT_ID id = 0;

    assert_int_equal(C_WaitForSlotEvent(CKF_DONT_BLOCK, &id, NULL), CKR_OK);
    return id;
}

static void no_event(void)
{
    CK_SLOT_ID id = 0;

    assert_int_equal(C_WaitForSlotEvent(CKF_DONT_BLOCK, &id, NULL), CKR_NO_EVENT);
}

static void test_a_token_comes_and_goes(void **state)
{
    CK_SLOT_ID first = 0, id = 0;
    CK_SESSION_HANDLE h;
    CK_SLOT_INFO info;

    (void)state;
    assert_int_equal(slots(CK_TRUE, &first), 1); /* the place for a first token */
    no_event();
    unit_usbstick("plug a");
    id = event();
    assert_int_not_equal(id, first);
    no_event();
    info = info_of(id);
    assert_true(says(&info, "USB token A-1"));
    assert_int_equal(info.flags, CKF_HW_SLOT | CKF_REMOVABLE_DEVICE | CKF_TOKEN_PRESENT);
    /* It stands for a token that may be in it. */
    assert_int_equal(slots(CK_TRUE, &first), 1);
    assert_int_equal(first, id);

    unit_usbstick("unplug a");
    info = info_of(id);
    assert_int_equal(info.flags, CKF_HW_SLOT | CKF_REMOVABLE_DEVICE);
    assert_true(says(&info, "not plugged in"));
    assert_int_equal(event(), id);
    no_event();
    assert_int_equal(C_OpenSession(id, CKF_SERIAL_SESSION, NULL, NULL, &h), CKR_TOKEN_NOT_PRESENT);
    assert_int_equal(slots(CK_TRUE, &first), 1);
    assert_int_not_equal(first, id);
}

static void test_a_slot_keeps_its_number(void **state)
{
    CK_SLOT_ID a, b, id = 0;

    (void)state;
    assert_int_equal(slots(CK_FALSE, &id), 1);
    unit_usbstick("plug a");
    a = event();
    unit_usbstick("plug b");
    b = event();
    assert_int_not_equal(a, b);
    unit_usbstick("unplug a");
    assert_int_equal(event(), a);
    unit_usbstick("unplug b");
    assert_int_equal(event(), b);
    for (int i = 0; i < 20; i++) {
        unit_usbstick("plug b");
        assert_int_equal(event(), b);
        unit_usbstick("plug a");
        assert_int_equal(event(), a);
        unit_usbstick("unplug b");
        assert_int_equal(event(), b);
        unit_usbstick("unplug a");
        assert_int_equal(event(), a);
    }
    assert_int_equal(slots(CK_FALSE, &id), 3);
    /* Nothing was ever sent to one. */
    assert_int_equal(unit_usbstick_count("a").urbs, 0);
}

static void test_another_stick_has_another_slot(void **state)
{
    CK_SLOT_ID a, id = 0;

    (void)state;
    assert_int_equal(slots(CK_FALSE, &id), 1);
    unit_usbstick("plug a");
    a = event();
    unit_usbstick("unplug a");
    unit_usbstick("plug b");
    assert_int_not_equal(slots(CK_TRUE, &id), 0);
    assert_int_not_equal(id, a);
    assert_int_equal(info_of(a).flags & CKF_TOKEN_PRESENT, 0);
}

static void *plug_later(void *arg)
{
    (void)arg;
    nanosleep(&(struct timespec){0, 200000000}, NULL);
    unit_usbstick("plug a");
    return NULL;
}

static void test_who_waits_is_told(void **state)
{
    CK_SLOT_ID id = 0, waited = 0;
    CK_SLOT_INFO info;
    pthread_t t;

    (void)state;
    assert_int_equal(slots(CK_FALSE, &id), 1);
    assert_int_equal(pthread_create(&t, NULL, plug_later, NULL), 0);
    assert_int_equal(C_WaitForSlotEvent(0, &waited, NULL), CKR_OK);
    pthread_join(t, NULL);
    info = info_of(waited);
    assert_true(says(&info, "USB token A-1"));
}

static void test_usb_no_looks_for_none(void **state)
{
    CK_SLOT_ID id = 0;

    (void)state;
    assert_int_equal(C_Finalize(NULL), CKR_OK);
    setenv("FUSETSU_USB", "no", 1);
    assert_int_equal(C_Initialize(NULL), CKR_OK);
    unit_usbstick("plug a");
    assert_int_equal(slots(CK_FALSE, &id), 1);
    no_event();
}

#define USB(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        USB(test_a_token_comes_and_goes),         USB(test_a_slot_keeps_its_number),
        USB(test_another_stick_has_another_slot), USB(test_who_waits_is_told),
        USB(test_usb_no_looks_for_none),
    };
    int rc;

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    if (!unit_usbstick_begin(argv))
        return 1;
    unit_usbstick("add a A-1");
    unit_usbstick("add b B-2");
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    unit_usbstick_end();
    return rc;
}
