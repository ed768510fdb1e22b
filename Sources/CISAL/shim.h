#include <isa-l.h>
#include <stdlib.h>

/* struct inflate_state holds arrays too long for Swift's importer, so that its
   fields are reached through these. */

static inline struct inflate_state *volpipe_inflate_new(void) {
  return (struct inflate_state *)malloc(sizeof(struct inflate_state));
}

static inline void volpipe_inflate_free(struct inflate_state *state) { free(state); }

/* Begins a gzip member; its header and trailer are read and checked too. */
static inline void volpipe_inflate_begin(struct inflate_state *state) {
  isal_inflate_init(state);
  state->crc_flag = ISAL_GZIP;
}

/* Inflates until input is used up, output is full or the member ends.
   The lengths are room on entry, bytes used on return. */
static inline int volpipe_inflate_step(struct inflate_state *state, const uint8_t *input,
                                       uint32_t *input_length, uint8_t *output,
                                       uint32_t *output_length, int *member_ended) {
  uint32_t input_room = *input_length, output_room = *output_length;
  state->next_in = (uint8_t *)input;
  state->avail_in = input_room;
  state->next_out = output;
  state->avail_out = output_room;
  int status = isal_inflate(state);
  *input_length = input_room - state->avail_in;
  *output_length = output_room - state->avail_out;
  *member_ended = state->block_state == ISAL_BLOCK_FINISH;
  return status;
}
