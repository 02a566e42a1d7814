#ifndef USB_FRAME_H
#define USB_FRAME_H

#include "core/buf.h"

/*
 * The words between a host and a frame token (usb/tokend.c), over one pair of bulk endpoints.
 * A frame is a head of 16 bytes and a payload, all integers little-endian:
 *
 *   0 magic "FZTK"   4 version u8   5 type u8   6 flags u16   8 sequence u32   12 length u32
 *
 * A frame begins with a packet of its own and ends on its length, never on a short packet: no
 * packet without bytes follows one that fills its last packet. Pure: no USB, no state.
 */
#define FRAME_VERSION 1
#define FRAME_HEAD 16
#define FRAME_PAYLOAD 4096 /* of the largest: a TPM command or response */
#define FRAME_MAX (FRAME_HEAD + FRAME_PAYLOAD)

/* The class of the interface (vendor's own), and what it says beside it. */
#define FRAME_CLASS 0xFF
#define FRAME_SUBCLASS 0x46
#define FRAME_PROTOCOL 0x5A

/* A vendor's control request to the interface: forget what was half sent, and end the command
 * that is under way. What was on its way to the host is still to be read. */
#define FRAME_REQUEST_TYPE 0x41
#define FRAME_REQUEST_RESET 0x01

enum frame_type {
    FRAME_HELLO = 1, /* to the token: no payload. Ends the command under way, too */
    FRAME_CAPS,      /* its answer: struct frame_caps */
    FRAME_COMMAND,   /* to the token: one TPM command */
    FRAME_RESPONSE,  /* its answer, with its sequence */
    FRAME_CANCEL,    /* to the token: the command of this sequence shall end; no payload */
    FRAME_PRESENCE,  /* to the host, before a response: u32 milliseconds that the token waits
                        for somebody to confirm the command */
    FRAME_ERROR,     /* to the host: u16 enum frame_error, then text. The sequence is that of
                        the frame that was wrong, 0 where there was none */
    FRAME_TYPES
};

enum frame_error {
    FRAME_E_FORMAT = 1, /* no frame, or none that may come; until the next HELLO all is dropped */
    FRAME_E_VERSION,    /* the same, for another version than ours */
    FRAME_E_BUSY,       /* another command is under way, and goes on */
    FRAME_E_TPM,        /* the token does not reach its TPM */
};

struct frame_head {
    uint8_t type;
    uint32_t sequence, length;
};

#define FRAME_CAN_PRESENCE 0x01u /* some commands want to be confirmed at the token */

struct frame_caps {
    uint32_t payload; /* largest that the token takes and sends */
    uint32_t can;
    uint32_t presence_ms; /* how long it waits for a confirmation */
};

/*
 * Reads a head: E_VERSION for another version, E_FORMAT for what is no head: another magic, an
 * unknown type, flags (there are none yet), a length that this type cannot have.
 */
int frame_parse(const uint8_t raw[FRAME_HEAD], struct frame_head *out, struct err *e) MUST_USE;

/* Writes a head whose length frame_parse() takes. */
void frame_head(uint8_t out[FRAME_HEAD], enum frame_type type, uint32_t sequence, size_t length);

/* The payloads that are structures. E_FORMAT for another length or content. */
#define FRAME_CAPS_LEN 12
#define FRAME_PRESENCE_LEN 4
#define FRAME_ERROR_TEXT 200
void frame_caps_put(uint8_t out[FRAME_CAPS_LEN], const struct frame_caps *caps);
int frame_caps_get(struct bytes payload, struct frame_caps *out, struct err *e) MUST_USE;
void frame_presence_put(uint8_t out[FRAME_PRESENCE_LEN], uint32_t ms);
int frame_presence_get(struct bytes payload, uint32_t *ms, struct err *e) MUST_USE;

/* Returns the length. `text` is cut to FRAME_ERROR_TEXT bytes, and reads back as printable
 * ASCII whatever came. */
size_t frame_error_put(uint8_t out[2 + FRAME_ERROR_TEXT], enum frame_error code, const char *text);
int frame_error_get(struct bytes payload, enum frame_error *code, char text[FRAME_ERROR_TEXT + 1],
                    struct err *e) MUST_USE;

/* A TPM command or response whose own length (Part 1, 16.3) is that of its bytes. */
bool frame_holds_tpm(struct bytes payload);

#endif
