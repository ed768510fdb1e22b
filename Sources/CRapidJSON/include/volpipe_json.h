#ifndef VOLPIPE_JSON_H
#define VOLPIPE_JSON_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum volpipe_json_kind {
  volpipe_json_null,
  volpipe_json_false,
  volpipe_json_true,
  volpipe_json_number,
  volpipe_json_string,
  volpipe_json_array,
  volpipe_json_object
};

/* A value, or the key of the value that follows it. */
struct volpipe_json_node {
  uint32_t kind;
  /* Bytes of a number or a string; elements of an array; members of an object. */
  uint32_t length;
  /* Where it begins in the text; of a string, where its decoded bytes begin. */
  uint32_t place;
  /* The index of the node behind it and all that it holds. */
  uint32_t end;
};

enum volpipe_json_error {
  volpipe_json_ok,
  volpipe_json_out_of_memory,
  volpipe_json_too_deep,
  volpipe_json_too_many,
  volpipe_json_empty,
  volpipe_json_text_behind,
  volpipe_json_no_value,
  volpipe_json_no_key,
  volpipe_json_no_colon,
  volpipe_json_no_comma_in_object,
  volpipe_json_no_comma_in_array,
  volpipe_json_bad_unicode_escape,
  volpipe_json_bad_surrogate,
  volpipe_json_bad_escape,
  volpipe_json_open_string,
  volpipe_json_bad_encoding,
  volpipe_json_number_too_big,
  volpipe_json_bad_number
};

struct volpipe_json_tape {
  struct volpipe_json_node *nodes;
  uint32_t count;
  /* Where in the text the error is. */
  size_t error_place;
};

/* Parses one whole document of RFC 8259.

   `text` ends at its first NUL, and is changed: strings are decoded where they
   stand. Numbers are not converted. `nodes` is to be freed with free(), in any case. */
enum volpipe_json_error volpipe_json_parse(char *text, uint32_t maximum_depth,
                                           uint32_t maximum_nodes,
                                           struct volpipe_json_tape *tape);

#ifdef __cplusplus
}
#endif
#endif
